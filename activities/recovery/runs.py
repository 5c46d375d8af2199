"""What becomes of runs after a restore: Temporal's are of another time than the rows, or gone.

Rows are the outbox: what is not decided owes a start, and the sweep pays. What is decided stays decided.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio.service import RPCError, RPCStatusCode

from activities.outbox import LOST_RUN
from db.repositories.audit import Actor
from db.repositories.recovery import OpenRound, RecoveryRepository
from db.session import Database
from mediagate.errors import WorkflowsUnavailable
from workflows import names
from workflows.client import SWEEP_WORKFLOW, Flows
from workflows.messages import RemoderateInput

RESTORED = "restored"
"""The cause of a round that is led to its end anew."""


@dataclass
class Resumed:
    """What was found, and done."""

    ended: int = 0
    """Runs that were still at work on rows of another time."""
    owed: int = 0
    """Uploads that the sweep starts."""
    imports: int = 0
    """Imports that the sweep lets go on."""
    rounds: int = 0
    """Later rounds that were started."""
    policy_runs: int = 0
    """Runs of policies that are to be asked for again."""


async def resume(
    db: Database, flows: Flows | None, actor: Actor, *, review: timedelta, reason: str, backup_id: str = ""
) -> Resumed:
    """Have everything that is not decided begin anew, on restored rows. API and workers must not be at work.

    flows: None leaves Temporal alone: open later rounds are then not led on. Run again: the effect of once, but that
    reviews have their whole time again.

    Raises:
        WorkflowsUnavailable: Temporal does not answer; nothing was changed.
    """
    done = Resumed()
    if flows:
        done.ended = await _end_runs(flows, reason)
    async with db.transaction() as tx:
        rows = RecoveryRepository(tx.session)
        await rows.take_time()
        done.owed = await rows.reowe_starts(LOST_RUN)
        done.imports = await rows.reowe_imports()
        done.policy_runs = await rows.end_policy_runs(f"its run was lost: {reason}")
        rounds = await rows.open_rounds()
        facts = {"backup": backup_id, "owed": done.owed, "rounds": len(rounds), "policy_runs": done.policy_runs}
        await tx.audit.note("backup.restored", f"backup:{backup_id}", actor, reason=reason, data=facts)
    if flows:
        await _lead_on(flows, rounds, review, reason)
        done.rounds = len(rounds)
    return done


async def _lead_on(flows: Flows, rounds: Sequence[OpenRound], review: timedelta, reason: str) -> None:
    try:
        for one in rounds:
            # A run of it that the listing did not show yet would be joined.
            await _terminated(flows, names.remoderation_id(str(one.media_id)), None, reason)
            await flows.remoderate(_again(one, review))
    except (RPCError, RuntimeError) as error:
        raise WorkflowsUnavailable(retry_after=2) from error


def _again(one: OpenRound, review: timedelta) -> RemoderateInput:
    """Its decision, if it has one, stands, so the run begins with the review or with the filing."""
    return RemoderateInput(
        media_id=str(one.media_id),
        library=one.library,
        tracking_id=one.tracking_id,
        round=one.round,
        cause=RESTORED,
        review=review,
    )


async def _end_runs(flows: Flows, reason: str) -> int:
    """Terminate every run of this deployment that is open: what it remembers is not what the rows say."""
    queue = names.task_queue(flows.prefix, names.Role.FLOW)
    query = f'TaskQueue = "{queue}" AND ExecutionStatus = "Running" AND WorkflowType != "{SWEEP_WORKFLOW}"'
    ended = 0
    try:
        async for run in flows.client.list_workflows(query):
            ended += await _terminated(flows, run.id, run.run_id, reason)
    except (RPCError, RuntimeError) as error:
        raise WorkflowsUnavailable(retry_after=2) from error
    return ended


async def _terminated(flows: Flows, workflow_id: str, run_id: str | None, reason: str) -> bool:
    """False if there is no such run that is open."""
    try:
        await flows.client.get_workflow_handle(workflow_id, run_id=run_id).terminate(reason=reason)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True
