"""`mediagate runs failed|stuck|waiting`: the runs that somebody has to look after."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from cli.output import Json, print_json, print_line, print_table
from cli.runs.access import operations
from cli.runs.options import ANY, FOUND, ClosedSince, Kind, Library, WorkflowType, type_of
from cli.runs.story import print_runs
from cli.runs.times import ago, duration, since
from mediagate.media.values import Status
from workflows import names
from workflows.operations.history import steps
from workflows.operations.operator import Found, Operations
from workflows.operations.runs import Run
from workflows.operations.trouble import Patience, Trouble, suspects, task_failure, troubles
from workflows.operations.visibility import ENDED_BADLY, UPLOADS, Filter, RunStatus, quoted
from workflows.operations.waits import Wait, WaitsFor, wait_of

NEVER = datetime.max.replace(tzinfo=UTC)

_STAGES = {WaitsFor.PERSON: Status.IN_REVIEW, WaitsFor.VENDOR: Status.AWAITING_MODERATION}


def failed(
    kind: Kind = None,
    since_: ClosedSince = None,
    library: Library = None,
    workflow_type: WorkflowType = UPLOADS,
    limit: Annotated[int, typer.Option(min=1, max=5000, help="At most so many.")] = 200,
    as_json: Json = False,
) -> None:
    """Count runs that failed, timed out, or were terminated or cancelled, by kind, and list them.

    The kind is the class in `mediagate.errors` that the run failed with, or how it ended where it had no say. Runs that
    a reset has replaced do not count.

    Examples:

      mediagate runs failed --since 7d

      mediagate runs failed --kind ObjectMissing --json | jq -r '.runs[].workflow_id'
    """
    wanted = Filter.ended(ENDED_BADLY, kind, library, since(since_), type_of(workflow_type))
    runs, complete = asyncio.run(_failed(wanted, kind, limit))
    kinds = Counter(run.failure_kind for run in runs).most_common()
    if as_json:
        print_json({"kinds": dict(kinds), "runs": [run.facts() for run in runs], "complete": complete})
        return
    if not runs:
        print_line("No failed runs.")
        return
    print_table(["failure kind", "runs"], kinds)
    print_runs(runs)
    _say_whether_all(complete)
    print_line("Next: `mediagate runs show ID`, then `mediagate runs retry ID` or `mediagate runs retry --all-failed`.")


async def _failed(wanted: Filter, kind: str | None, limit: int) -> Found:
    service = await operations()
    return await service.search(
        wanted.query(), limit=limit, wanted=lambda run: run.current and kind in {None, run.failure_kind}
    )


def stuck(
    attempts: Annotated[int, typer.Option(min=2, help="Attempts at one activity that are not normal any more.")] = 5,
    over: Annotated[
        str, typer.Option(help="A wait for a worker, a vendor, or an activity's success that is not normal any more.")
    ] = "2h",
    library: Library = None,
    workflow_type: WorkflowType = ANY,
    limit: Annotated[int, typer.Option(min=1, max=5000, help="Look at so many open runs at most.")] = 1000,
    as_json: Json = False,
) -> None:
    """List open runs that do not get on, why, and what to type next. Exit code 4 if there are any.

    Failing workflow tasks (code that fails, deadlocks, or does not fit the history), activities in a retry loop, paused
    or taken by no worker, reviews whose deadline has passed, uploads that no vendor answers.

    Examples:

      mediagate runs stuck

      mediagate runs stuck --attempts 20 --over 30m --json | jq -r '.runs[].troubles[0].command'
    """
    patience = Patience(attempts, duration(over))
    wanted = Filter(workflow_type=type_of(workflow_type), library=library, raw=suspects(datetime.now(UTC)))
    looked_at, found, complete = asyncio.run(_stuck(wanted, patience, limit))
    if as_json:
        runs = [{**one.run.facts(), "troubles": [trouble.facts() for trouble in one.troubles]} for one in found]
        print_json({"runs": runs, "looked_at": looked_at, "complete": complete})
    else:
        _print_stuck(found, looked_at)
        _say_whether_all(complete)
    raise typer.Exit(FOUND if found else 0)


@dataclass(frozen=True, slots=True)
class _Stuck:
    run: Run
    troubles: Sequence[Trouble]


async def _stuck(wanted: Filter, patience: Patience, limit: int) -> tuple[int, list[_Stuck], bool]:
    service, now = await operations(), datetime.now(UTC)
    runs, complete = await service.search(wanted.query(), limit=limit)

    async def look(run: Run) -> _Stuck:
        # Why a task fails is in the history only.
        failure = task_failure(await service.history(run)) if run.task_attempt > 1 else None
        return _Stuck(run, troubles(run, now, patience, failure))

    looked = await asyncio.gather(*(look(run) for run in runs if run.status == RunStatus.RUNNING))
    return len(runs), [one for one in looked if one.troubles], complete


def _print_stuck(found: Sequence[_Stuck], looked_at: int) -> None:
    now = datetime.now(UTC)
    rows = [
        (one.run.workflow_id, one.run.file, trouble.kind, trouble.reason, _since(trouble.since, now), trouble.command)
        for one in found
        for trouble in one.troubles
    ]
    if rows:
        print_table(["workflow", "file", "stuck", "because", "since", "next"], rows)
        for advice in dict.fromkeys(f"{trouble.kind}: {trouble.advice}." for one in found for trouble in one.troubles):
            print_line(advice)
    print_line(f"{len(found)} of {looked_at} open runs that wait for no person are stuck.")


def waiting(
    whom: Annotated[WaitsFor | None, typer.Option("--for", help="Only those that wait for this.")] = None,
    library: Library = None,
    workflow_type: WorkflowType = ANY,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Look at so many open runs at most.")] = 100,
    as_json: Json = False,
) -> None:
    """List open runs by what they wait for, and until when; those that go on soonest first.

    Examples:

      mediagate runs waiting --for person

      mediagate runs waiting --for vendor --library demo --json
    """
    stage = _STAGES.get(whom) if whom else None
    running = Filter(statuses=[RunStatus.RUNNING], workflow_type=type_of(workflow_type), library=library)
    raw = f"{names.MEDIA_STAGE.name} = {quoted(stage.value)}" if stage else ""
    query = " AND ".join(term for term in (running.query(), raw) if term)
    found, complete = asyncio.run(_waiting(query, whom, limit))
    if as_json:
        runs = [{**run.facts(), "wait": wait.facts()} for run, wait in found]
        print_json({"runs": runs, "complete": complete})
        return
    now = datetime.now(UTC)
    rows = [
        (run.workflow_id, run.file, wait.whom, wait.what, _since(wait.since, now), _since(wait.until, now))
        for run, wait in found
    ]
    print_table(["workflow", "file", "waits for", "", "since", "until"], rows)
    print_line(f"{len(found)} runs wait.")
    _say_whether_all(complete)


async def _waiting(query: str, whom: WaitsFor | None, limit: int) -> tuple[list[tuple[Run, Wait]], bool]:
    service = await operations()
    runs, complete = await service.search(query, limit=limit)
    waits = await _waits(service, runs)
    found = [(run, wait) for run, wait in zip(runs, waits, strict=True) if wait and whom in {None, wait.whom}]
    return sorted(found, key=lambda one: one[1].until or NEVER), complete


async def _waits(service: Operations, runs: Sequence[Run]) -> list[Wait | None]:
    async def look(run: Run) -> Wait | None:
        return wait_of(run, steps(await service.history(run))) if run.status == RunStatus.RUNNING else None

    return await asyncio.gather(*(look(run) for run in runs))


def _since(moment: datetime | None, now: datetime) -> Any:
    if moment is None:
        return ""
    soon = abs(moment - now) < timedelta(days=2)
    return ago(moment, now) if soon else f"{moment:%Y-%m-%d %H:%M}"


def _say_whether_all(complete: bool) -> None:
    if not complete:
        print_line("There are more; raise --limit for the others.", style="yellow")
