"""The one place from which workflows are started and messaged.

Every call is bounded in time and raises `WorkflowsUnavailable` when the service does not answer: callers keep the row
and leave the rest to the sweep.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from mediagate.errors import Conflict, InvalidRequest, NotFound, QueueUnserved, WorkflowsUnavailable
from mediagate.media.values import Status
from mediagate.moderation.findings import VendorEvent
from mediagate.moderation.lanes import Lane
from workflows import names, policies
from workflows.messages import AbortRequest, DecisionResult, HumanDecision, RemoderateInput, TakedownInput, UploadInput

UPLOAD_WORKFLOW = "UploadWorkflow"
SWEEP_WORKFLOW = "SweepWorkflow"
TAKEDOWN_WORKFLOW = "TakedownWorkflow"
REMODERATION_WORKFLOW = "RemoderationWorkflow"

_REUSE = {False: WorkflowIDReusePolicy.REJECT_DUPLICATE, True: WorkflowIDReusePolicy.ALLOW_DUPLICATE}
_CONFLICT = {False: WorkflowIDConflictPolicy.USE_EXISTING, True: WorkflowIDConflictPolicy.TERMINATE_EXISTING}
"""By whether an upload is started anew."""


class Flows:
    """Starts and messages the workflows of one deployment."""

    def __init__(self, client: Client, *, prefix: str = names.DEFAULT_PREFIX) -> None:
        self.client = client
        self.prefix = prefix

    async def start_upload(self, upload: UploadInput, *, link: str = "", anew: bool = False) -> str | None:
        """Start the upload's run, once whatever happens; the run id, or None if it had run to an end before.

        `link`: where the Web UI sends an operator who wants to see the item. `anew`: in place of any run of it that
        there is or was, because rows were restored that know nothing of that.

        Raises:
            WorkflowsUnavailable: the service did not answer in time; the start may or may not have happened.
        """
        attributes = [
            SearchAttributePair(names.MEDIA_STAGE, Status.PROCESSING.value),
            SearchAttributePair(names.LIBRARY, upload.library),
        ]
        if upload.batch_id:
            attributes.append(SearchAttributePair(names.BATCH_ID, upload.batch_id))
        try:
            with bounded():
                handle = await self.client.start_workflow(
                    UPLOAD_WORKFLOW,
                    upload,
                    id=names.workflow_id(upload.media_id),
                    task_queue=names.task_queue(self.prefix, names.Role.FLOW),
                    id_reuse_policy=_REUSE[anew],
                    id_conflict_policy=_CONFLICT[anew],
                    search_attributes=TypedSearchAttributes(attributes),
                    priority=policies.priority_of(upload.lane, upload.library),
                    static_summary=plain(f"{upload.filename} in {upload.library}"),
                    static_details=f"[Media {upload.media_id}]({link}), tracking id {plain(upload.tracking_id)}",
                    rpc_timeout=policies.START_RPC,
                )
        except WorkflowAlreadyStartedError:
            return None
        return handle.first_execution_run_id or handle.result_run_id

    async def signal_moderation(self, media_id: str, event: VendorEvent) -> bool:
        """Hand a vendor's event to the run; False if there is no open run of that id.

        Raises:
            WorkflowsUnavailable: the service did not answer in time.
        """
        try:
            with bounded(about_a_run=True):
                await self.client.get_workflow_handle(names.workflow_id(media_id)).signal(
                    "moderation_event", event, rpc_timeout=policies.START_RPC
                )
        except NotFound:
            return False
        return True

    async def remoderate(self, job: RemoderateInput) -> None:
        """Have an item that is decided decided anew; while that is under way, asking again does nothing.

        Raises:
            WorkflowsUnavailable: the service did not answer in time.
        """
        with bounded():
            await self.client.start_workflow(
                REMODERATION_WORKFLOW,
                job,
                id=names.remoderation_id(job.media_id),
                task_queue=names.task_queue(self.prefix, names.Role.FLOW),
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                search_attributes=TypedSearchAttributes([SearchAttributePair(names.LIBRARY, job.library)]),
                static_summary=plain(f"decide anew: {job.cause}"),
                priority=policies.priority_of(Lane.SLOW, job.library),
                rpc_timeout=policies.START_RPC,
            )

    async def decide(self, media_id: str, decision: HumanDecision) -> DecisionResult:
        """A person's verdict. Raises Conflict if no review is open, NotFound without a run, WorkflowsUnavailable."""
        try:
            return await self._update(names.workflow_id(media_id), "decide", decision)
        except NotFound:  # the upload has ended: a review that is open is one of a later round
            return await self._update(names.remoderation_id(media_id), "decide", decision)

    async def abort(self, media_id: str, request: AbortRequest) -> DecisionResult:
        """Stop an upload. Raises Conflict if it is decided, NotFound without an open run, WorkflowsUnavailable."""
        return await self._update(names.workflow_id(media_id), "abort", request)

    async def takedown(self, takedown: TakedownInput) -> DecisionResult:
        """Withdraw an approved item; returns once its row is closed, so that nothing of it is public any more.

        Files and caches follow. Joins the run that is at it already, if one is; when that has ended, the same takedown
        again repeats its steps, which have the effect of once, and purges caches again.

        Raises:
            Conflict: the run failed before the row was closed.
            WorkflowsUnavailable: no answer in time; the takedown may or may not be under way.
        """
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            TAKEDOWN_WORKFLOW,
            takedown,
            id=names.takedown_id(takedown.media_id),
            task_queue=names.task_queue(self.prefix, names.Role.FLOW),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=TypedSearchAttributes([SearchAttributePair(names.LIBRARY, takedown.library)]),
            static_summary=plain(f"take down: {takedown.reason}, by {takedown.actor}"),
        )
        with answered(), bounded():
            decision: DecisionResult = await self.client.execute_update_with_start_workflow(
                "closed", start_workflow_operation=start, result_type=DecisionResult, rpc_timeout=policies.UPDATE_RPC
            )
            return decision

    async def _update(self, workflow_id: str, update: str, payload: HumanDecision | AbortRequest) -> DecisionResult:
        handle = self.client.get_workflow_handle(workflow_id)
        with answered(), bounded(about_a_run=True):
            decision: DecisionResult = await handle.execute_update(
                update, payload, result_type=DecisionResult, rpc_timeout=policies.UPDATE_RPC
            )
            return decision

    async def ready(self) -> None:
        """Raise WorkflowsUnavailable unless the service answers."""
        with bounded():
            await self.client.service_client.check_health(timeout=timedelta(seconds=2))

    async def backlog(self, role: names.Role) -> tuple[int, float]:
        """Roughly how many activities wait on the role's task queue, and how many are dispatched per second.

        Raises:
            WorkflowsUnavailable: the service did not answer in time.
        """
        request = DescribeTaskQueueRequest(
            namespace=self.client.namespace,
            task_queue=TaskQueue(name=names.task_queue(self.prefix, role)),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            report_stats=True,
        )
        with bounded():
            stats = (
                await self.client.workflow_service.describe_task_queue(request, timeout=timedelta(seconds=2))
            ).stats
        return stats.approximate_backlog_count, stats.tasks_dispatch_rate

    async def served(self, role: names.Role) -> None:
        """Raise QueueUnserved unless a worker polls the role's task queue, WorkflowsUnavailable without an answer."""
        kind = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
        if role is names.Role.FLOW:
            kind = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
        request = DescribeTaskQueueRequest(
            namespace=self.client.namespace,
            task_queue=TaskQueue(name=names.task_queue(self.prefix, role)),
            task_queue_type=kind,
        )
        with bounded():
            answer = await self.client.workflow_service.describe_task_queue(request, timeout=timedelta(seconds=2))
        if not answer.pollers:
            raise QueueUnserved


@contextmanager
def answered() -> Iterator[None]:
    """Bring the refusal of an update into the project's error tree."""
    try:
        yield
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        message = cause.message if isinstance(cause, ApplicationError) else str(cause)
        invalid = isinstance(cause, ApplicationError) and cause.type == InvalidRequest.__name__
        raise (InvalidRequest if invalid else Conflict)(message) from error


@contextmanager
def bounded(*, about_a_run: bool = False) -> Iterator[None]:
    """Bring the client's failures into the project's error tree. `about_a_run`: the call asks for an existing run."""
    try:
        yield
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        raise WorkflowsUnavailable("The workflow did not answer in time; look at the status again.") from error
    except RPCError as error:
        if about_a_run and _no_such_run(error):
            raise NotFound("There is no open workflow for this.") from error
        raise WorkflowsUnavailable(retry_after=2) from error
    except RuntimeError as error:  # a lazy client that cannot connect
        raise WorkflowsUnavailable(retry_after=2) from error


def _no_such_run(error: RPCError) -> bool:
    # A server that has just started does not know the namespace yet, and says so with the same status.
    kinds = [detail.type_url.rpartition(".")[2] for detail in error.grpc_status.details]
    return error.status is RPCStatusCode.NOT_FOUND and "NamespaceNotFoundFailure" not in kinds


def plain(text: str) -> str:
    """Text for the Web UI, which renders Markdown: one line, at most 180 characters, nothing that formats or links."""
    safe = "".join(c if c.isprintable() and c not in "`*_[]()<>|\\#~" else " " for c in text)
    return " ".join(safe.split())[:180]
