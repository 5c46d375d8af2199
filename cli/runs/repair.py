"""Resetting and retrying runs from the command line; a dry run unless told otherwise."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import typer
from rich.progress import Progress
from rich.text import Text

from cli.output import console, print_json, print_line, print_table
from cli.runs.access import operations
from mediagate.errors import InvalidRequest, MediagateError, NotFound
from workflows.operations.operator import Operations
from workflows.operations.resetting import ResetPoint, retry_point, short, step_point
from workflows.operations.runs import Run
from workflows.operations.visibility import BROKE, Filter, RunStatus

NOTHING_TO_DO = 3


class Result(StrEnum):
    """What became of one run of a retry."""

    WOULD_RETRY = "would be retried"
    RETRIED = "retried"
    SKIPPED = "skipped"
    FAILED = "not retried"


COLOURS = {Result.RETRIED: "green", Result.SKIPPED: "yellow", Result.FAILED: "red"}


@dataclass(frozen=True, slots=True)
class Selection:
    """The runs to retry: those named, else every one that broke and fits."""

    workflow_ids: tuple[str, ...]
    kind: str | None = None
    library: str | None = None
    closed_after: datetime | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Retried:
    """One line of the outcome."""

    workflow_id: str
    file: str
    result: Result
    failure_kind: str = ""
    step: str = ""
    event_id: int = 0
    run_id: str = ""
    detail: str = ""


async def reset_one(workflow_id: str, step: str, reason: str, *, yes: bool, as_json: bool) -> None:
    """Show what a reset to the step means, and with `yes` do it.

    Raises:
        NotFound: there is no such workflow.
        InvalidRequest: its history has no such step.
    """
    service = await operations()
    run = await service.describe(workflow_id)
    point = step_point(await service.history(run), step)
    new_run = await service.reset(run, point, reason=reason) if yes else ""
    if as_json:
        print_json({**_plan(run, point), "done": yes, "new_run_id": new_run or None})
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


def _plan(run: Run, point: ResetPoint) -> dict[str, Any]:
    return {"workflow_id": run.workflow_id, "run_id": run.run_id, "status": run.status, **asdict(point)}


def _counted(activities: Sequence[str]) -> str:
    named = [short(name) for name in activities]
    return ", ".join(
        f"{name} ({named.count(name)}×)" if named.count(name) > 1 else name for name in dict.fromkeys(named)
    )


async def retry_many(selection: Selection, reason: str, *, rate: float, yes: bool, as_json: bool) -> None:
    """Resume runs, at most `rate` each second; exits with 1 if one could not be, with 3 if there was nothing to do."""
    service = await operations()
    runs = await _selected(service, selection)
    outcomes: list[Retried] = []
    shown = not as_json and yes and console(stderr=True).is_terminal
    with Progress(console=console(stderr=True), disable=not shown, transient=True) as progress:
        task = progress.add_task("Retrying", total=len(runs))
        async for one in _paced(runs, rate if yes else None):
            outcomes.append(await _retry(service, one, reason, yes=yes) if isinstance(one, Run) else one)
            progress.advance(task)
    if as_json:
        print_json({"runs": [asdict(one) for one in outcomes], "done": yes})
    else:
        _print_outcomes(outcomes, yes=yes)
    _exit(outcomes)


async def _selected(service: Operations, selection: Selection) -> list[Run | Retried]:
    """The runs that are meant; those named that do not exist as outcomes already."""
    if not selection.workflow_ids:
        wanted = Filter.ended(BROKE, selection.kind, selection.library, selection.closed_after)
        found = await service.find(wanted.query(), limit=selection.limit)
        return [run for run in found if run.current and selection.kind in {None, run.failure_kind}]
    runs: list[Run | Retried] = []
    for workflow_id in selection.workflow_ids:
        try:
            runs.append(await service.describe(workflow_id))
        except (NotFound, InvalidRequest) as error:
            runs.append(Retried(workflow_id, "", Result.FAILED, detail=error.message))
    return runs


async def _retry(service: Operations, run: Run, reason: str, *, yes: bool) -> Retried:
    if not run.ended_badly:
        return Retried(run.workflow_id, run.file, Result.SKIPPED, detail=f"it is {run.status}, not failed")
    try:
        point = retry_point(await service.history(run))
        new_run = await service.reset(run, point, reason=reason) if yes else ""
    except MediagateError as error:
        return Retried(run.workflow_id, run.file, Result.FAILED, run.failure_kind, detail=error.message)
    result = Result.RETRIED if yes else Result.WOULD_RETRY
    return Retried(run.workflow_id, run.file, result, run.failure_kind, point.step, point.event_id, new_run)


async def _paced(runs: Sequence[Run | Retried], rate: float | None) -> AsyncIterator[Run | Retried]:
    """Each after the other, started at most `rate` times a second."""
    clock = asyncio.get_running_loop().time
    due = clock()
    for run in runs:
        if rate:
            await asyncio.sleep(max(0.0, due - clock()))
            due = max(due, clock()) + 1 / rate
        yield run


def _print_outcomes(outcomes: Sequence[Retried], *, yes: bool) -> None:
    if not outcomes:
        print_line("No failed runs: nothing to do.")
        return
    rows = [
        (
            one.workflow_id,
            one.file,
            one.failure_kind,
            one.step,
            Text(one.result, style=COLOURS.get(one.result, "")),
            why,
        )
        for one in outcomes
        for why in [one.detail or (f"event {one.event_id}" + (f", now {one.run_id}" if one.run_id else ""))]
    ]
    print_table(["workflow", "file", "failure", "resumes at", "result", "detail"], rows)
    counts = {result: sum(one.result is result for one in outcomes) for result in Result}
    print_line(", ".join(f"{count} {result}" for result, count in counts.items() if count) + ".")
    if not yes and counts[Result.WOULD_RETRY]:
        print_line("Nothing was changed. Add --yes to do it.")


def _exit(outcomes: Sequence[Retried]) -> None:
    results = {one.result for one in outcomes}
    if Result.FAILED in results:
        raise typer.Exit(1)
    if not results & {Result.RETRIED, Result.WOULD_RETRY}:
        raise typer.Exit(NOTHING_TO_DO)
