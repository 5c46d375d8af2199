"""Finding, inspecting and resetting runs, for operators; what `workflows.client` is for the application.

Every call is bounded in time. Raises `WorkflowsUnavailable` when the service does not answer.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from uuid import NAMESPACE_URL, uuid5

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType, ResetReapplyType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowQueryFailedError, WorkflowQueryRejectedError
from temporalio.service import RPCError, RPCStatusCode

from mediagate.errors import InvalidRequest, NotFound, WorkflowsUnavailable
from workflows.operations.resetting import ResetPoint
from workflows.operations.runs import Run, described

CALL = timedelta(seconds=10)
LOOK = timedelta(seconds=3)
"""How long a worker may take to say what a run is doing; people wait for it, and can do without."""

AT_ONCE = 8
"""Descriptions asked for at the same time."""


class Operations:
    """What an operator asks of the workflow service."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def ready(self) -> None:
        """Raise WorkflowsUnavailable unless the service answers."""
        with _translated():
            await self.client.service_client.check_health(timeout=timedelta(seconds=5))

    async def count(self, query: str) -> int:
        """How many runs match. Raises InvalidRequest for a query that the service does not understand."""
        with _translated():
            answer = await self.client.count_workflows(query, rpc_timeout=CALL)
        return answer.count

    async def find(self, query: str, *, limit: int) -> list[Run]:
        """At most `limit` runs: those that run first, then those that closed last; sorted by start, newest first.

        Each is described afresh, because the visibility store lags behind and knows no summaries. Raises
        InvalidRequest for a query that the service does not understand.
        """
        with _translated():
            pages = self.client.list_workflows(query, limit=limit, page_size=min(limit, 500), rpc_timeout=CALL)
            listed = [(one.id, one.run_id) async for one in pages]
        slots = asyncio.Semaphore(AT_ONCE)

        async def look(workflow_id: str, run_id: str) -> Run | None:
            async with slots:
                try:
                    return await self.describe(workflow_id, run_id)
                except NotFound:  # its retention ended meanwhile
                    return None

        found = await asyncio.gather(*(look(*one) for one in listed))
        return sorted((run for run in found if run), key=lambda run: run.started_at, reverse=True)

    async def describe(self, workflow_id: str, run_id: str | None = None) -> Run:
        """The run, by default the current one of the workflow. Raises NotFound."""
        with _translated(f"There is no run of the workflow {workflow_id!r}."):
            handle = self.client.get_workflow_handle(workflow_id, run_id=run_id)
            return described((await handle.describe(rpc_timeout=CALL)).raw_description)

    async def history(self, run: Run) -> Sequence[HistoryEvent]:
        """Every event of the run, in order. Raises NotFound."""
        with _translated(f"There is no history of the workflow {run.workflow_id!r}."):
            handle = self.client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
            return (await handle.fetch_history(rpc_timeout=CALL)).events

    async def current_details(self, run: Run) -> str:
        """What the run says it is doing; empty if no worker answers in time."""
        handle = self.client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
        try:
            answer = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata, rpc_timeout=LOOK)
        except (RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError):
            return ""
        details: str = answer.current_details
        return details

    async def reset(self, run: Run, point: ResetPoint, *, reason: str) -> str:
        """Put a new run in the place of this one, from the point on; the new run's id.

        A run that is open is terminated. Idempotent: the same run reset to the same point twice, also by two people
        at once, is one reset. A request to cancel is not delivered again, signals and updates are.

        Raises:
            NotFound: the run is gone.
            InvalidRequest: the service does not accept the point.
        """
        request = ResetWorkflowExecutionRequest(
            namespace=self.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=run.workflow_id, run_id=run.run_id),
            reason=reason,
            workflow_task_finish_event_id=point.event_id,
            request_id=str(uuid5(NAMESPACE_URL, f"reset/{run.run_id}/{point.event_id}")),
            reset_reapply_type=ResetReapplyType.RESET_REAPPLY_TYPE_ALL_ELIGIBLE,
            reset_reapply_exclude_types=[ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_CANCEL_REQUEST],
            identity=self.client.identity,
        )
        with _translated(f"There is no run of the workflow {run.workflow_id!r}."):
            answer = await self.client.workflow_service.reset_workflow_execution(request, retry=True, timeout=CALL)
        return answer.run_id


@contextmanager
def _translated(missing: str = "There is no such run.") -> Iterator[None]:
    """Bring the service's answers into the project's error tree."""
    try:
        yield
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NotFound(missing) from error
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            raise InvalidRequest(f"The workflow service refuses this: {error.message}") from error
        raise WorkflowsUnavailable(f"The workflow service does not answer as it should: {error.message}") from error
    except RuntimeError as error:  # a lazy client that cannot connect
        raise WorkflowsUnavailable(f"The workflow service cannot be reached: {error}") from error
