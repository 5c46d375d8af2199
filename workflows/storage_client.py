"""Starting the workflows that care for what is stored."""

from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy

from mediagate.moderation.lanes import Lane
from workflows import names, policies
from workflows.client import Flows, bounded
from workflows.storage_messages import RetentionCounts, RetentionInput, ScrubInput, ScrubResult, TrashInput

TRASH_WORKFLOW = "TrashWorkflow"
RETENTION_WORKFLOW = "RetentionWorkflow"
SCRUB_WORKFLOW = "ScrubWorkflow"


async def start_trash(flows: Flows, job: TrashInput) -> None:
    """Have caches forget an item that was thrown away; while that is under way, asking again does nothing.

    Raises:
        WorkflowsUnavailable: the service did not answer in time.
    """
    with bounded():
        await flows.client.start_workflow(
            TRASH_WORKFLOW,
            job,
            id=names.trash_id(job.media_id),
            task_queue=names.task_queue(flows.prefix, names.Role.FLOW),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=TypedSearchAttributes([SearchAttributePair(names.LIBRARY, job.library)]),
            static_summary="caches forget an item that was thrown away",
            priority=policies.priority_of(Lane.SLOW, job.library),
            rpc_timeout=policies.START_RPC,
        )


async def start_retention(flows: Flows, job: RetentionInput) -> WorkflowHandle[Any, RetentionCounts]:
    """Apply retention now; joins a run that somebody asked for and that is not over.

    Raises:
        WorkflowsUnavailable: the service did not answer in time.
    """
    with bounded():
        return await flows.client.start_workflow(
            RETENTION_WORKFLOW,
            job,
            id=names.retention_id(flows.prefix, job.library),
            task_queue=names.task_queue(flows.prefix, names.Role.FLOW),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            result_type=RetentionCounts,
            static_summary=f"retention of {job.library or 'every library'}, by {job.actor}",
            rpc_timeout=policies.START_RPC,
        )


async def start_scrub(flows: Flows, job: ScrubInput) -> WorkflowHandle[Any, ScrubResult]:
    """Compare the store with the rows; joins a scrub of the same things that somebody asked for and that is not over.

    Raises:
        WorkflowsUnavailable: the service did not answer in time.
    """
    with bounded():
        return await flows.client.start_workflow(
            SCRUB_WORKFLOW,
            job,
            id=names.scrub_id(flows.prefix, job.library),
            task_queue=names.task_queue(flows.prefix, names.Role.FLOW),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            result_type=ScrubResult,
            static_summary=f"{'quick ' if job.quick else ''}scrub of {job.library or 'everything'}, by {job.actor}",
            rpc_timeout=policies.START_RPC,
        )
