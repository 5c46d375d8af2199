"""Starting the workflows that make further pictures; see `workflows.client`."""

from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy

from mediagate.moderation.lanes import Lane
from workflows import names, policies
from workflows.client import Flows, bounded
from workflows.rendition_messages import RebuildInput, RebuildResult, RenditionInput

RENDITION_WORKFLOW = "RenditionWorkflow"
REBUILD_WORKFLOW = "RebuildWorkflow"


async def start_renditions(flows: Flows, media_id: str, library: str) -> None:
    """Have the pictures made that an approved item's library wants of it; while that runs, asking again does
    nothing.

    Raises:
        WorkflowsUnavailable: the service did not answer in time.
    """
    with bounded():
        await flows.client.start_workflow(
            RENDITION_WORKFLOW,
            RenditionInput(media_id=media_id, library=library),
            id=names.renditions_id(media_id),
            task_queue=names.task_queue(flows.prefix, names.Role.FLOW),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary="further pictures of an approved item",
            priority=policies.priority_of(Lane.BULK, library),
            rpc_timeout=policies.START_RPC,
        )


async def start_rebuild(flows: Flows, job: RebuildInput) -> WorkflowHandle[Any, RebuildResult]:
    """Make a library's stale pictures anew; joins the rebuild that runs already, if one does.

    Raises:
        WorkflowsUnavailable: the service did not answer in time.
    """
    with bounded():
        return await flows.client.start_workflow(
            REBUILD_WORKFLOW,
            job,
            id=names.rebuild_id(job.library),
            task_queue=names.task_queue(flows.prefix, names.Role.FLOW),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            result_type=RebuildResult,
            static_summary=f"rebuild stale pictures of {job.library}",
            priority=policies.priority_of(Lane.BULK, job.library),
            rpc_timeout=policies.START_RPC,
        )
