"""Starting imports and giving them orders; see `workflows.client`."""

from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from mediagate.moderation.lanes import Lane
from workflows import names, policies
from workflows.client import Flows, answered, bounded
from workflows.import_messages import ImportInput, ImportOrder, ImportProgress

IMPORT_WORKFLOW = "BatchImportWorkflow"


async def start_import(flows: Flows, job: ImportInput) -> bool:
    """Start the workflow of an import's round whose row is there, once whatever happens; False if it had run to an end
    before.

    Raises:
        WorkflowsUnavailable: the service did not answer in time; the start may or may not have happened.
    """
    attributes = [
        SearchAttributePair(names.LIBRARY, job.library),
        SearchAttributePair(names.BATCH_ID, job.import_id),
    ]
    try:
        with bounded():
            await flows.client.start_workflow(
                IMPORT_WORKFLOW,
                job,
                id=names.import_id(job.import_id, job.round),
                task_queue=names.task_queue(flows.prefix, names.Role.FLOW),
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                search_attributes=TypedSearchAttributes(attributes),
                static_summary=f"import of many objects into {job.library}",
                priority=policies.priority_of(Lane.BULK, job.library),
                rpc_timeout=policies.START_RPC,
            )
    except WorkflowAlreadyStartedError:
        return False
    return True


async def order_import(flows: Flows, import_id: str, round_: int, act: str, order: ImportOrder) -> ImportProgress:
    """`pause`, `resume` or `cancel` an import.

    Raises:
        Conflict: it is not at a point where that is possible.
        NotFound: it has ended, or was never started.
        WorkflowsUnavailable: no answer in time; look at the import again.
    """
    handle = flows.client.get_workflow_handle(names.import_id(import_id, round_))
    with answered(), bounded(about_a_run=True):
        progress: ImportProgress = await handle.execute_update(
            act, order, result_type=ImportProgress, rpc_timeout=policies.UPDATE_RPC
        )
        return progress
