"""A failure as Temporal stores it, in words for people."""

from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import Failure

_RETRIES = {
    RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE: "trying again cannot help",
    RetryState.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED: "its attempts are used up",
    RetryState.RETRY_STATE_TIMEOUT: "its time is used up",
    RetryState.RETRY_STATE_CANCEL_REQUESTED: "it was asked to stop",
}
_TIMEOUTS = {
    TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE: "one attempt took longer than it may",
    TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START: "no worker took it in time",
    TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE: "all attempts together took longer than they may",
    TimeoutType.TIMEOUT_TYPE_HEARTBEAT: "its worker gave no sign of life",
}


def causes(failure: Failure) -> list[str]:
    """The chain from the outermost failure to its root, one line each."""
    lines = []
    present: Failure | None = failure
    while present:
        lines.append(_words(present))
        present = present.cause if present.HasField("cause") else None
    return lines


def failed_activity(failure: Failure) -> tuple[str, int] | None:
    """Name and schedule event id (0: a local activity) of the activity that a failure came from."""
    present: Failure | None = failure
    while present:
        if present.HasField("activity_failure_info"):
            info = present.activity_failure_info
            return info.activity_type.name, info.scheduled_event_id
        present = present.cause if present.HasField("cause") else None
    return None


def _words(failure: Failure) -> str:
    if failure.HasField("activity_failure_info"):
        activity = failure.activity_failure_info
        why = _RETRIES.get(activity.retry_state)
        return f"The activity {activity.activity_type.name} failed" + (f"; {why}." if why else ".")
    if failure.HasField("application_failure_info"):
        return f"{failure.application_failure_info.type or 'Error'}: {failure.message}"
    if failure.HasField("timeout_failure_info"):
        return f"Timed out: {_TIMEOUTS.get(failure.timeout_failure_info.timeout_type, failure.message)}."
    if failure.HasField("canceled_failure_info"):
        return "Cancelled."
    if failure.HasField("terminated_failure_info"):
        return "Terminated."
    if failure.HasField("reset_workflow_failure_info"):
        return "Broken off by a reset."
    return failure.message or "A failure that says nothing."
