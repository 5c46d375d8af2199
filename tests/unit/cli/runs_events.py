"""Histories for tests, event by event, as a Temporal service writes them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import EventType, RetryState
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def application(kind: str, message: str, cause: Failure | None = None) -> Failure:
    """What an activity raised."""
    failure = Failure(message=message, cause=cause)
    failure.application_failure_info.type = kind
    return failure


def activity_failure(name: str, scheduled: int, cause: Failure) -> Failure:
    """What a workflow sees of it; `scheduled` is 0 for a local activity."""
    failure = Failure(message="Activity task failed", cause=cause)
    failure.activity_failure_info.activity_type.name = name
    failure.activity_failure_info.scheduled_event_id = scheduled
    failure.activity_failure_info.retry_state = RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE
    return failure


class History:
    """Events with ids from 1, a second apart."""

    def __init__(self) -> None:
        self.events: list[HistoryEvent] = []
        self.add("WORKFLOW_EXECUTION_STARTED", "workflow_execution_started")

    def add(self, kind: str, field: str = "", **values: Any) -> int:
        """Append an event and return its id."""
        event = HistoryEvent(event_id=len(self.events) + 1, event_type=EventType.Value(f"EVENT_TYPE_{kind}"))
        event.event_time.FromDatetime(BEGAN + timedelta(seconds=event.event_id))
        attributes = getattr(event, f"{field or kind.lower()}_event_attributes")
        attributes.SetInParent()
        attributes.MergeFrom(type(attributes)(**values))
        self.events.append(event)
        return event.event_id

    def task(self) -> int:
        """A workflow task from schedule to completion; the id of its completion."""
        scheduled = self.add("WORKFLOW_TASK_SCHEDULED")
        started = self.add("WORKFLOW_TASK_STARTED", scheduled_event_id=scheduled)
        return self.add("WORKFLOW_TASK_COMPLETED", scheduled_event_id=scheduled, started_event_id=started)

    def schedule(self, name: str, task: int, summary: str = "") -> int:
        """An activity is asked for."""
        scheduled = self.add("ACTIVITY_TASK_SCHEDULED", workflow_task_completed_event_id=task)
        event = self.events[-1]
        event.activity_task_scheduled_event_attributes.activity_type.name = name
        if summary:
            event.user_metadata.summary.CopyFrom(
                Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(summary).encode())
            )
        return scheduled

    def end(self, scheduled: int, failure: Failure | None = None, *, attempt: int = 1) -> int:
        """An activity is started and completes, or fails."""
        started = self.add("ACTIVITY_TASK_STARTED", scheduled_event_id=scheduled, attempt=attempt)
        if failure is None:
            return self.add("ACTIVITY_TASK_COMPLETED", scheduled_event_id=scheduled, started_event_id=started)
        return self.add("ACTIVITY_TASK_FAILED", scheduled_event_id=scheduled, started_event_id=started, failure=failure)

    def step(self, name: str) -> int:
        """An activity on its own, from the workflow task that asks for it to its completion; its schedule's id."""
        scheduled = self.schedule(name, self.task())
        self.end(scheduled)
        return scheduled

    def local(self, name: str, task: int, failure: Failure | None = None) -> int:
        """The marker of a local activity that took half a second."""
        done = len(self.events) + 1
        facts = {
            "activity_type": name,
            "attempt": 2,
            "original_schedule_time": {"seconds": int(BEGAN.timestamp()) + done, "nanos": 0},
            "complete_time": {"seconds": int(BEGAN.timestamp()) + done, "nanos": 500_000_000},
        }
        data = Payloads(payloads=[Payload(data=json.dumps(facts).encode())])
        return self.add(
            "MARKER_RECORDED",
            marker_name="core_local_activity",
            details={"data": data},
            workflow_task_completed_event_id=task,
            failure=failure,
        )

    def signal(self, name: str = "moderation_event") -> int:
        """A signal arrives."""
        return self.add("WORKFLOW_EXECUTION_SIGNALED", signal_name=name)

    def waiting(self) -> int:
        """Up to the wait for the vendor; the id of the task that began it."""
        self.step("verify_and_render")
        self.step("submit_for_moderation")
        task = self.task()
        self.add("TIMER_STARTED", timer_id="1", workflow_task_completed_event_id=task)
        return task

    def fail(self, failure: Failure) -> int:
        """The run fails."""
        return self.add("WORKFLOW_EXECUTION_FAILED", failure=failure)
