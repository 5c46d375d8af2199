"""What keeps an open run from getting on, and what to type next; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent

from mediagate.media.values import Status
from workflows import names
from workflows.operations.failures import causes
from workflows.operations.resetting import short
from workflows.operations.runs import Pending, Run
from workflows.operations.visibility import quoted

OVERDUE_BY = timedelta(minutes=1)
"""What passes after a deadline before nobody took note of it: timers are not exact, and visibility lags."""

DEADLOCK = "TMPRL1101"
"""Code in the message of the SDK for code that did not yield (https://github.com/temporalio/rules)."""


class Kind(StrEnum):
    """Ways to be stuck."""

    OTHER_CODE = "other code"
    """The code of today would do something else than the history says."""
    DEADLOCK = "deadlock"
    CODE_FAILS = "code fails"
    TASK_TIMES_OUT = "task times out"
    RETRYING = "retrying"
    PAUSED = "paused"
    UNSERVED = "unserved"
    REVIEW_OVERDUE = "review overdue"
    VENDOR_OVERDUE = "vendor overdue"


@dataclass(frozen=True, slots=True)
class Patience:
    """What is taken for normal. `attempts`: of one activity; `wait`: for a worker, for an activity to succeed, or for a
    vendor."""

    attempts: int = 5
    wait: timedelta = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """The last failure of a workflow task: how, and the chain of causes."""

    kind: Kind
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a run is stuck, since when, and what an operator does: `advice` in words, `command` to be typed."""

    kind: Kind
    reason: str
    since: datetime | None
    advice: str
    command: str

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        since = self.since.isoformat() if self.since else None
        return {"kind": self.kind, "reason": self.reason, "since": since, "next": self.advice, "command": self.command}


def suspects(now: datetime) -> str:
    """A query for every open run that may be stuck: all that wait for no person, whose deadline has passed, or whose
    workflow tasks fail. (A review that is not due is found by its failing tasks only.)"""
    stage, due = names.MEDIA_STAGE.name, names.REVIEW_DUE_AT.name
    in_review = quoted(Status.IN_REVIEW.value)
    return (
        f"ExecutionStatus = 'Running' AND ({stage} IS NULL OR {stage} != {in_review}"
        f" OR {due} < {quoted(now.astimezone(UTC).isoformat())} OR TemporalReportedProblems IS NOT NULL)"
    )


def task_failure(events: Sequence[HistoryEvent]) -> TaskFailure | None:
    """The last failure of a workflow task that the history tells of. Only the first of a row of them is stored."""
    for event in reversed(events):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
            return TaskFailure(Kind.TASK_TIMES_OUT)
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            failed = event.workflow_task_failed_event_attributes
            told = tuple(causes(failed.failure))
            if failed.cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR:
                return TaskFailure(Kind.OTHER_CODE, told)
            return TaskFailure(Kind.DEADLOCK if any(DEADLOCK in line for line in told) else Kind.CODE_FAILS, told)
    return None


def troubles(run: Run, now: datetime, patience: Patience, failure: TaskFailure | None = None) -> list[Trouble]:
    """Everything that keeps an open run from getting on, the worst first. `failure`: see `task_failure`."""
    found = [_task_trouble(run, failure)] if run.task_attempt > 1 else []
    found += [trouble for activity in run.pending if (trouble := _activity_trouble(run, activity, now, patience))]
    return found + list(_overdue(run, now, patience))


def _task_trouble(run: Run, failure: TaskFailure | None) -> Trouble:
    kind = failure.kind if failure else Kind.TASK_TIMES_OUT
    why = failure.causes[0] if failure and failure.causes else "its workers take the task and do not finish it"
    advice = {
        Kind.OTHER_CODE: "deploy code that understands its history; it goes on by itself",
        Kind.DEADLOCK: "take the blocking call, or the load, from the worker; it goes on by itself",
        Kind.TASK_TIMES_OUT: "see why workers of the role flow die or hang",
    }.get(kind, "mend the workflow's code and restart the workers; it goes on by itself")
    command = f"mediagate runs {'check' if kind is Kind.OTHER_CODE else 'show'} {run.workflow_id}"
    return Trouble(kind, f"attempt {run.task_attempt} of a workflow task: {why}", None, advice, command)


def _activity_trouble(run: Run, activity: Pending, now: datetime, patience: Patience) -> Trouble | None:
    step, workflow_id = short(activity.name), run.workflow_id
    waited = now - activity.since if activity.since else timedelta(0)
    if activity.paused:
        reason = f"{step} is paused" + (f" by {activity.paused_by}" if activity.paused_by else "")
        command = f"mediagate runs unstick {workflow_id} --unpause --yes"
        return Trouble(Kind.PAUSED, reason, activity.since, "let it go on when its cause is mended", command)
    if activity.attempt > 1 and (activity.attempt >= patience.attempts or waited > patience.wait):
        why = activity.last_failure[0] if activity.last_failure else "its failure is not known"
        command = f"mediagate runs unstick {workflow_id} --activity {step} --yes"
        reason = f"{step} is at attempt {activity.attempt}: {why}"
        return Trouble(Kind.RETRYING, reason, activity.since, "mend that; then let it be tried at once", command)
    if activity.attempt == 1 and activity.state == "waiting" and waited > patience.wait:
        reason = f"no worker has taken {step}"
        return Trouble(Kind.UNSERVED, reason, activity.since, "see that workers serve its queue", "mediagate doctor")
    return None


def _overdue(run: Run, now: datetime, patience: Patience) -> Iterator[Trouble]:
    due = run.review_due_at
    if run.stage == Status.IN_REVIEW and due and now > due + OVERDUE_BY:
        reason = f"its review was due at {due:%Y-%m-%d %H:%M} UTC and nothing happened"
        command = f"mediagate runs show {run.workflow_id}"
        yield Trouble(Kind.REVIEW_OVERDUE, reason, due, "see that workers of the role flow run", command)
    if run.stage == Status.AWAITING_MODERATION and now - run.started_at > patience.wait:
        reason = "no vendor has given a final word"
        command = f"mediagate runs reset {run.workflow_id} --to submit --yes"
        yield Trouble(
            Kind.VENDOR_OVERDUE, reason, run.started_at, "see `mediagate vendors list`; then submit it anew", command
        )
