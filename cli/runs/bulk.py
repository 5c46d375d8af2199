"""Carrying out `mediagate runs bulk`: on record, in stretches that keep the rate, with progress."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

import typer
from rich.progress import Progress

from cli.output import console, print_json, print_line
from cli.runs.access import operations
from cli.runs.journal import journal, on_run
from cli.runs.options import NOTHING_TO_DO
from cli.runs.story import print_runs
from db.repositories.audit import Act
from workflows.operations.batches import LOOK_EVERY, STRETCH, Batch, Batches, Order, stretches
from workflows.operations.runs import Run
from workflows.operations.visibility import Filter


@dataclass(slots=True)
class Tally:
    """What became of the runs so far, and which operations did it."""

    done: int = 0
    failed: int = 0
    jobs: tuple[str, ...] = ()

    def add(self, batch: Batch) -> None:
        """An operation has ended."""
        self.done += batch.done
        self.failed += batch.failed
        self.jobs += (batch.job_id,)


async def do_many(
    order: Order,
    wanted: Filter,
    reason: str,
    by: str | None,
    *,
    limit: int,
    rate: float,
    yes: bool,
    as_json: bool,
) -> None:
    """Show which runs are meant, and with `yes` do it to them; exits with 1 if it failed for one, with 3 if there are
    none."""
    service, statuses = await operations(), frozenset(wanted.statuses)
    runs, complete = await service.search(
        wanted.query(), limit=limit, wanted=lambda run: run.current and run.status in statuses
    )
    tally = Tally()
    if yes and runs:
        operation = str(uuid4())
        facts = {**order.facts(), "query": wanted.query(), "count": len(runs), "rate": rate, "job_id": operation}
        action = f"run.bulk.{order.act.value}"
        acts = [Act(action, f"runs:{operation}", wanted.library or "", facts)]
        async with journal(by, reason) as on_record:
            await on_record.note([*acts, *(on_run(action, run, job_id=operation) for run in runs)])
        await _carry_out(Batches(service.client), order, runs, operation, reason, rate, tally, quiet=as_json)
    _tell(order, runs, tally, complete=complete, yes=yes, as_json=as_json)
    if tally.failed:
        raise typer.Exit(1)
    if not runs:
        raise typer.Exit(NOTHING_TO_DO)


async def _carry_out(
    batches: Batches,
    order: Order,
    runs: Sequence[Run],
    operation: str,
    reason: str,
    rate: float,
    tally: Tally,
    *,
    quiet: bool,
) -> None:
    shown = not quiet and console(stderr=True).is_terminal
    with Progress(console=console(stderr=True), disable=not shown, transient=True) as progress:
        task = progress.add_task(order.act.value, total=len(runs))
        due = time.monotonic()
        for number, stretch in enumerate(stretches(runs, rate), start=1):
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = time.monotonic() + STRETCH
            job_id = f"{operation}-{number}"
            await batches.start(order, stretch, job_id=job_id, reason=reason)
            while (batch := await batches.describe(job_id)).running:
                progress.update(task, completed=tally.done + tally.failed + batch.done + batch.failed)
                await asyncio.sleep(LOOK_EVERY)
            tally.add(batch)
            progress.update(task, completed=tally.done + tally.failed)
            if batch.state != "completed":
                print_line(f"{job_id} was stopped, or failed: see `mediagate runs batches list`.", stderr=True)
                tally.failed += len(stretch) - batch.done - batch.failed
                return


def _tell(order: Order, runs: Sequence[Run], tally: Tally, *, complete: bool, yes: bool, as_json: bool) -> None:
    if as_json:
        facts = {"done": tally.done, "failed": tally.failed, "jobs": tally.jobs}
        told = [run.facts() for run in runs]
        print_json({**order.facts(), **facts, "runs": told, "carried_out": yes and bool(runs), "complete": complete})
        return
    if not runs:
        print_line("No such runs: nothing to do.")
        return
    print_runs(runs)
    if not complete:
        print_line("There are more; raise --limit, or do it again.", style="yellow")
    if yes:
        print_line(f"{order.act.value}: {tally.done} done, {tally.failed} failed ({', '.join(tally.jobs)}).")
    else:
        print_line(f"{order.act.value}: {len(runs)} runs. Nothing was changed. Add --yes to do it.")


async def stop_one(job_id: str, reason: str, by: str | None) -> Batch:
    """Stop a batch operation, on record before.

    Raises:
        NotFound: there is no such operation at work.
    """
    batches = Batches((await operations()).client)
    batch = await batches.describe(job_id)
    async with journal(by, reason) as on_record:
        await on_record.note([Act("run.bulk.stop", f"runs:{job_id}", data={"done": batch.done, "total": batch.total})])
    await batches.stop(job_id, reason=reason)
    return await batches.describe(job_id)
