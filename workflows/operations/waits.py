"""What an open run waits for, and until when; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from mediagate.media.values import Status
from workflows.operations.history import Kind, Outcome, Step
from workflows.operations.resetting import short
from workflows.operations.runs import Pending, Run


class WaitsFor(StrEnum):
    """Whom a run waits for."""

    PERSON = "person"
    VENDOR = "vendor"
    WORKER = "worker"
    RETRY = "retry"
    """Of an activity that failed."""
    OPERATOR = "operator"
    """To let a paused activity go on."""
    TIMER = "timer"


@dataclass(frozen=True, slots=True)
class Wait:
    """A run's wait. `until`: when it goes on by itself; None: it does not."""

    whom: WaitsFor
    what: str
    since: datetime | None = None
    until: datetime | None = None

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "for": self.whom,
            "what": self.what,
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
        }


def wait_of(run: Run, steps: Sequence[Step]) -> Wait | None:
    """What an open run waits for; None: it is at work. `steps`: its history's."""
    timer = next((one for one in reversed(steps) if one.kind is Kind.TIMER and one.outcome is Outcome.OPEN), None)
    since, until = (timer.started_at, timer.due_at) if timer else (None, None)
    for activity in run.pending:
        if wait := _of_activity(activity):
            return wait
    if run.stage == Status.IN_REVIEW:
        return Wait(WaitsFor.PERSON, "review", since, run.review_due_at or until)
    if run.pending:
        return None
    if run.stage == Status.AWAITING_MODERATION:
        return Wait(WaitsFor.VENDOR, timer.summary if timer else "", since, until)
    return Wait(WaitsFor.TIMER, timer.summary, since, until) if timer else None


def _of_activity(activity: Pending) -> Wait | None:
    step = short(activity.name)
    if activity.paused:
        return Wait(WaitsFor.OPERATOR, f"{step} is paused", activity.since)
    if activity.state != "waiting":
        return None
    if activity.attempt > 1:
        why = f": {activity.last_failure[0]}" if activity.last_failure else ""
        return Wait(
            WaitsFor.RETRY, f"{step}, attempt {activity.attempt}{why}", activity.since, activity.next_attempt_at
        )
    return Wait(WaitsFor.WORKER, step, activity.since)
