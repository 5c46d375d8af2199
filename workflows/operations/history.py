"""What a run did, read from its history: the steps in order, and the points to which it can be reset.

Pure: takes the events of one run, in order, as the service returns them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent, MarkerRecordedEventAttributes

from workflows.operations.failures import causes

LOCAL_ACTIVITY_MARKER = "core_local_activity"
"""Name of the marker that SDKs built on sdk-core write for a local activity (its `constants.rs`)."""

E = EventType


class Kind(StrEnum):
    """What a step is."""

    ACTIVITY = "activity"
    LOCAL_ACTIVITY = "local activity"
    TIMER = "timer"
    SIGNAL = "signal"
    UPDATE = "update"
    CANCEL = "cancel request"


class Outcome(StrEnum):
    """What became of a step; `open` also where the run ended before the step did."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"
    RECEIVED = "received"


MESSAGES = frozenset({Kind.SIGNAL, Kind.UPDATE})
ACTIVITIES = frozenset({Kind.ACTIVITY, Kind.LOCAL_ACTIVITY})


@dataclass(slots=True)
class Step:
    """One line of a run's story. `task_id`: the completed workflow task that asked for it, 0 for messages;
    `end_id`: the event that ended it, 0 while it is open."""

    kind: Kind
    name: str
    event_id: int
    task_id: int
    started_at: datetime
    summary: str = ""
    ended_at: datetime | None = None
    attempts: int = 0
    outcome: Outcome = Outcome.OPEN
    failure: list[str] = field(default_factory=list)
    end_id: int = 0
    due_at: datetime | None = None
    """Of a timer: when it fires."""

    @property
    def seconds(self) -> float | None:
        """From schedule to end, waits for a worker and retries included."""
        # A local activity is scheduled by the run's clock and ended by its worker's.
        return max(0.0, (self.ended_at - self.started_at).total_seconds()) if self.ended_at else None


def steps(events: Sequence[HistoryEvent]) -> list[Step]:
    """The steps in the order in which they were asked for."""
    found: dict[int, Step] = {}
    for event in events:
        name, attributes = _attributes(event)
        if step := _opened(event, attributes):
            found[event.event_id] = step
        elif opener := _CLOSERS.get(event.event_type):
            outcome, reference = opener
            if known := found.get(getattr(attributes, reference)):
                _close(known, event, outcome, attributes)
        elif name == "activity_task_started_event_attributes":
            known = found.get(attributes.scheduled_event_id)
            if known:
                known.attempts = attributes.attempt
                known.failure = causes(attributes.last_failure) if attributes.HasField("last_failure") else []
    return list(found.values())


_CLOSERS: Mapping[int, tuple[Outcome, str]] = {
    E.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: (Outcome.DONE, "scheduled_event_id"),
    E.EVENT_TYPE_ACTIVITY_TASK_FAILED: (Outcome.FAILED, "scheduled_event_id"),
    E.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: (Outcome.TIMED_OUT, "scheduled_event_id"),
    E.EVENT_TYPE_ACTIVITY_TASK_CANCELED: (Outcome.CANCELLED, "scheduled_event_id"),
    E.EVENT_TYPE_TIMER_FIRED: (Outcome.DONE, "started_event_id"),
    E.EVENT_TYPE_TIMER_CANCELED: (Outcome.CANCELLED, "started_event_id"),
    E.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: (Outcome.DONE, "accepted_event_id"),
}


def _opened(event: HistoryEvent, attributes: Any) -> Step | None:
    """The step that begins with this event, if one does."""
    at, summary = time_of(event.event_time), text_of(event.user_metadata.summary)
    match event.event_type:
        case E.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            task = attributes.workflow_task_completed_event_id
            return Step(Kind.ACTIVITY, attributes.activity_type.name, event.event_id, task, at, summary)
        case E.EVENT_TYPE_TIMER_STARTED:
            task = attributes.workflow_task_completed_event_id
            due = at + attributes.start_to_fire_timeout.ToTimedelta()
            return Step(Kind.TIMER, f"timer {attributes.timer_id}", event.event_id, task, at, summary, due_at=due)
        case E.EVENT_TYPE_MARKER_RECORDED if attributes.marker_name == LOCAL_ACTIVITY_MARKER:
            return _local(event, attributes, summary)
        case E.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            return _received(Kind.SIGNAL, attributes.signal_name, event, at)
        case E.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            return Step(Kind.UPDATE, attributes.accepted_request.input.name, event.event_id, 0, at)
        case E.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
            return _received(Kind.CANCEL, "cancel", event, at)
    return None


def _received(kind: Kind, name: str, event: HistoryEvent, at: datetime) -> Step:
    return Step(kind, name, event.event_id, 0, at, ended_at=at, outcome=Outcome.RECEIVED)


def _local(event: HistoryEvent, marker: MarkerRecordedEventAttributes, summary: str) -> Step:
    payloads = marker.details["data"].payloads if "data" in marker.details else ()
    facts = json.loads(payloads[0].data) if payloads else {}
    ended = _stored_time(facts.get("complete_time")) or time_of(event.event_time)
    failed = marker.HasField("failure")
    return Step(
        Kind.LOCAL_ACTIVITY,
        facts.get("activity_type", "local activity"),
        event.event_id,
        marker.workflow_task_completed_event_id,
        _stored_time(facts.get("original_schedule_time")) or ended,
        summary,
        ended,
        facts.get("attempt", 1),
        Outcome.FAILED if failed else Outcome.DONE,
        causes(marker.failure) if failed else [],
        event.event_id,
    )


def _close(step: Step, event: HistoryEvent, outcome: Outcome, attributes: Any) -> None:
    step.ended_at, step.outcome, step.end_id = time_of(event.event_time), outcome, event.event_id
    if outcome in {Outcome.FAILED, Outcome.TIMED_OUT}:
        step.failure = causes(attributes.failure)
    elif step.kind is Kind.UPDATE and attributes.outcome.HasField("failure"):
        step.outcome, step.failure = Outcome.FAILED, causes(attributes.outcome.failure)


def _attributes(event: HistoryEvent) -> tuple[str, Any]:
    """The name and the content of the one attribute field that is set."""
    name = event.WhichOneof("attributes") or ""
    content: Message | None = getattr(event, name) if name else None
    return name, content


def time_of(stamp: Timestamp) -> datetime:
    """A protobuf time in UTC."""
    return stamp.ToDatetime(tzinfo=UTC)


def text_of(payload: Payload) -> str:
    """The text in a `json/plain` payload; empty for any other, as when a codec encrypted it."""
    if payload.metadata.get("encoding") != b"json/plain":
        return ""
    return str(json.loads(payload.data) or "")


def _stored_time(value: Mapping[str, int] | None) -> datetime | None:
    if not value:
        return None
    return datetime.fromtimestamp(value.get("seconds", 0) + value.get("nanos", 0) / 1e9, tz=UTC)
