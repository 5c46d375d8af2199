"""Starting and watching copies and moves between stores; as `workflows.client`, whose connection they use."""

from contextlib import suppress
from typing import Any

from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowQueryFailedError
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, is_cancelled_exception
from temporalio.service import RPCError

from mediagate.errors import Conflict, WorkflowsUnavailable
from mediagate.moderation.lanes import Lane
from workflows import names, policies
from workflows.client import Flows
from workflows.store_messages import StoreMoveInput, StoreMoveProgress

STORE_MOVE_WORKFLOW = "StoreMoveWorkflow"

Handle = WorkflowHandle[Any, StoreMoveProgress]


async def start(flows: Flows, job: StoreMoveInput) -> Handle:
    """Start the run, or join the one that does the same for this library already.

    Raises:
        Conflict: something else is done with this library and a store.
        WorkflowsUnavailable: the service did not answer in time.
    """
    try:
        handle: Handle = await flows.client.start_workflow(
            STORE_MOVE_WORKFLOW,
            job,
            id=names.store_move_id(job.library),
            task_queue=names.task_queue(flows.prefix, names.Role.FLOW),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            memo={"what": _what(job)},
            search_attributes=TypedSearchAttributes([SearchAttributePair(names.LIBRARY, job.library)]),
            result_type=StoreMoveProgress,
            static_summary=f"{job.act.value} {job.library}: {job.store}",
            priority=policies.priority_of(Lane.BULK, job.library),
            rpc_timeout=policies.START_RPC,
        )
        running = await (await handle.describe(rpc_timeout=policies.START_RPC)).memo_value("what", type_hint=str)
    except (RPCError, RuntimeError) as error:
        raise WorkflowsUnavailable(retry_after=2) from error
    if running != _what(job):
        raise Conflict(f"There is a run at work already, {handle.id}: {running}. Wait for its end, or cancel it.")
    return handle


async def progress(handle: Handle) -> StoreMoveProgress | None:
    """How far it is; None while no worker answers."""
    with suppress(RPCError, WorkflowQueryFailedError):
        found: StoreMoveProgress = await handle.query(
            "progress", result_type=StoreMoveProgress, rpc_timeout=policies.START_RPC
        )
        return found
    return None


async def result(handle: Handle) -> StoreMoveProgress:
    """What came of it, once it has ended.

    Raises:
        Conflict: it was refused, failed, or was cancelled; the message says why.
    """
    try:
        return await handle.result()
    except WorkflowFailureError as error:
        if is_cancelled_exception(error.cause):
            raise Conflict("It was cancelled.") from error
        cause: BaseException | None = error
        while cause and not isinstance(cause, ApplicationError):
            cause = cause.__cause__
        raise Conflict(cause.message if isinstance(cause, ApplicationError) else str(error.cause)) from error


def _what(job: StoreMoveInput) -> str:
    return f"{job.act.value} to {job.store}"
