"""Starting policy runs and giving them orders; see `workflows.client`."""

from contextlib import suppress

from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from mediagate.moderation.lanes import Lane
from workflows import names, policies
from workflows.client import Flows, answered, bounded, plain
from workflows.policy_run_messages import PolicyRunInput, PolicyRunProgress, RunOrder

POLICY_RUN_WORKFLOW = "PolicyRunWorkflow"


async def start_policy_run(flows: Flows, job: PolicyRunInput) -> None:
    """Start the run whose row is there; once whatever happens.

    Raises:
        WorkflowsUnavailable: the service did not answer in time; the start may or may not have happened.
    """
    with suppress(WorkflowAlreadyStartedError), bounded():
        await flows.client.start_workflow(
            POLICY_RUN_WORKFLOW,
            job,
            id=names.policy_run_id(job.run_id),
            task_queue=names.task_queue(flows.prefix, names.Role.FLOW),
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=TypedSearchAttributes([SearchAttributePair(names.LIBRARY, job.library)]),
            static_summary=plain(f"{job.mode.value} of a policy in {job.library}, by {job.actor}"),
            priority=policies.priority_of(Lane.BULK, job.library),
            rpc_timeout=policies.START_RPC,
        )


async def order_policy_run(flows: Flows, run_id: str, order: str, actor: str) -> PolicyRunProgress:
    """`confirm`, `pause`, `resume` or `cancel` a run.

    Raises:
        Conflict: the run is not at a point where that is possible.
        NotFound: it has ended, or was never started.
        WorkflowsUnavailable: no answer in time; look at the run again.
    """
    handle = flows.client.get_workflow_handle(names.policy_run_id(run_id))
    with answered(), bounded(about_a_run=True):
        progress: PolicyRunProgress = await handle.execute_update(
            order, RunOrder(actor=actor), result_type=PolicyRunProgress, rpc_timeout=policies.UPDATE_RPC
        )
        return progress
