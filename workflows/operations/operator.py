"""Finding, inspecting and resetting runs, for operators; what `workflows.client` is for the application.

Every call is bounded in time. Raises `WorkflowsUnavailable` when the service does not answer.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType, ResetReapplyType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowQueryFailedError, WorkflowQueryRejectedError
from temporalio.service import RPCError

from mediagate.errors import NotFound
from workflows.operations.answers import translated
from workflows.operations.resetting import ResetPoint
from workflows.operations.runs import Run, described

CALL = timedelta(seconds=10)
LOOK = timedelta(seconds=3)
"""How long a worker may take to say what a run is doing; people wait for it, and can do without."""

AT_ONCE = 8
"""Descriptions and histories asked for at the same time; callers may ask for any number."""


MOST_LOOKED_AT = 20_000
"""Runs that a search looks at for those that are wanted."""


class Found(NamedTuple):
    """What a search found. `complete`: there are no more."""

    runs: list[Run]
    complete: bool


def _newest_first(runs: Iterable[Run]) -> list[Run]:
    return sorted(runs, key=lambda run: run.started_at, reverse=True)


class Operations:
    """What an operator asks of the workflow service."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def ready(self) -> None:
        """Raise WorkflowsUnavailable unless the service answers."""
        with translated():
            await self.client.service_client.check_health(timeout=timedelta(seconds=5))

    async def count(self, query: str) -> int:
        """How many runs match. Raises InvalidRequest for a query that the service does not understand."""
        with translated():
            answer = await self.client.count_workflows(query, rpc_timeout=CALL)
        return answer.count

    async def find(self, query: str, *, limit: int) -> list[Run]:
        """The runs of `search`, whatever they are like."""
        return (await self.search(query, limit=limit)).runs

    async def search(self, query: str, *, limit: int, wanted: Callable[[Run], bool] = lambda _: True) -> Found:
        """At most `limit` runs that are wanted, those that run first, then those that closed last.

        Each is described afresh, because the visibility store lags behind and knows neither summaries nor which run a
        reset has replaced. Raises InvalidRequest for a query that the service does not understand.
        """
        found: list[Run] = []
        listed: list[tuple[str, str]] = []
        looked_at = 0
        with translated():
            async for one in self.client.list_workflows(query, page_size=min(max(limit, 20), 500), rpc_timeout=CALL):
                if len(found) >= limit or looked_at >= MOST_LOOKED_AT:
                    return Found(_newest_first(found)[:limit], complete=False)
                listed.append((one.id, one.run_id))
                looked_at += 1
                if len(found) + len(listed) >= limit or len(listed) >= AT_ONCE * 8:
                    found += [run for run in await self._described(listed) if wanted(run)]
                    listed = []
        found += [run for run in await self._described(listed) if wanted(run)]
        return Found(_newest_first(found), complete=True)

    async def _described(self, listed: Sequence[tuple[str, str]]) -> list[Run]:
        async def look(workflow_id: str, run_id: str) -> Run | None:
            try:
                return await self.describe(workflow_id, run_id)
            except NotFound:  # its retention ended meanwhile
                return None

        return [run for run in await asyncio.gather(*(look(*one) for one in listed)) if run]

    async def describe(self, workflow_id: str, run_id: str | None = None) -> Run:
        """The run, by default the current one of the workflow. Raises NotFound."""
        with translated(f"There is no run of the workflow {workflow_id!r}."):
            handle = self.client.get_workflow_handle(workflow_id, run_id=run_id)
            async with self._slots:
                return described((await handle.describe(rpc_timeout=CALL)).raw_description)

    async def history(self, run: Run) -> Sequence[HistoryEvent]:
        """Every event of the run, in order. Raises NotFound."""
        with translated(f"There is no history of the workflow {run.workflow_id!r}."):
            handle = self.client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
            async with self._slots:
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
        with translated(f"There is no run of the workflow {run.workflow_id!r}."):
            answer = await self.client.workflow_service.reset_workflow_execution(request, retry=True, timeout=CALL)
        return answer.run_id

    async def cancel(self, run: Run) -> None:
        """Ask a run to stop; it ends when what it is doing has come to rest. A second time, or after its end, nothing
        happens. Raises NotFound if it is gone.
        """
        with translated(f"There is no run of the workflow {run.workflow_id!r}."):
            handle = self.client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
            await handle.cancel(rpc_timeout=CALL)
