"""Resetting and retrying runs from the command line; a dry run unless told otherwise.

The point of a reset is found in each run's own history, so this is done run by run and not by Temporal's batch
operations, which know only the first and the last task of a history.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any
from uuid import uuid4

import typer
from rich.progress import Progress
from rich.text import Text
from temporalio.api.history.v1 import HistoryEvent

from cli.output import console, print_json, print_line, print_table
from cli.runs.access import operations
from cli.runs.journal import Journal, journal, on_run
from cli.runs.options import NOTHING_TO_DO
from db.repositories.audit import Act
from mediagate.errors import InvalidRequest, MediagateError, NotFound
from workflows.operations.operator import Operations
from workflows.operations.resetting import ResetPoint, retry_point, short, step_point
from workflows.operations.runs import Run
from workflows.operations.visibility import Filter, RunStatus


class Result(StrEnum):
    """What became of one run."""

    PLANNED = "would be {done}"
    DONE = "{done}"
    SKIPPED = "skipped"
    FAILED = "not {done}"


COLOURS = {Result.DONE: "green", Result.SKIPPED: "yellow", Result.FAILED: "red"}


UPLOADS_ALL = Filter()


@dataclass(frozen=True, slots=True)
class Selection:
    """The runs that are meant: those named, else `limit` of those that fit. `kind`: as `Run.failure_kind` says."""

    workflow_ids: tuple[str, ...] = ()
    fitting: Filter = UPLOADS_ALL
    kind: str | None = None
    limit: int = 100

    def facts(self) -> dict[str, Any]:
        """For the audit trail."""
        return {"named": len(self.workflow_ids)} if self.workflow_ids else {"query": self.fitting.query()}


@dataclass(frozen=True, slots=True)
class Order:
    """What is done to each run. `action`: as the audit trail names it; `done`: the participle; `point`: where a run
    goes on; `skip`: why a run is left alone, None if it is not."""

    action: str
    done: str
    point: Callable[[Sequence[HistoryEvent]], ResetPoint]
    skip: Callable[[Run], str | None]
    reason: str
    by: str | None = None
    rate: float = 20.0


def retrying(reason: str, by: str | None, rate: float) -> Order:
    """Resume runs that ended badly."""

    def skip(run: Run) -> str | None:
        return None if run.ended_badly else f"it is {run.status}, not failed"

    return Order("run.retry", "retried", retry_point, skip, reason, by, rate)


def resetting(step: str, reason: str, by: str | None, rate: float) -> Order:
    """Take runs back to a step, whatever became of them."""

    def skip(run: Run) -> str | None:
        return f"it was reset already, to {run.superseded_by}" if run.superseded_by else None

    return Order("run.reset", "reset", lambda events: step_point(events, step), skip, reason, by, rate)


@dataclass(frozen=True, slots=True)
class Resumed:
    """One line of the outcome."""

    workflow_id: str
    file: str
    result: Result
    failure_kind: str = ""
    step: str = ""
    event_id: int = 0
    run_id: str = ""
    detail: str = ""
    plan: tuple[Run, ResetPoint] | None = None

    def facts(self, order: Order) -> dict[str, Any]:
        """For JSON."""
        facts = {name: value for name, value in asdict(replace(self, plan=None)).items() if name != "plan"}
        return {**facts, "result": self.result.format(done=order.done)}


async def reset_one(workflow_id: str, step: str, reason: str, by: str | None, *, yes: bool, as_json: bool) -> None:
    """Show what a reset to the step means, and with `yes` do it.

    Raises:
        NotFound: there is no such workflow.
        InvalidRequest: its history has no such step.
    """
    service = await operations()
    run = await service.describe(workflow_id)
    point = step_point(await service.history(run), step)
    new_run = ""
    if yes:
        async with journal(by, reason) as on_record:
            await on_record.note([on_run("run.reset", run, step=point.step, event_id=point.event_id)])
        new_run = await service.reset(run, point, reason=reason)
    if as_json:
        plan = {"workflow_id": run.workflow_id, "run_id": run.run_id, "status": run.status, **asdict(point)}
        print_json({**plan, "done": yes, "new_run_id": new_run or None})
        return
    print_table(
        ["what", ""],
        [
            ("run", f"{run.workflow_id} ({run.file}), {run.status}"),
            ("reset to", f"event {point.event_id}, before {point.step}"),
            ("runs again", _counted(point.again)),
            ("is kept", _counted(point.kept)),
            ("delivered again", _counted(point.redelivered)),
        ],
    )
    if yes:
        print_line(f"The run was reset; it goes on as {new_run}. See `mediagate runs show {workflow_id}`.")
    else:
        stop = " The open run will be terminated." if run.status == RunStatus.RUNNING else ""
        print_line(f"Nothing was changed. Add --yes to do it.{stop}")


def _counted(activities: Sequence[str]) -> str:
    times = Counter(short(name) for name in activities)
    return ", ".join(f"{name} ({count}×)" if count > 1 else name for name, count in times.items())


async def resume_many(selection: Selection, order: Order, *, yes: bool, as_json: bool) -> None:
    """Resume runs, at most `rate` each second; exits with 1 if one could not be, with 3 if there was nothing to do."""
    service = await operations()
    runs, complete = await _selected(service, selection)
    outcomes = await _planned(service, runs, order)
    if yes and any(one.plan for one in outcomes):
        async with journal(order.by, order.reason) as on_record:
            outcomes = await _done(service, on_record, outcomes, selection, order, quiet=as_json)
    if as_json:
        print_json({"runs": [one.facts(order) for one in outcomes], "done": yes, "complete": complete})
    else:
        _print(outcomes, order, yes=yes, complete=complete)
    results = {one.result for one in outcomes}
    if Result.FAILED in results:
        raise typer.Exit(1)
    if not results & {Result.DONE, Result.PLANNED}:
        raise typer.Exit(NOTHING_TO_DO)


async def _selected(service: Operations, selection: Selection) -> tuple[list[Run | Resumed], bool]:
    """The runs that are meant, those named that do not exist as outcomes already; and whether these are all."""
    runs: list[Run | Resumed] = []
    if not selection.workflow_ids:
        found = await service.search(
            selection.fitting.query(),
            limit=selection.limit,
            wanted=lambda run: run.current and selection.kind in {None, run.failure_kind},
        )
        runs += found.runs
        return runs, found.complete
    for workflow_id in selection.workflow_ids:
        try:
            runs.append(await service.describe(workflow_id))
        except (NotFound, InvalidRequest) as error:
            runs.append(Resumed(workflow_id, "", Result.FAILED, detail=error.message))
    return runs, True


async def _planned(service: Operations, runs: Sequence[Run | Resumed], order: Order) -> list[Resumed]:
    async def plan(run: Run) -> Resumed:
        if why := order.skip(run):
            return Resumed(run.workflow_id, run.file, Result.SKIPPED, run.failure_kind, detail=why)
        try:
            point = order.point(await service.history(run))
        except MediagateError as error:
            return Resumed(run.workflow_id, run.file, Result.FAILED, run.failure_kind, detail=error.message)
        known = (run.workflow_id, run.file, Result.PLANNED, run.failure_kind, point.step, point.event_id)
        return Resumed(*known, plan=(run, point))

    async def settled(one: Run | Resumed) -> Resumed:
        return await plan(one) if isinstance(one, Run) else one

    return list(await asyncio.gather(*(settled(one) for one in runs)))


async def _done(
    service: Operations,
    on_record: Journal,
    planned: Sequence[Resumed],
    selection: Selection,
    order: Order,
    *,
    quiet: bool,
) -> list[Resumed]:
    """Put all that is planned on record, then do it; what did not go through is put on record as well."""
    operation = str(uuid4())
    plans = [one.plan for one in planned if one.plan]
    facts = {**selection.facts(), "count": len(plans), "rate": order.rate, "job_id": operation}
    acts = [
        on_run(order.action, run, step=point.step, event_id=point.event_id, job_id=operation) for run, point in plans
    ]
    await on_record.note([Act(order.action, f"runs:{operation}", selection.fitting.library or "", facts), *acts])
    outcomes, failures = [], []
    shown = not quiet and console(stderr=True).is_terminal
    with Progress(console=console(stderr=True), disable=not shown, transient=True) as progress:
        task = progress.add_task("Resetting", total=len(plans))
        async for one in _paced(planned, order.rate):
            if one.plan:
                one = await _do(service, one, *one.plan, reason=order.reason)
                progress.advance(task)
            if one.result is Result.FAILED and one.plan:
                failures.append(on_run(f"{order.action}_failed", one.plan[0], error=one.detail, job_id=operation))
            outcomes.append(one)
    if failures:
        await on_record.note(failures)
    return outcomes


async def _do(service: Operations, one: Resumed, run: Run, point: ResetPoint, *, reason: str) -> Resumed:
    try:
        return replace(one, result=Result.DONE, run_id=await service.reset(run, point, reason=reason))
    except MediagateError as error:
        return replace(one, result=Result.FAILED, detail=error.message)


async def _paced(planned: Sequence[Resumed], rate: float) -> AsyncIterator[Resumed]:
    """Each after the other; those that have a plan are started at most `rate` times a second."""
    clock = asyncio.get_running_loop().time
    due = clock()
    for one in planned:
        if one.plan:
            await asyncio.sleep(max(0.0, due - clock()))
            due = max(due, clock()) + 1 / rate
        yield one


def _print(outcomes: Sequence[Resumed], order: Order, *, yes: bool, complete: bool) -> None:
    if not outcomes:
        print_line("No such runs: nothing to do.")
        return
    rows = [
        (
            one.workflow_id,
            one.file,
            one.failure_kind,
            one.step,
            Text(one.result.format(done=order.done), style=COLOURS.get(one.result, "")),
            one.detail or (f"event {one.event_id}" + (f", now {one.run_id}" if one.run_id else "")),
        )
        for one in outcomes
    ]
    print_table(["workflow", "file", "failure", "resumes at", "result", "detail"], rows)
    counts = Counter(one.result for one in outcomes)
    print_line(", ".join(f"{counts[one]} {one.format(done=order.done)}" for one in Result if counts[one]) + ".")
    if not complete:
        print_line("There are more; raise --limit, or do it again.", style="yellow")
    if not yes and counts[Result.PLANNED]:
        print_line("Nothing was changed. Add --yes to do it.")
