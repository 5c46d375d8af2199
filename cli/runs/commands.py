"""`mediagate runs`: find, inspect and repair runs. Here are `list` and `show`; the rest is mounted at the end."""

import asyncio
from typing import Annotated

import typer

from cli.output import Json, print_json, print_line
from cli.runs import acts, batches, finding, histories
from cli.runs.access import Shown, WorkflowId, operations, workflow_id_of
from cli.runs.options import Library, Query, WorkflowType, type_of
from cli.runs.story import print_runs
from cli.runs.times import since
from mediagate.media.values import Status, Verdict
from workflows.operations.runs import Run
from workflows.operations.visibility import UPLOADS, Filter, RunStatus

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Find, inspect and repair runs: each upload is one run of a workflow.\n\n"
    "The Temporal service is that of TEMPORAL_ADDRESS (or a profile), else of the local stack on "
    "MEDIAGATE_STATE_DIR.\n\n"
    "What changes runs shows only what it would do, unless told `--yes`, and is put on record in the audit trail "
    "before it is done (`mediagate audit list`); without the database it is not done.\n\n"
    "Exit codes: 0 done, or shown what would be done; 1 failed: unknown id, a service away, an act that did not go "
    "through for a run; 2 wrong usage; 3 nothing to do: none of the runs is such that it could be done; 4 found: "
    "(`stuck`) runs are stuck, (`check`) histories do not fit the code.",
)


@app.command("list")
def list_(
    status: Annotated[list[RunStatus] | None, typer.Option(help="Only runs that stand so; may be repeated.")] = None,
    library: Library = None,
    stage: Annotated[Status | None, typer.Option(help="Only uploads at this stage.")] = None,
    verdict: Annotated[Verdict | None, typer.Option(help="Only uploads filed with this verdict.")] = None,
    since_: Annotated[str | None, typer.Option("--since", help="Started since: 30m, 2h, 7d or a time (UTC).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    workflow_type: WorkflowType = UPLOADS,
    query: Query = None,
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
        workflow_type=type_of(workflow_type),
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


for command in (
    finding.failed,
    finding.stuck,
    finding.waiting,
    acts.reset,
    acts.retry,
    acts.unstick,
    acts.cancel,
    batches.bulk,
    histories.export,
    histories.check,
):
    app.command()(command)
app.add_typer(batches.app, name="batches")
