"""What makes a run stuck, and what it waits for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import WorkflowTaskFailedCause

from tests.unit.cli.runs_events import BEGAN, History, application
from workflows.operations.batches import stretches
from workflows.operations.history import steps
from workflows.operations.runs import Pending, Run
from workflows.operations.trouble import Kind, Patience, TaskFailure, suspects, task_failure, troubles
from workflows.operations.waits import Wait, WaitsFor, wait_of

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=3)
SOON = NOW + timedelta(minutes=5)


def run(**values: Any) -> Run:
    fields = {"workflow_id": "media-a", "run_id": "r", "workflow_type": "UploadWorkflow", "started_at": NOW}
    return Run(status="running", **{**fields, **values})


def pending(**values: Any) -> Pending:
    fields: dict[str, Any] = {"name": "file_media", "state": "waiting", "attempt": 1, "since": NOW}
    return Pending(**{**fields, **values})


def in_review(due: datetime) -> Run:
    return run(attributes={"MediaStage": "in_review", "ReviewDueAt": due.isoformat()})


class TestTroubles:
    @pytest.mark.parametrize(
        ("one", "kind", "command"),
        [
            (run(pending=(pending(attempt=5),)), Kind.RETRYING, "mediagate runs unstick media-a --activity file --yes"),
            (run(pending=(pending(attempt=2, since=LONG_AGO),)), Kind.RETRYING, "runs unstick"),
            (run(pending=(pending(paused=True),)), Kind.PAUSED, "mediagate runs unstick media-a --unpause --yes"),
            (run(pending=(pending(since=LONG_AGO),)), Kind.UNSERVED, "mediagate doctor"),
            (in_review(LONG_AGO), Kind.REVIEW_OVERDUE, "mediagate runs show media-a"),
            (
                run(started_at=LONG_AGO, attributes={"MediaStage": "awaiting_moderation"}),
                Kind.VENDOR_OVERDUE,
                "mediagate runs reset media-a --to submit --yes",
            ),
            (run(task_attempt=2), Kind.TASK_TIMES_OUT, "mediagate runs show media-a"),
        ],
    )
    def test_each_has_a_reason_and_a_command(self, one: Run, kind: Kind, command: str) -> None:
        (found,) = troubles(one, NOW, Patience())
        assert found.kind is kind
        assert command in found.command
        assert found.reason
        assert found.advice

    @pytest.mark.parametrize(
        "one",
        [
            pytest.param(run(), id="at work"),
            pytest.param(run(pending=(pending(attempt=4),)), id="a few attempts"),
            pytest.param(run(pending=(pending(),)), id="a worker takes it soon"),
            pytest.param(run(pending=(pending(state="at work", since=LONG_AGO),)), id="long work"),
            pytest.param(in_review(SOON), id="a review that is not due"),
            pytest.param(in_review(NOW - timedelta(seconds=5)), id="a review that is just due"),
            pytest.param(run(attributes={"MediaStage": "awaiting_moderation"}), id="a vendor that has time"),
            pytest.param(run(task_attempt=1), id="a first workflow task"),
        ],
    )
    def test_what_is_normal_is_none(self, one: Run) -> None:
        assert troubles(one, NOW, Patience()) == []

    def test_failing_code_comes_first_and_says_what_fails(self) -> None:
        one = run(task_attempt=7, pending=(pending(paused=True),))
        failure = TaskFailure(Kind.OTHER_CODE, ("NondeterminismError: other steps",))
        first, second = troubles(one, NOW, Patience(), failure)
        assert (first.kind, second.kind) == (Kind.OTHER_CODE, Kind.PAUSED)
        assert first.reason == "attempt 7 of a workflow task: NondeterminismError: other steps"
        assert first.command == "mediagate runs check media-a"

    def test_the_suspects_are_those_who_wait_for_no_person_or_in_vain(self) -> None:
        assert suspects(NOW) == (
            "ExecutionStatus = 'Running' AND (MediaStage IS NULL OR MediaStage != 'in_review'"
            " OR ReviewDueAt < '2026-01-31T12:00:00+00:00' OR TemporalReportedProblems IS NOT NULL)"
        )


class TestTaskFailure:
    @pytest.mark.parametrize(
        ("cause", "message", "kind"),
        [
            ("NON_DETERMINISTIC_ERROR", "[TMPRL1100] other steps", Kind.OTHER_CODE),
            ("WORKFLOW_WORKER_UNHANDLED_FAILURE", "[TMPRL1101] Potential deadlock detected", Kind.DEADLOCK),
            ("WORKFLOW_WORKER_UNHANDLED_FAILURE", "no such name", Kind.CODE_FAILS),
        ],
    )
    def test_its_kind_is_read_from_the_cause_and_the_code_in_the_message(
        self, cause: str, message: str, kind: Kind
    ) -> None:
        history = History()
        number = WorkflowTaskFailedCause.Value(f"WORKFLOW_TASK_FAILED_CAUSE_{cause}")
        history.add("WORKFLOW_TASK_FAILED", cause=number, failure=application("RuntimeError", message))
        assert task_failure(history.events) == TaskFailure(kind, (f"RuntimeError: {message}",))

    def test_the_last_one_counts(self) -> None:
        history = History()
        history.add("WORKFLOW_TASK_FAILED", failure=application("RuntimeError", "before"))
        history.add("WORKFLOW_TASK_TIMED_OUT")
        assert task_failure(history.events) == TaskFailure(Kind.TASK_TIMES_OUT)
        assert task_failure(History().events) is None


class TestWaits:
    @pytest.mark.parametrize(
        ("one", "wait"),
        [
            (in_review(SOON), Wait(WaitsFor.PERSON, "review", None, SOON)),
            (run(pending=(pending(),)), Wait(WaitsFor.WORKER, "file", NOW)),
            (run(pending=(pending(paused=True),)), Wait(WaitsFor.OPERATOR, "file is paused", NOW)),
            (
                run(pending=(pending(attempt=2, last_failure=("away",), next_attempt_at=SOON),)),
                Wait(WaitsFor.RETRY, "file, attempt 2: away", NOW, SOON),
            ),
            (run(pending=(pending(state="at work"),)), None),
            (run(), None),
        ],
    )
    def test_whom_for_follows_from_how_the_run_stands(self, one: Run, wait: Wait | None) -> None:
        assert wait_of(one, []) == wait

    def test_a_vendor_is_waited_for_until_the_open_timer_fires(self) -> None:
        history = History()
        task = history.waiting()
        history.events[-1].timer_started_event_attributes.start_to_fire_timeout.FromTimedelta(timedelta(minutes=10))
        began = BEGAN + timedelta(seconds=task + 1)
        awaiting = run(attributes={"MediaStage": "awaiting_moderation"})
        assert wait_of(awaiting, steps(history.events)) == Wait(
            WaitsFor.VENDOR, "", began, began + timedelta(minutes=10)
        )


class TestStretches:
    @pytest.mark.parametrize(
        ("count", "rate", "sizes"),
        [(0, 50, []), (1, 0.2, [1]), (3, 0.2, [1, 1, 1]), (23, 2, [10, 10, 3]), (9, 50, [9])],
    )
    def test_each_is_five_seconds_worth(self, count: int, rate: float, sizes: list[int]) -> None:
        cut = stretches([run(run_id=str(number)) for number in range(count)], rate)
        assert [len(stretch) for stretch in cut] == sizes
        assert [one.run_id for stretch in cut for one in stretch] == [str(number) for number in range(count)]
