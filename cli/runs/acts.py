"""`mediagate runs reset|retry|unstick|cancel`: acts on runs, one after the other."""

import asyncio
from typing import Annotated

import typer

from cli.actor import By
from cli.output import Json
from cli.runs.access import WorkflowId, workflow_id_of
from cli.runs.options import ClosedSince, Kind, Library, Query, WorkflowType, Yes, steps_of, type_of
from cli.runs.times import duration, since
from workflows.operations.activities import Changes
from workflows.operations.visibility import BROKE, UPLOADS, Filter, RunStatus

Ids = Annotated[list[str] | None, typer.Argument(help="Workflow ids or media ids.")]
Limit = Annotated[int, typer.Option(min=1, max=5000, help="At most so many, where no runs are named.")]
Rate = Annotated[float, typer.Option(min=0.01, max=100, help="Runs per second at most.")]
StepName = Annotated[str, typer.Option(help="A step of an upload, or an activity's name.", autocompletion=steps_of)]


def reset(
    workflow_ids: Ids = None,
    to: StepName = "",
    query: Query = None,
    status: Annotated[list[RunStatus] | None, typer.Option(help="With --query: only runs that stand so.")] = None,
    library: Library = None,
    workflow_type: WorkflowType = UPLOADS,
    limit: Limit = 100,
    rate: Rate = 20.0,
    reason: Annotated[str, typer.Option(help="Kept in the history, and in the audit trail.")] = "mediagate runs reset",
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take runs back to just before a step (verify, render, submit, decide, file), open or closed, and let them go on.

    What came before is kept; the step and all after it run again; signals and updates that came later are delivered
    again. Steps are idempotent: a decision that stands stays, nothing is filed or sent twice.

    Examples:

      mediagate runs reset 3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b --to submit

      mediagate runs reset 3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b --to file --reason "bucket restored" --yes

      mediagate runs reset --to submit --query "MediaStage = 'awaiting_moderation'" --status running --rate 2 --yes
    """
    from cli.runs.repair import Selection, reset_one, resetting, resume_many

    ids = _ids(workflow_ids)
    chosen = bool(query or status or library)
    if bool(ids) == chosen:
        raise typer.BadParameter("Name runs, or say which: --query, --status, --library.")
    if not to:
        raise typer.BadParameter("Name the step.", param_hint="--to")
    if len(ids) == 1:
        asyncio.run(reset_one(ids[0], to, reason, by, yes=yes, as_json=as_json))
        return
    fitting = Filter(statuses=status or (), workflow_type=type_of(workflow_type), library=library, raw=query)
    order = resetting(to, reason, by, rate)
    asyncio.run(resume_many(Selection(ids, fitting, limit=limit), order, yes=yes, as_json=as_json))


def retry(
    workflow_ids: Ids = None,
    all_failed: Annotated[
        bool, typer.Option("--all-failed", "--failed", help="Every run that failed or timed out.")
    ] = False,
    kind: Kind = None,
    since_: ClosedSince = None,
    library: Library = None,
    workflow_type: WorkflowType = UPLOADS,
    query: Query = None,
    limit: Limit = 100,
    rate: Rate = 5.0,
    reason: Annotated[str, typer.Option(help="Kept in the history, and in the audit trail.")] = "mediagate runs retry",
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Resume failed runs at the step that failed; mend the cause first.

    Runs that were terminated or cancelled on purpose are resumed where they were stopped, but only when they are named.
    Runs that have not failed are skipped. Nothing is filed or sent twice: steps are idempotent.

    --kind, --since, --library, --query and --limit go with --all-failed.

    Examples:

      mediagate runs retry 3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b --yes

      mediagate runs retry --all-failed --kind ObjectMissing --since 1d --rate 2 --yes
    """
    from cli.runs.repair import Selection, resume_many, retrying

    ids = _ids(workflow_ids)
    if bool(ids) == all_failed:
        raise typer.BadParameter("Name runs, or give --all-failed.")
    if ids and (kind or since_ or library or query):
        raise typer.BadParameter("--kind, --since, --library and --query go with --all-failed.")
    fitting = Filter.ended(BROKE, kind, library, since(since_), type_of(workflow_type), query)
    selection = Selection(ids, fitting, kind, limit)
    asyncio.run(resume_many(selection, retrying(reason, by, rate), yes=yes, as_json=as_json))


def unstick(
    workflow_id: WorkflowId,
    activity: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this step, or activity; may be repeated. Default: all that are retried or paused.",
            autocompletion=steps_of,
        ),
    ] = None,
    pause: Annotated[bool, typer.Option("--pause", help="Start no further attempt, until --unpause.")] = False,
    unpause: Annotated[bool, typer.Option("--unpause", help="Let a paused activity go on.")] = False,
    timeout: Annotated[str | None, typer.Option(help="Give one attempt so long: 90s, 10m, 2h.")] = None,
    max_attempts: Annotated[int | None, typer.Option(min=0, help="Give up after so many; 0: never.")] = None,
    priority: Annotated[int | None, typer.Option(min=1, max=5, help="1 goes first, 5 last.")] = None,
    restore: Annotated[bool, typer.Option("--restore", help="With the options that the workflow gave it.")] = False,
    reason: Annotated[str, typer.Option(help="Kept in the audit trail.")] = "mediagate runs unstick",
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take hold of activities in a retry loop: try at once from attempt 1, with other options, or pause them.

    Options hold for this activity of this run only. The run itself is not reset and keeps its history.

    Examples:

      mediagate runs unstick 3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b --yes

      mediagate runs unstick 3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b --activity render --timeout 20m --yes

      mediagate runs unstick 3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b --pause --reason "bucket moves" --yes
    """
    from cli.runs.hold import Hold, unstick_one

    changes = Changes(duration(timeout) if timeout else None, max_attempts, priority)
    if pause + unpause > 1 or ((pause or unpause) and (changes or restore)) or (restore and changes):
        raise typer.BadParameter("--pause, --unpause, --restore and new options exclude one another.")
    hold = Hold.PAUSE if pause else Hold.UNPAUSE if unpause else Hold.RESTORE if restore else Hold.TRY_AT_ONCE
    given = (activity or (), hold, changes, reason, by)
    asyncio.run(unstick_one(workflow_id_of(workflow_id), *given, yes=yes, as_json=as_json))


def cancel(
    workflow_ids: Annotated[list[str], typer.Argument(help="Workflow ids or media ids.")],
    reason: Annotated[str, typer.Option(help="Kept in the audit trail.")] = "mediagate runs cancel",
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask open runs to stop. An upload ends as `failed`, with its files kept; `runs retry ID` resumes it.

    What is being filed is filed first. To end many: `mediagate runs bulk cancel`.

    Example: `mediagate runs cancel 3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b --reason "sent by mistake" --yes`
    """
    from cli.runs.hold import cancel_all

    asyncio.run(cancel_all(_ids(workflow_ids), reason, by, yes=yes, as_json=as_json))


def _ids(given: list[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(workflow_id_of(one) for one in given or ()))
