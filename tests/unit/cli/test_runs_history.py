"""A run's story read from its history, and the points to which it can be reset."""

import pytest
from temporalio.api.enums.v1 import TimeoutType
from temporalio.api.failure.v1 import Failure

from mediagate.errors import Conflict, InvalidRequest
from tests.unit.cli.runs_events import History, activity_failure, application
from workflows.operations.failures import causes
from workflows.operations.history import Kind, Outcome, steps
from workflows.operations.resetting import retry_point, step_point

MISSING = application("ObjectMissing", "The object store has no object 'a'.")


def failed_at_filing() -> tuple[History, int]:
    """Decided and filed in one workflow task, whose id is returned; the filing fails the run."""
    history = History()
    history.waiting()
    history.signal()
    task = history.task()
    history.local("record_decision", task)
    filing = history.schedule("file_media", task)
    history.end(filing, MISSING)
    words = history.task()
    history.local("record_failure", words)
    history.end(history.schedule("notify_admins", words))
    history.fail(activity_failure("file_media", filing, MISSING))
    return history, task


class TestSteps:
    def test_an_activity_is_followed_from_schedule_to_end_with_attempts_and_last_failure(self) -> None:
        history = History()
        scheduled = history.schedule("verify_object", history.task(), summary="verify")
        history.end(scheduled, attempt=3)
        started = history.events[-2].activity_task_started_event_attributes
        started.last_failure.CopyFrom(application("StorageUnavailable", "away"))
        (step,) = steps(history.events)
        assert (step.kind, step.name, step.summary, step.attempts) == (Kind.ACTIVITY, "verify_object", "verify", 3)
        assert (step.outcome, step.seconds) == (Outcome.DONE, 2.0)
        assert step.failure == ["StorageUnavailable: away"]

    def test_an_activity_without_an_end_is_open(self) -> None:
        history = History()
        history.schedule("verify_object", history.task())
        (step,) = steps(history.events)
        assert (step.outcome, step.ended_at, step.seconds) == (Outcome.OPEN, None, None)

    def test_a_local_activity_is_read_from_its_marker(self) -> None:
        history = History()
        history.local("record_decision", history.task())
        (step,) = steps(history.events)
        assert (step.kind, step.name, step.attempts) == (Kind.LOCAL_ACTIVITY, "record_decision", 2)
        assert (step.outcome, step.seconds) == (Outcome.DONE, 0.5)

    def test_a_failed_local_activity_tells_why(self) -> None:
        history = History()
        history.local("record_decision", history.task(), application("NotFound", "gone"))
        (step,) = steps(history.events)
        assert (step.outcome, step.failure) == (Outcome.FAILED, ["NotFound: gone"])

    def test_timers_and_messages_stand_between_the_activities(self) -> None:
        history = History()
        task = history.waiting()
        timer = len(history.events)
        history.signal()
        history.add("TIMER_CANCELED", started_event_id=timer, workflow_task_completed_event_id=task)
        told = [(step.kind, step.outcome) for step in steps(history.events)[-2:]]
        assert told == [(Kind.TIMER, Outcome.CANCELLED), (Kind.SIGNAL, Outcome.RECEIVED)]


class TestStepPoint:
    @pytest.mark.parametrize(
        ("step", "again"),
        [
            ("verify", ("verify_and_render", "submit_for_moderation")),
            ("render", ("verify_and_render", "submit_for_moderation")),
            ("verify_and_render", ("verify_and_render", "submit_for_moderation")),
            ("submit", ("submit_for_moderation",)),
        ],
    )
    def test_the_task_that_asked_for_the_step_is_undone_with_all_that_follows(
        self, step: str, again: tuple[str, ...]
    ) -> None:
        history = History()
        history.waiting()
        point = step_point(history.events, step)
        event = history.events[point.event_id - 1]
        assert event.HasField("workflow_task_completed_event_attributes")
        assert point.again == again
        assert len(point.again + point.kept) == 2

    def test_a_local_activity_is_found_by_its_marker_and_later_messages_are_delivered_again(self) -> None:
        history, task = failed_at_filing()
        history.signal("late")
        point = step_point(history.events, "decide")
        assert (point.event_id, point.again) == (task, ("record_decision", "file_media"))
        assert point.redelivered == ("late",)
        assert step_point(history.events, "submit").redelivered == ("moderation_event", "late")

    def test_the_last_start_of_a_step_counts(self) -> None:
        history = History()
        history.step("notify_admins")
        second = history.task()
        history.end(history.schedule("notify_admins", second))
        assert step_point(history.events, "notify_admins").event_id == second

    def test_an_activity_that_had_no_end_by_then_runs_again(self) -> None:
        history = History()
        both = history.task()
        slow = history.schedule("find_stale", both)
        history.end(history.schedule("verify_and_render", both))
        later = history.schedule("submit_for_moderation", history.task())
        history.end(slow)
        history.end(later)
        point = step_point(history.events, "submit")
        assert (point.kept, point.again) == (("verify_and_render",), ("find_stale", "submit_for_moderation"))

    @pytest.mark.parametrize("step", ["notify", "record_failure", "nonsense"])
    def test_a_step_the_history_lacks_is_refused_with_those_it_has(self, step: str) -> None:
        history, _ = failed_at_filing()
        with pytest.raises(InvalidRequest, match="it has: verify, submit, decide, file"):
            step_point(history.events, step)


class TestRetryPoint:
    def test_a_failed_run_resumes_at_the_activity_that_failed_it(self) -> None:
        history, task = failed_at_filing()
        point = retry_point(history.events)
        assert (point.step, point.event_id) == ("file", task)

    def test_a_failure_that_was_tolerated_earlier_is_not_taken_for_the_cause(self) -> None:
        history = History()
        history.waiting()
        history.end(history.schedule("poll_vendor", history.task()), application("VendorUnavailable", "away"))
        task = history.task()
        filing = history.schedule("file_media", task)
        history.end(filing, MISSING)
        history.fail(activity_failure("file_media", filing, MISSING))
        assert retry_point(history.events).event_id == task

    def test_a_local_activity_that_failed_the_run_is_found_by_name(self) -> None:
        history = History()
        history.waiting()
        task = history.task()
        gone = application("NotFound", "gone")
        history.local("record_decision", task, gone)
        history.fail(activity_failure("record_decision", 0, gone))
        assert retry_point(history.events).event_id == task

    def test_a_failure_that_could_not_be_recorded_leads_to_what_failed_before(self) -> None:
        history = History()
        task = history.task()
        history.end(history.schedule("verify_object", task), application("IllegalTransition", "no"))
        illegal = application("IllegalTransition", "no failed")
        history.local("record_failure", history.task(), illegal)
        history.fail(activity_failure("record_failure", 0, illegal))
        assert retry_point(history.events).event_id == task

    def test_a_cancelled_run_resumes_before_the_request_at_a_step_that_sets_the_status(self) -> None:
        history = History()
        waiting = history.waiting()
        history.add("WORKFLOW_EXECUTION_CANCEL_REQUESTED")
        history.local("record_decision", history.task())
        history.add("WORKFLOW_EXECUTION_CANCELED")
        point = retry_point(history.events)
        assert point.step == "submit"
        assert point.event_id < waiting

    def test_a_run_terminated_before_any_step_begins_anew(self) -> None:
        history = History()
        first = history.task()
        history.add("WORKFLOW_EXECUTION_TERMINATED")
        assert retry_point(history.events).event_id == first

    def test_a_run_ended_before_its_first_task_cannot_be_resumed(self) -> None:
        history = History()
        history.add("WORKFLOW_EXECUTION_TERMINATED")
        with pytest.raises(Conflict, match="before it did anything"):
            retry_point(history.events)


class TestCauses:
    def test_a_chain_is_told_from_the_outermost_to_the_root(self) -> None:
        root = application("OSError", "disk")
        failure = activity_failure("file_media", 7, application("StorageUnavailable", "away", root))
        assert causes(failure) == [
            "The activity file_media failed; trying again cannot help.",
            "StorageUnavailable: away",
            "OSError: disk",
        ]

    def test_a_lost_worker_is_told_in_words(self) -> None:
        failure = Failure(message="activity Heartbeat timeout")
        failure.timeout_failure_info.timeout_type = TimeoutType.TIMEOUT_TYPE_HEARTBEAT
        assert causes(failure) == ["Timed out: its worker gave no sign of life."]
