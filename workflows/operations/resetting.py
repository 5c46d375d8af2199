"""To which point of its history a run is reset, and what that means; pure.

A reset to a completed workflow task keeps everything before that task, drops it and all that follows, and lets the
workflow's code go on from there; signals and updates that came later are delivered again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from mediagate.errors import Conflict, InvalidRequest
from workflows.operations.failures import failed_activity
from workflows.operations.history import ACTIVITIES, MESSAGES, Outcome, Step, steps

STEPS: Mapping[str, tuple[str, ...]] = {
    "verify": ("verify_and_render",),
    "render": ("verify_and_render",),
    "submit": ("submit_for_moderation",),
    "decide": ("record_decision",),
    "file": ("file_media",),
}
"""The steps of an upload by the names that people use, and the activities that make them up."""

SETS_STATUS = frozenset({"verify_and_render", "submit_for_moderation", "record_decision", "file_media"})
"""Activities that bring a row that says `failed` back to where the run is; webhooks reach an item only then."""

LAST_WORDS = "record_failure"
"""With this a run begins to fail; it and what follows are no steps to go back to, and no work that is done again."""


@dataclass(frozen=True, slots=True)
class ResetPoint:
    """A completed workflow task (`event_id`), the activities that run again, those that are kept, and the messages
    that are delivered again. `step` is what brought us there."""

    step: str
    event_id: int
    again: tuple[str, ...]
    kept: tuple[str, ...]
    redelivered: tuple[str, ...]


def step_point(events: Sequence[HistoryEvent], step: str) -> ResetPoint:
    """The point just before a step's last start. `step`: a key of `STEPS` or the name of an activity.

    Raises:
        InvalidRequest: the history has no such step; the message names those that it has.
    """
    done = steps(events)
    wanted = STEPS.get(step, (step,))
    found = _last(_work(done), lambda one: one.name in wanted)
    if found is None:
        had = {short(one.name) for one in _work(done)}
        named = [name for name in STEPS if name in had] + sorted(had - STEPS.keys())
        raise InvalidRequest(f"The history has no step {step!r}; it has: {', '.join(named) or 'none yet'}.")
    return _point(done, step, found.task_id)


def retry_point(events: Sequence[HistoryEvent]) -> ResetPoint:
    """Where a run that ended badly takes up its work: at the activity that failed it; a run that was stopped, at the
    last step before that which puts the media item's status right.

    Raises:
        Conflict: it was ended before it did anything; there is nothing to reset to.
    """
    done = steps(events)
    # What is before the point is kept: behind a request to cancel, the run would be cancelled at once again.
    cancelled = _first(events, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED) or len(events) + 1
    before = [one for one in _work(done) if one.task_id < cancelled]
    failed = _failed_step(events, before)
    resumed = failed or _last(before, lambda one: one.name in SETS_STATUS)
    if resumed:
        return _point(done, short(resumed.name), resumed.task_id)
    first = _first(events, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    if not 0 < first < cancelled:
        raise Conflict("The run was ended before it did anything: there is no point to reset it to.")
    return _point(done, "the beginning", first)


def _failed_step(events: Sequence[HistoryEvent], work: Sequence[Step]) -> Step | None:
    """The activity named by the failure that ended the run; one that failed earlier was tolerated."""
    last = events[-1] if events else None
    if last is None or last.event_type != EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
        return None
    source = failed_activity(last.workflow_execution_failed_event_attributes.failure)
    if source is None:
        return None
    name, event_id = source
    if name == LAST_WORDS:  # then the failure that it was to record is the one to mend
        return _last(work, lambda one: one.outcome in {Outcome.FAILED, Outcome.TIMED_OUT})
    return _last(work, lambda one: one.event_id == event_id) or _last(work, lambda one: one.name == name)


def _point(done: Sequence[Step], step: str, event_id: int) -> ResetPoint:
    work = _work(done)
    # What was asked for earlier but had no end by then goes on in the new run.
    kept = [one for one in work if one.task_id < event_id and 0 < one.end_id < event_id]
    return ResetPoint(
        step=step,
        event_id=event_id,
        again=tuple(one.name for one in work if one not in kept),
        kept=tuple(one.name for one in kept),
        redelivered=tuple(one.name for one in done if one.kind in MESSAGES and one.event_id > event_id),
    )


def _work(done: Sequence[Step]) -> list[Step]:
    """The activities, up to where the run began to fail."""
    work = takewhile(lambda one: one.name != LAST_WORDS, done)
    return [one for one in work if one.kind in ACTIVITIES]


def _first(events: Sequence[HistoryEvent], wanted: EventType.ValueType) -> int:
    """Id of the first event of a type; 0 if there is none."""
    return next((event.event_id for event in events if event.event_type == wanted), 0)


def _last(done: Sequence[Step], wanted: Callable[[Step], bool]) -> Step | None:
    return next((one for one in reversed(done) if wanted(one)), None)


def short(activity: str) -> str:
    """The step that an activity belongs to; the activity's own name where it belongs to none."""
    return next((name for name, activities in STEPS.items() if activity in activities), activity)
