"""One run of a workflow, as the workflow service describes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import PendingActivityState, WorkflowExecutionStatus
from temporalio.api.workflow.v1 import PendingActivityInfo, WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from workflows import names
from workflows.operations.failures import causes
from workflows.operations.history import text_of, time_of
from workflows.operations.visibility import ENDED_BADLY, RunStatus

_STATES = {
    PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED: "waiting",
    PendingActivityState.PENDING_ACTIVITY_STATE_STARTED: "at work",
    PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED: "stopping",
    PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED: "paused",
    PendingActivityState.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED: "pausing",
}


@dataclass(frozen=True, slots=True)
class Pending:
    """An activity that has no outcome yet. `since`: when it was asked for; `activity_id`: its id in the run;
    `most_attempts`: 0 without a limit; `paused_by`: who, and why."""

    name: str
    state: str
    attempt: int
    last_failure: tuple[str, ...] = ()
    next_attempt_at: datetime | None = None
    worker: str = ""
    activity_id: str = ""
    since: datetime | None = None
    most_attempts: int = 0
    paused: bool = False
    paused_by: str = ""

    @property
    def retrying(self) -> bool:
        """It failed before, and is tried again."""
        return self.attempt > 1 and not self.paused


@dataclass(frozen=True, slots=True)
class Run:
    """A run. `file` is the summary it was started with; `superseded_by` the run that a reset put in its place;
    `task_attempt` above 1 means that the workflow's own code fails."""

    workflow_id: str
    run_id: str
    workflow_type: str
    status: str
    started_at: datetime
    closed_at: datetime | None = None
    file: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    pending: tuple[Pending, ...] = ()
    events: int = 0
    superseded_by: str = ""
    task_attempt: int = 0

    @property
    def stage(self) -> str:
        """Search attribute `MediaStage`."""
        return self.attributes.get(names.MEDIA_STAGE.name, "")

    @property
    def verdict(self) -> str:
        """Search attribute `Verdict`; empty until the upload is filed."""
        return self.attributes.get(names.VERDICT.name, "")

    @property
    def failure_kind(self) -> str:
        """Search attribute `FailureKind`; where the run ended without setting it, how it ended."""
        kind = self.attributes.get(names.FAILURE_KIND.name, "")
        return kind or (self.status if self.ended_badly else "")

    @property
    def library(self) -> str:
        """Search attribute `Library`."""
        return self.attributes.get(names.LIBRARY.name, "")

    @property
    def review_due_at(self) -> datetime | None:
        """Search attribute `ReviewDueAt`: when the review that is, or was, open ends by itself."""
        stored = self.attributes.get(names.REVIEW_DUE_AT.name)
        due = datetime.fromisoformat(stored) if stored else None
        return due.replace(tzinfo=due.tzinfo or UTC) if due else None

    @property
    def ended_badly(self) -> bool:
        """Failed, timed out, terminated or cancelled."""
        return self.status in ENDED_BADLY

    @property
    def current(self) -> bool:
        """No reset put another run in its place."""
        return not self.superseded_by

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "workflow_id": self.workflow_id,
            "run_id": self.run_id,
            "workflow_type": self.workflow_type,
            "status": self.status,
            "file": self.file,
            "stage": self.stage,
            "verdict": self.verdict,
            "failure_kind": self.failure_kind,
            "started_at": self.started_at.isoformat(),
            "closed_at": self.closed_at.isoformat() if self.closed_at else None,
            "superseded_by": self.superseded_by,
        }


def described(answer: DescribeWorkflowExecutionResponse) -> Run:
    """The run of a description."""
    info = answer.workflow_execution_info
    return Run(
        workflow_id=info.execution.workflow_id,
        run_id=info.execution.run_id,
        workflow_type=info.type.name,
        status=_status(info.status),
        started_at=time_of(info.start_time),
        closed_at=_given(info, "close_time"),
        file=text_of(answer.execution_config.user_metadata.summary),
        attributes={
            name: text_of(value) for name, value in info.search_attributes.indexed_fields.items() if name in _OURS
        },
        pending=tuple(_pending(activity) for activity in answer.pending_activities),
        events=info.history_length,
        superseded_by=answer.workflow_extended_info.reset_run_id,
        task_attempt=answer.pending_workflow_task.attempt,
    )


_OURS = frozenset(key.name for key in names.SEARCH_ATTRIBUTES)


def _status(number: int) -> str:
    name = WorkflowExecutionStatus.Name(WorkflowExecutionStatus.ValueType(number))
    status = name.removeprefix("WORKFLOW_EXECUTION_STATUS_").lower()
    return RunStatus.CANCELLED.value if status == "canceled" else status


def _pending(activity: PendingActivityInfo) -> Pending:
    waiting = activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED and activity.attempt > 1
    return Pending(
        name=activity.activity_type.name,
        state=_STATES.get(activity.state, "unknown"),
        attempt=activity.attempt,
        last_failure=tuple(causes(activity.last_failure)) if activity.HasField("last_failure") else (),
        next_attempt_at=_given(activity, "next_attempt_schedule_time") if waiting else None,
        worker=activity.last_worker_identity,
        activity_id=activity.activity_id,
        since=_given(activity, "scheduled_time"),
        most_attempts=activity.maximum_attempts,
        paused=activity.paused,
        paused_by=_pause(activity) if activity.paused else "",
    )


def _pause(activity: PendingActivityInfo) -> str:
    by = activity.pause_info.manual
    return ": ".join(text for text in (by.identity, by.reason) if text)


def _given(holder: WorkflowExecutionInfo | PendingActivityInfo, name: str) -> datetime | None:
    stamp: Timestamp = getattr(holder, name)
    # The service also sends the zero time of its own language (year 1) for "none".
    return time_of(stamp) if holder.HasField(name) and stamp.seconds > 0 else None  # type: ignore[arg-type]
