"""What an operator is told to do next, and what a description says of a run."""

from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.api.enums.v1 import PendingActivityState, WorkflowExecutionStatus
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from cli.runs.access import Shown
from cli.runs.story import advice, print_story
from tests.unit.cli.runs_events import History, activity_failure, application
from workflows.operations.runs import Pending, Run, described

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def run(status: str = "running", **values: Any) -> Run:
    fields: dict[str, Any] = {"workflow_id": "media-a", "run_id": "r", "workflow_type": "UploadWorkflow"}
    return Run(**fields, status=status, started_at=NOW, **values)


def shown(one: Run, history: History | None = None) -> Shown:
    return Shown.of(one, (history or History()).events, "", "default")


class TestAdvice:
    @pytest.mark.parametrize(
        ("one", "words"),
        [
            (run("failed", attributes={"FailureKind": "ObjectMissing"}), "put the object back, then"),
            (run("failed", attributes={"FailureKind": "IllegalTransition"}), "mend the cause, then"),
            (run("failed", superseded_by="new"), "this run was reset"),
            (run("timed_out"), "`mediagate runs retry media-a --yes`"),
            (run("cancelled"), "on purpose; to resume it: `mediagate runs retry media-a --yes`"),
            (run("completed"), "nothing; it is finished"),
            (run(), "nothing; it is under way"),
            (run(pending=(Pending("file_media", "waiting", 4),)), "file is tried again by itself"),
            (run(pending=(Pending("file_media", "waiting", 1),)), "see that workers run"),
            (run(pending=(Pending("file_media", "at work", 1),)), "nothing; it is under way"),
            (run(attributes={"MediaStage": "in_review", "ReviewDueAt": "2026-02-01"}), "a person decides; due 2026-02"),
        ],
    )
    def test_what_to_do_follows_from_how_the_run_stands(self, one: Run, words: str) -> None:
        assert words in advice(shown(one))

    def test_code_that_fails_on_its_history_is_told_from_a_failed_run(self) -> None:
        history = History()
        history.add("WORKFLOW_TASK_FAILED", failure=application("NondeterminismError", "other steps"))
        stuck = shown(run(task_attempt=3), history)
        assert stuck.stuck == ["NondeterminismError: other steps"]
        assert "restart the workers" in advice(stuck)


class TestStory:
    def test_the_cause_is_told_step_by_step_and_nothing_in_it_is_taken_for_markup(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        history = History()
        filing = history.schedule("file_media", history.task(), summary="file as [red]rejected[/red]")
        missing = application("ObjectMissing", "no object")
        history.end(filing, missing)
        history.fail(activity_failure("file_media", filing, missing))
        print_story(shown(run("failed", closed_at=NOW, attributes={"FailureKind": "ObjectMissing"}), history))
        text = capsys.readouterr().out
        assert "[red]rejected[/red]" in text
        assert (
            "  The activity file_media failed; trying again cannot help.\n    because ObjectMissing: no object" in text
        )

    def test_a_termination_says_who_and_why(self) -> None:
        history = History()
        history.add("WORKFLOW_EXECUTION_TERMINATED", identity="ops", reason="spam")
        assert shown(run("terminated"), history).failure == ["Terminated by ops: spam."]


class TestDescribed:
    def test_a_retrying_activity_tells_attempt_failure_and_next_try(self) -> None:
        waiting = PendingActivityInfo(
            state=PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED,
            attempt=3,
            last_failure=application("StorageUnavailable", "away"),
        )
        waiting.activity_type.name = "file_media"
        waiting.next_attempt_schedule_time.FromDatetime(NOW)
        answer = DescribeWorkflowExecutionResponse(pending_activities=[waiting])
        (pending,) = described(answer).pending
        assert pending == Pending("file_media", "waiting", 3, ("StorageUnavailable: away",), NOW)

    @pytest.mark.parametrize(
        ("number", "status"),
        [
            (WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED, "cancelled"),
            (WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT, "timed_out"),
            (WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING, "running"),
        ],
    )
    def test_a_run_that_ended_without_a_failure_kind_is_counted_by_how_it_ended(
        self, number: WorkflowExecutionStatus.ValueType, status: str
    ) -> None:
        answer = DescribeWorkflowExecutionResponse()
        answer.workflow_execution_info.status = number
        one = described(answer)
        assert (one.status, one.failure_kind) == (status, "" if status == "running" else status)
