"""Taking hold of open runs: their pending activities, or their end."""

from collections.abc import Sequence
from enum import StrEnum

import typer

from cli.output import print_json, print_line, print_table
from cli.runs.access import operations
from cli.runs.journal import journal, on_run
from cli.runs.options import NOTHING_TO_DO
from mediagate.errors import MediagateError, NotFound
from workflows.operations.activities import ActivityOperations, Changes, chosen
from workflows.operations.resetting import short
from workflows.operations.runs import Pending, Run
from workflows.operations.visibility import RunStatus


class Hold(StrEnum):
    """What is done to an activity."""

    TRY_AT_ONCE = "try at once"
    RESTORE = "restore its options and try at once"
    PAUSE = "pause"
    UNPAUSE = "unpause"


async def unstick_one(
    workflow_id: str,
    named: Sequence[str],
    hold: Hold,
    changes: Changes,
    reason: str,
    by: str | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Show which activities are meant, and with `yes` do it.

    Raises:
        NotFound: no such run, or no such pending activity in it.
    """
    service = await operations()
    run = await service.describe(workflow_id)
    activities = chosen(run, named)
    if yes:
        facts = {"do": hold.value, "activities": [one.name for one in activities], **changes.facts()}
        async with journal(by, reason) as on_record:
            await on_record.note([on_run("run.unstick", run, **facts)])
        for one in activities:
            await _take_hold(ActivityOperations(service.client), run, one, hold, changes, reason)
    if as_json:
        told = [{"activity": one.name, "state": one.state, "attempt": one.attempt} for one in activities]
        plan = {"workflow_id": run.workflow_id, "run_id": run.run_id, "do": hold.value, "changes": changes.facts()}
        print_json({**plan, "activities": told, "done": yes})
        return
    rows = [(short(one.name), one.state, one.attempt, " ← ".join(one.last_failure)) for one in activities]
    print_table(["activity", "state", "attempt", "last failure"], rows)
    what = ", ".join([hold.value, *(f"{name} = {value:g}" for name, value in changes.facts().items())])
    print_line(f"Done: {what}." if yes else f"Would be done: {what}. Nothing was changed. Add --yes to do it.")


async def _take_hold(
    service: ActivityOperations, run: Run, activity: Pending, hold: Hold, changes: Changes, reason: str
) -> None:
    match hold:
        case Hold.PAUSE:
            await service.pause(run, activity, reason=reason)
        case Hold.UNPAUSE:
            await service.unpause(run, activity)
        case Hold.TRY_AT_ONCE | Hold.RESTORE:
            if changes:
                await service.change(run, activity, changes)
            await service.try_at_once(run, activity, restore=hold is Hold.RESTORE)


async def cancel_all(workflow_ids: Sequence[str], reason: str, by: str | None, *, yes: bool, as_json: bool) -> None:
    """Ask these runs to stop; exits with 1 if one does not exist, with 3 if none is open."""
    service = await operations()
    runs: list[Run] = []
    rows: list[tuple[str, str, str]] = []
    for workflow_id in workflow_ids:
        try:
            run = await service.describe(workflow_id)
        except NotFound as error:
            rows.append((workflow_id, "", error.message))
            continue
        if run.status == RunStatus.RUNNING:
            runs.append(run)
        else:
            rows.append((workflow_id, run.file, f"skipped: it is {run.status}"))
    unknown = len(workflow_ids) - len(runs) - sum(text.startswith("skipped") for *_, text in rows)
    if yes and runs:
        async with journal(by, reason) as on_record:
            await on_record.note([on_run("run.cancel", run) for run in runs])
    for run in runs:
        said = "asked to stop" if yes else "would be asked to stop"
        try:
            if yes:
                await service.cancel(run)
        except MediagateError as error:
            said, unknown = error.message, unknown + 1
        rows.append((run.workflow_id, run.file, said))
    if as_json:
        told = [{"workflow_id": workflow_id, "file": file, "result": said} for workflow_id, file, said in rows]
        print_json({"runs": told, "done": yes})
    else:
        print_table(["workflow", "file", "result"], rows)
        if runs and not yes:
            print_line("Nothing was changed. Add --yes to do it.")
    if unknown:
        raise typer.Exit(1)
    if not runs:
        raise typer.Exit(NOTHING_TO_DO)
