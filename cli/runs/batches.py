"""`mediagate runs bulk` and `runs batches`: the same to many runs, by Temporal's batch operations."""

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cli.actor import By
from cli.output import Json, print_json, print_line, print_table
from cli.runs.access import operations
from cli.runs.options import ANY, Kind, Library, Query, WorkflowType, Yes, steps_of, type_of
from cli.runs.times import duration
from mediagate.media.values import Status
from workflows.operations.activities import Changes
from workflows.operations.batches import FASTEST, Act, Batch, Batches, Order, ResetTo
from workflows.operations.resetting import STEPS
from workflows.operations.visibility import Filter, RunStatus

app = typer.Typer(no_args_is_help=True, help="Batch operations that `mediagate runs bulk` has started: list, stop.")

JobId = Annotated[str, typer.Argument(help="Id of the batch operation.")]


def bulk(
    act: Annotated[Act, typer.Argument(help="What to do to each run.")],
    query: Query = None,
    library: Library = None,
    stage: Annotated[Status | None, typer.Option(help="Only uploads at this stage.")] = None,
    kind: Kind = None,
    status: Annotated[list[RunStatus] | None, typer.Option(help="For reset: only runs that stand so.")] = None,
    workflow_type: WorkflowType = ANY,
    activity: Annotated[
        str | None, typer.Option(help="Only this step, or activity; default: all.", autocompletion=steps_of)
    ] = None,
    to: Annotated[ResetTo, typer.Option(help="For reset.")] = ResetTo.LAST_TASK,
    signal: Annotated[str | None, typer.Option(help="For signal: its name.")] = None,
    signal_input: Annotated[str | None, typer.Option("--input", help="For signal: its argument, as JSON.")] = None,
    timeout: Annotated[str | None, typer.Option(help="For set-options: of one attempt, as 90s, 10m, 2h.")] = None,
    max_attempts: Annotated[int | None, typer.Option(min=0, help="For set-options; 0: no limit.")] = None,
    priority: Annotated[int | None, typer.Option(min=1, max=5, help="For set-options: 1 goes first, 5 last.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=5000, help="At most so many runs.")] = 1000,
    rate: Annotated[float, typer.Option(min=0.2, max=FASTEST, help="Runs per second at most, over 5 s.")] = FASTEST,
    reason: Annotated[str, typer.Option(help="Kept in the histories, and in the audit trail.")] = "mediagate runs bulk",
    by: By = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Do the same to many runs: cancel, terminate, signal, reset, retry-activities, unpause, set-options.

    Open runs only, but for `reset`, which wants --status and goes to the beginning or the last task of each (to a step:
    `mediagate runs reset --to STEP`). The runs are picked when the command is given, so what --yes does is what was
    shown before, and no run that comes later is caught.

    Examples:

      mediagate runs bulk cancel --library demo --stage in_review

      mediagate runs bulk retry-activities --activity submit --query "BatchId = 'b-7'" --rate 5 --yes

      mediagate runs bulk set-options --activity render --timeout 20m --stage processing --yes
    """
    from cli.runs.bulk import do_many

    order = Order(
        act=act,
        activity=_activity(activity),
        signal=signal or "",
        signal_input=_json(signal_input),
        reset_to=to,
        changes=Changes(duration(timeout) if timeout else None, max_attempts, priority),
    )
    _check(order, status)
    if not any((query, library, stage, kind, status, workflow_type != ANY)):
        raise typer.BadParameter("Say which runs: --query, --library, --stage, --kind, --status or --type.")
    wanted = Filter(
        statuses=status if act is Act.RESET and status else [RunStatus.RUNNING],
        workflow_type=type_of(workflow_type),
        library=library,
        stage=stage,
        failure_kind=kind,
        raw=query,
    )
    asyncio.run(do_many(order, wanted, reason, by, limit=limit, rate=rate, yes=yes, as_json=as_json))


def _check(order: Order, status: Sequence[RunStatus] | None) -> None:
    wrong = {
        "--signal goes with signal, and signal with it.": (order.act is Act.SIGNAL) != bool(order.signal),
        "set-options needs --timeout, --max-attempts or --priority, and nothing else does.": (
            (order.act is Act.SET_OPTIONS) != bool(order.changes)
        ),
        "--status goes with reset, and reset with it.": (order.act is Act.RESET) != bool(status),
        "--activity goes with retry-activities, unpause and set-options.": (
            bool(order.activity) and order.act not in {Act.RETRY_ACTIVITIES, Act.UNPAUSE, Act.SET_OPTIONS}
        ),
    }
    for message, is_wrong in wrong.items():
        if is_wrong:
            raise typer.BadParameter(message)


def _activity(given: str | None) -> str:
    """The type of the activity that is meant; a step may be made of one only."""
    return STEPS.get(given, (given,))[0] if given else ""


def _json(given: str | None) -> Any:
    try:
        return json.loads(given) if given else None
    except ValueError:
        raise typer.BadParameter("it is no JSON", param_hint="--input") from None


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most so many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List batch operations: what they do, how far they are, who started them.

    Example: `mediagate runs batches list`
    """

    async def ask() -> list[Batch]:
        return await Batches((await operations()).client).list(limit)

    found = asyncio.run(ask())
    if as_json:
        print_json([batch.facts() for batch in found])
        return
    rows = [
        (
            one.job_id,
            one.act,
            one.state,
            one.total,
            one.done,
            one.failed,
            f"{one.started_at:%Y-%m-%d %H:%M}",
            one.reason,
        )
        for one in found
    ]
    print_table(["job", "act", "state", "runs", "done", "failed", "started (UTC)", "reason"], rows)


@app.command()
def stop(
    job_id: JobId,
    reason: Annotated[str, typer.Option(help="Kept with it, and in the audit trail.")] = "mediagate runs batches stop",
    by: By = None,
    as_json: Json = False,
) -> None:
    """Stop a batch operation: it goes no further; what is done stays done.

    Example: `mediagate runs batches stop 5c1b0c7e-8a5e-4c1e-9a65-1d8c6b7c9f10-1`
    """
    from cli.runs.bulk import stop_one

    batch = asyncio.run(stop_one(job_id, reason, by))
    if as_json:
        print_json(batch.facts())
    else:
        print_line(f"Stopped; {batch.job_id} is {batch.state}.")
