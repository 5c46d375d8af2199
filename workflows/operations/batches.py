"""The same to many runs: Temporal's batch operations, which go on though the operator's machine goes away.

The service (1.32) does 50 runs a second at most, whatever `max_operations_per_second` says, and one operation at a time
in a namespace. So a slower rate is kept by making one operation after the other, and each waits for its turn.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from temporalio.api.batch.v1 import (
    BatchOperationCancellation,
    BatchOperationReset,
    BatchOperationResetActivities,
    BatchOperationSignal,
    BatchOperationTermination,
    BatchOperationUnpauseActivities,
    BatchOperationUpdateActivityOptions,
)
from temporalio.api.common.v1 import Execution, Payload, Payloads, ResetOptions
from temporalio.api.enums.v1 import (
    BatchOperationState,
    BatchOperationType,
    ExecutionType,
    ResetReapplyExcludeType,
    ResetReapplyType,
)
from temporalio.api.workflowservice.v1 import (
    DescribeBatchOperationRequest,
    ListBatchOperationsRequest,
    StartBatchOperationRequest,
    StopBatchOperationRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from mediagate.errors import Conflict
from workflows.operations.activities import NO_CHANGES, Changes
from workflows.operations.answers import translated
from workflows.operations.history import time_of
from workflows.operations.runs import Run

CALL = timedelta(seconds=10)
FASTEST = 50
"""Runs per second that the service itself does at most (its `worker.batcherRPS`)."""
STRETCH = 5
"""Seconds' worth of runs that one operation is given."""
TURN = 60.0
"""Seconds to wait for the end of somebody else's operation."""
LOOK_EVERY = 0.3


class Act(StrEnum):
    """What a batch operation does to each run."""

    CANCEL = "cancel"
    TERMINATE = "terminate"
    SIGNAL = "signal"
    RESET = "reset"
    RETRY_ACTIVITIES = "retry-activities"
    UNPAUSE = "unpause"
    SET_OPTIONS = "set-options"


class ResetTo(StrEnum):
    """Points of a history that the service finds by itself; `mediagate runs reset` knows every step."""

    BEGINNING = "beginning"
    LAST_TASK = "last-task"


@dataclass(frozen=True, slots=True)
class Order:
    """An act and what goes with it. `activity`: type of the activities that are meant, empty for all; `signal_input`:
    what JSON can hold."""

    act: Act
    activity: str = ""
    signal: str = ""
    signal_input: Any = None
    reset_to: ResetTo = ResetTo.LAST_TASK
    changes: Changes = NO_CHANGES

    def facts(self) -> dict[str, Any]:
        """What the audit trail keeps; not the input of a signal, which may hold anything."""
        extra: dict[Act, Mapping[str, Any]] = {
            Act.SIGNAL: {"signal": self.signal},
            Act.RESET: {"to": self.reset_to.value},
            Act.RETRY_ACTIVITIES: {"activity": self.activity},
            Act.UNPAUSE: {"activity": self.activity},
            Act.SET_OPTIONS: {"activity": self.activity, **self.changes.facts()},
        }
        return {"act": self.act.value, **extra.get(self.act, {})}


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch operation. `total`, `done`, `failed`: runs; while it is at work they lag behind."""

    job_id: str
    act: str
    state: str
    started_at: datetime
    closed_at: datetime | None = None
    total: int = 0
    done: int = 0
    failed: int = 0
    by: str = ""
    reason: str = ""

    @property
    def running(self) -> bool:
        """It is at work."""
        return self.state == "running"

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        closed = self.closed_at.isoformat() if self.closed_at else None
        return {
            **{name: getattr(self, name) for name in ("job_id", "act", "state", "total", "done", "failed", "by")},
            "reason": self.reason,
            "started_at": self.started_at.isoformat(),
            "closed_at": closed,
        }


def stretches(runs: Sequence[Run], rate: float) -> list[Sequence[Run]]:
    """Cut into operations that keep the rate, if they are started `STRETCH` seconds apart."""
    size = max(1, round(rate * STRETCH))
    return [runs[first : first + size] for first in range(0, len(runs), size)]


class Batches:
    """The batch operations of a namespace."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def start(self, order: Order, runs: Sequence[Run], *, job_id: str, reason: str) -> None:
        """Begin with these runs, as soon as no other operation is at work. A job id is used once only.

        Raises:
            Conflict: another operation did not end in time, or the job id is used already.
            InvalidRequest: the service does not take the order.
        """
        request = StartBatchOperationRequest(
            namespace=self._client.namespace,
            job_id=job_id,
            reason=reason,
            target_executions=[_target(run) for run in runs],
            **_operation(order, self._client.identity),
        )
        deadline = time.monotonic() + TURN
        while True:
            try:
                with translated():
                    await self._client.workflow_service.start_batch_operation(request, timeout=CALL)
                return
            except Exception as error:
                if not _turn_of_another(error):
                    raise
                if time.monotonic() > deadline:
                    message = "Another batch operation is at work: see `mediagate runs batches list`, and try again."
                    raise Conflict(message) from error
            await asyncio.sleep(LOOK_EVERY)

    async def describe(self, job_id: str) -> Batch:
        """One operation. Raises NotFound."""
        request = DescribeBatchOperationRequest(namespace=self._client.namespace, job_id=job_id)
        with translated(f"There is no batch operation {job_id!r}."):
            answer = await self._client.workflow_service.describe_batch_operation(request, retry=True, timeout=CALL)
        return Batch(
            job_id=answer.job_id,
            act=_act(answer.operation_type),
            state=_state(answer.state),
            started_at=time_of(answer.start_time),
            closed_at=time_of(answer.close_time) if answer.close_time.seconds > 0 else None,
            total=answer.total_operation_count,
            done=answer.complete_operation_count,
            failed=answer.failure_operation_count,
            by=answer.identity,
            reason=answer.reason,
        )

    async def list(self, limit: int) -> list[Batch]:
        """The newest operations, those at work first."""
        request = ListBatchOperationsRequest(namespace=self._client.namespace, page_size=limit)
        with translated():
            answer = await self._client.workflow_service.list_batch_operations(request, retry=True, timeout=CALL)
        return [await self.describe(info.job_id) for info in answer.operation_info[:limit]]

    async def stop(self, job_id: str, *, reason: str) -> None:
        """Go no further; what is done stays done. Raises NotFound if it is not at work."""
        request = StopBatchOperationRequest(
            namespace=self._client.namespace, job_id=job_id, reason=reason, identity=self._client.identity
        )
        with translated(f"There is no batch operation {job_id!r} at work."):
            await self._client.workflow_service.stop_batch_operation(request, retry=True, timeout=CALL)


def _target(run: Run) -> Execution:
    return Execution(type=ExecutionType.EXECUTION_TYPE_WORKFLOW, business_id=run.workflow_id, run_id=run.run_id)


def _operation(order: Order, identity: str) -> dict[str, Any]:
    which: dict[str, Any] = {"type": order.activity} if order.activity else {"match_all": True}
    match order.act:
        case Act.CANCEL:
            return {"cancellation_operation": BatchOperationCancellation(identity=identity)}
        case Act.TERMINATE:
            return {"termination_operation": BatchOperationTermination(identity=identity)}
        case Act.SIGNAL:
            signal = BatchOperationSignal(signal=order.signal, input=_encoded(order.signal_input), identity=identity)
            return {"signal_operation": signal}
        case Act.RESET:
            return {"reset_operation": BatchOperationReset(identity=identity, options=_reset(order.reset_to))}
        case Act.RETRY_ACTIVITIES:
            again = BatchOperationResetActivities(identity=identity, reset_heartbeat=True, keep_paused=True, **which)
            return {"reset_activities_operation": again}
        case Act.UNPAUSE:
            unpaused = BatchOperationUnpauseActivities(identity=identity, reset_attempts=True, **which)
            return {"unpause_activities_operation": unpaused}
        case Act.SET_OPTIONS:
            changed = BatchOperationUpdateActivityOptions(
                identity=identity, activity_options=order.changes.options(), update_mask=order.changes.mask(), **which
            )
            return {"update_activity_options_operation": changed}


def _encoded(value: Any) -> Payloads | None:
    if value is None:
        return None
    return Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(value).encode())])


def _reset(to: ResetTo) -> ResetOptions:
    options = ResetOptions(
        reset_reapply_type=ResetReapplyType.RESET_REAPPLY_TYPE_ALL_ELIGIBLE,
        reset_reapply_exclude_types=[ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_CANCEL_REQUEST],
    )
    point = options.first_workflow_task if to is ResetTo.BEGINNING else options.last_workflow_task
    point.SetInParent()
    return options


def _turn_of_another(error: Exception) -> bool:
    cause = error.__cause__
    return isinstance(cause, RPCError) and cause.status is RPCStatusCode.RESOURCE_EXHAUSTED


def _act(number: BatchOperationType.ValueType) -> str:
    return BatchOperationType.Name(number).removeprefix("BATCH_OPERATION_TYPE_").lower().replace("_", " ")


def _state(number: BatchOperationState.ValueType) -> str:
    return BatchOperationState.Name(number).removeprefix("BATCH_OPERATION_STATE_").lower()
