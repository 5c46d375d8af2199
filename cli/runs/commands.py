"""`mediagate runs`: find, inspect and repair runs of uploads."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from cli.output import Json, print_json, print_line, print_table
from cli.runs.access import Shown, WorkflowId, operations, workflow_id_of
from cli.runs.times import ago, since, span
from mediagate.media.values import Status, Verdict
from workflows.operations.runs import Run
from workflows.operations.visibility import ENDED_BADLY, UPLOADS, Filter, RunStatus

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Find, inspect and repair runs: each upload is one run of a workflow.\n\n"
    "The Temporal service is that of TEMPORAL_ADDRESS (or a profile), else of the local stack on "
    "MEDIAGATE_STATE_DIR.\n\n"
    "Exit codes: 0 done, or shown what would be done; 1 failed: unknown id, service away, a reset that did not go "
    "through; 2 wrong usage; 3 (`retry`) nothing to do, because none of the runs has failed.",
)

Library = Annotated[str | None, typer.Option(help="Only this library.")]
Since = Annotated[str | None, typer.Option(help="A span like 30m, 2h or 7d, or a time like 2026-01-31T08:00 (UTC).")]
COLOURS = {"running": "cyan", "completed": "green", "failed": "red", "timed_out": "red"}


@app.command("list")
def list_(
    status: Annotated[list[RunStatus] | None, typer.Option(help="Only runs that stand so; may be repeated.")] = None,
    library: Library = None,
    stage: Annotated[Status | None, typer.Option(help="Only uploads at this stage.")] = None,
    verdict: Annotated[Verdict | None, typer.Option(help="Only uploads filed with this verdict.")] = None,
    since_: Annotated[str | None, typer.Option("--since", help="Started since: 30m, 2h, 7d or a time (UTC).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    workflow_type: Annotated[str, typer.Option("--type", help="Workflow type; `any` for all.")] = UPLOADS,
    query: Annotated[str | None, typer.Option(help="A further condition in Temporal's list filter language.")] = None,
    as_json: Json = False,
) -> None:
    """List runs, newest first; those still running come before closed ones where the limit cuts off.

    Examples:

      mediagate runs list --status running --stage in_review

      mediagate runs list --library demo --verdict reject --since 2h

      mediagate runs list --query "ReviewDueAt < '2026-01-31T08:00:00Z'" --json
    """
    wanted = Filter(
        statuses=status or (),
        workflow_type=None if workflow_type == "any" else workflow_type,
        library=library,
        stage=stage,
        verdict=verdict,
        started_after=since(since_),
        raw=query,
    )
    runs, total = asyncio.run(_find(wanted, limit))
    if as_json:
        print_json({"runs": [run.facts() for run in runs], "total": total})
        return
    print_runs(runs)
    print_line(f"{len(runs)} of {total} runs.")


@app.command()
def show(
    workflow_id: WorkflowId,
    run: Annotated[str | None, typer.Option(help="Run id; default: the current run.")] = None,
    as_json: Json = False,
) -> None:
    """Show what a run has done, what it is doing, and why it failed; and what to do next.

    Examples:

      mediagate runs show 3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b

      mediagate runs show media-3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b --json | jq .steps
    """
    from cli.runs.story import print_story

    shown = asyncio.run(_inspect(workflow_id_of(workflow_id), run))
    if as_json:
        print_json(shown.facts())
    else:
        print_story(shown)


@app.command()
def failed(
    kind: Annotated[str | None, typer.Option(help="Only this kind, e.g. ObjectMissing.")] = None,
    since_: Annotated[str | None, typer.Option("--since", help="Closed since: 30m, 2h, 7d or a time (UTC).")] = None,
    library: Library = None,
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
    wanted = Filter.ended(ENDED_BADLY, kind, library, since(since_))
    found, total = asyncio.run(_find(wanted, limit))
    runs = [run for run in found if run.current and kind in {None, run.failure_kind}]
    kinds = Counter(run.failure_kind for run in runs).most_common()
    if as_json:
        print_json({"kinds": dict(kinds), "runs": [run.facts() for run in runs], "complete": total <= len(found)})
        return
    if not runs:
        print_line("No failed runs.")
        return
    print_table(["failure kind", "runs"], kinds)
    print_runs(runs)
    if total > len(found):
        print_line(f"Looked at {len(found)} of {total}; raise --limit for the others.", style="yellow")
    print_line("Next: `mediagate runs show ID`, then `mediagate runs retry ID` or `mediagate runs retry --all-failed`.")


@app.command()
def reset(
    workflow_id: WorkflowId,
    to: Annotated[str, typer.Option(help="verify, render, submit, decide, file, notify, or an activity's name.")],
    reason: Annotated[str, typer.Option(help="Kept in the history.")] = "mediagate runs reset",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would happen is shown.")] = False,
    as_json: Json = False,
) -> None:
    """Take a run back to just before a step, open or closed, and let it go on from there.

    What came before is kept; the step and all after it run again; signals and updates that came later are delivered
    again. Steps are idempotent: a decision that stands stays, nothing is filed or sent twice.

    Examples:

      mediagate runs reset 3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b --to submit

      mediagate runs reset 3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b --to file --reason "bucket restored" --yes
    """
    from cli.runs.repair import reset_one

    asyncio.run(reset_one(workflow_id_of(workflow_id), to, reason, yes=yes, as_json=as_json))


@app.command()
def retry(
    workflow_ids: Annotated[list[str] | None, typer.Argument(help="Workflow ids or media ids.")] = None,
    all_failed: Annotated[bool, typer.Option("--all-failed", help="Every run that failed or timed out.")] = False,
    kind: Annotated[str | None, typer.Option(help="With --all-failed: only this failure kind.")] = None,
    since_: Annotated[str | None, typer.Option("--since", help="With --all-failed: closed since, like 2h.")] = None,
    library: Annotated[str | None, typer.Option(help="With --all-failed: only this library.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=5000, help="With --all-failed: at most so many.")] = 100,
    rate: Annotated[float, typer.Option(min=0.01, max=100, help="Resets per second at most.")] = 5.0,
    reason: Annotated[str, typer.Option(help="Kept in the history.")] = "mediagate runs retry",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would happen is shown.")] = False,
    as_json: Json = False,
) -> None:
    """Resume failed runs at the step that failed; mend the cause first.

    Runs that were terminated or cancelled on purpose are resumed where they were stopped, but only when they are named.
    Runs that have not failed are skipped. Nothing is filed or sent twice: steps are idempotent.

    Examples:

      mediagate runs retry 3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b --yes

      mediagate runs retry --all-failed --kind ObjectMissing --since 1d --rate 2 --yes
    """
    from cli.runs.repair import Selection, retry_many

    if bool(workflow_ids) == all_failed:
        raise typer.BadParameter("Name runs, or give --all-failed.")
    if not all_failed and (kind or since_ or library):
        raise typer.BadParameter("--kind, --since and --library go with --all-failed.")
    ids = tuple(dict.fromkeys(workflow_id_of(one) for one in workflow_ids or ()))
    selection = Selection(ids, kind=kind, library=library, closed_after=since(since_), limit=limit)
    asyncio.run(retry_many(selection, reason, rate=rate, yes=yes, as_json=as_json))


def print_runs(runs: Sequence[Run]) -> None:
    """The table of runs."""
    now = datetime.now(UTC)
    rows = [
        (
            run.workflow_id,
            run.file,
            run.stage,
            run.verdict or run.failure_kind,
            Text(run.status + (" (reset)" if run.superseded_by else ""), style=COLOURS.get(run.status, "yellow")),
            ago(run.started_at, now),
            span(((run.closed_at or now) - run.started_at).total_seconds()),
        )
        for run in runs
    ]
    print_table(["workflow", "file", "stage", "verdict or failure", "status", "started", "took"], rows)


async def _find(wanted: Filter, limit: int) -> tuple[list[Run], int]:
    service = await operations()
    query = wanted.query()
    return await service.find(query, limit=limit), await service.count(query)


async def _inspect(workflow_id: str, run_id: str | None) -> Shown:
    service = await operations()
    run = await service.describe(workflow_id, run_id)
    events = await service.history(run)
    details = await service.current_details(run) if run.status == RunStatus.RUNNING else ""
    return Shown.of(run, events, details, service.client.namespace)
