"""What is asked of the workflow service: queries, ids, times, and where the service is."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import typer
from typer.testing import CliRunner

from cli.local_stack import adopt_local_stack
from cli.runs.access import workflow_id_of
from cli.runs.commands import app
from cli.runs.times import ago, duration, since, span
from devstack.environment import applied
from devstack.folders import write_json
from devstack.state import StateDir, held
from workflows.operations.visibility import BROKE, ENDED_BADLY, Filter, RunStatus, quoted

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class TestFilter:
    def test_conditions_all_have_to_hold(self) -> None:
        wanted = Filter(
            statuses=[RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED],
            library="demo",
            started_after=NOW,
            raw="A = 1 OR B = 2",
        )
        assert wanted.query() == (
            "WorkflowType = 'UploadWorkflow' AND Library = 'demo' AND "
            "ExecutionStatus IN ('Failed', 'TimedOut', 'Canceled') AND "
            "StartTime >= '2026-01-31T12:00:00+00:00' AND (A = 1 OR B = 2)"
        )

    def test_no_condition_at_all_is_an_empty_query(self) -> None:
        assert Filter(workflow_type=None).query() == ""

    @pytest.mark.parametrize(
        ("value", "literal"), [("a", "'a'"), ("it's", r"'it\'s'"), ("a\\", r"'a\\'"), ("\\'", r"'\\\''")]
    )
    def test_values_cannot_leave_their_quotes(self, value: str, literal: str) -> None:
        assert quoted(value) == literal

    def test_a_failure_kind_is_a_search_attribute(self) -> None:
        assert "FailureKind = 'ObjectMissing'" in Filter.ended(BROKE, "ObjectMissing", None, None).query()

    def test_a_way_to_end_is_a_status_where_it_is_one_of_those_asked_for(self) -> None:
        terminated = Filter.ended(ENDED_BADLY, "terminated", None, None).query()
        assert "ExecutionStatus IN ('Terminated')" in terminated
        assert "FailureKind" not in terminated
        assert "FailureKind = 'terminated'" in Filter.ended(BROKE, "terminated", None, None).query()


class TestWorkflowId:
    def test_a_media_id_in_any_spelling_is_that_of_its_upload(self) -> None:
        media_id = UUID("3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b")
        expected = f"media-{media_id}"
        assert [workflow_id_of(spelled) for spelled in (str(media_id), str(media_id).upper(), media_id.hex)] == [
            expected,
            expected,
            expected,
        ]

    def test_anything_else_is_a_workflow_id(self) -> None:
        assert workflow_id_of("media-sweep") == "media-sweep"


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "back"),
        [
            ("90s", timedelta(seconds=90)),
            ("30m", timedelta(minutes=30)),
            ("1.5h", timedelta(hours=1.5)),
            ("7d", timedelta(days=7)),
            (" 1 w ", timedelta(weeks=1)),
        ],
    )
    def test_a_span_is_counted_back_from_now(self, text: str, back: timedelta) -> None:
        assert since(text, now=NOW) == NOW - back

    def test_a_time_without_a_zone_is_utc(self) -> None:
        assert since("2026-01-31T12:00") == NOW
        assert since("2026-01-31T14:00+02:00") == NOW
        assert since(None) is None

    @pytest.mark.parametrize("text", ["yesterday", "2", "5y", "", "99999999999w"])
    def test_what_is_neither_is_wrong_usage(self, text: str) -> None:
        with pytest.raises(typer.BadParameter, match="write 90s"):
            since(text)

    @pytest.mark.parametrize(("text", "length"), [("90s", 90), ("10m", 600), (" 1w ", 604_800)])
    def test_a_span_of_time(self, text: str, length: float) -> None:
        assert duration(text).total_seconds() == length

    @pytest.mark.parametrize("text", ["0s", "", "10", "-5m", "367d", "99999999999w", "2026-01-31"])
    def test_a_span_is_positive_and_at_most_a_year(self, text: str) -> None:
        with pytest.raises(typer.BadParameter, match="no span up to a year"):
            duration(text)

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (0.04, "40 ms"),
            (3.21, "3.2 s"),
            (302, "5 m 2 s"),
            (300, "5 m"),
            (11_045, "3 h 4 m"),
            (190_800, "2 d 5 h"),
        ],
    )
    def test_a_duration_names_its_two_largest_units(self, seconds: float, text: str) -> None:
        assert span(seconds) == text

    def test_what_is_to_come_is_told_apart(self) -> None:
        assert ago(NOW - timedelta(seconds=5), NOW) == "5.0 s ago"
        assert ago(NOW + timedelta(seconds=5), NOW) == "in 5.0 s"


class TestLocalStack:
    @pytest.fixture
    def state(self, tmp_path: Path) -> StateDir:
        """A state folder as a ready stack leaves it, without a stack that holds it."""
        state = StateDir.open(tmp_path)
        stack = {
            "TEMPORAL_ADDRESS": "127.0.0.1:1111",
            "MEDIAGATE_DATABASE_URL": "postgresql://postgres@127.0.0.1:2222/mediagate",
            "MEDIAGATE_TEMPORAL_UI_URL": "http://127.0.0.1:3333",
        }
        write_json(state.environment_file, stack)
        return state

    def test_a_running_stack_fills_in_what_the_environment_lacks(self, state: StateDir) -> None:
        with applied({"MEDIAGATE_STATE_DIR": str(state.path)}), held(state):
            write_json(state.stack_file, {"temporal_address": "127.0.0.1:1111"})
            assert adopt_local_stack() is True
            assert os.environ["TEMPORAL_ADDRESS"] == "127.0.0.1:1111"
            assert os.environ["MEDIAGATE_DATABASE_URL"].endswith(":2222/mediagate")

    def test_what_the_caller_set_wins_and_a_service_of_the_callers_is_not_mixed_with_the_stacks(
        self, state: StateDir
    ) -> None:
        given = {"TEMPORAL_ADDRESS": "temporal.example:7233", "MEDIAGATE_DATABASE_URL": "postgresql://own/db"}
        with applied({"MEDIAGATE_STATE_DIR": str(state.path)} | given), held(state):
            write_json(state.stack_file, {"temporal_address": "127.0.0.1:1111"})
            adopt_local_stack()
            assert {name: os.environ[name] for name in given} == given
            assert "MEDIAGATE_TEMPORAL_UI_URL" not in os.environ

    def test_what_a_killed_stack_left_behind_does_not_count(self, state: StateDir) -> None:
        write_json(state.stack_file, {"temporal_address": "127.0.0.1:1111"})
        with applied({"MEDIAGATE_STATE_DIR": str(state.path)}):
            assert adopt_local_stack() is False
            assert "TEMPORAL_ADDRESS" not in os.environ

    def test_looking_for_a_stack_makes_no_folder(self, tmp_path: Path) -> None:
        with applied({"MEDIAGATE_STATE_DIR": str(tmp_path / "none")}):
            assert adopt_local_stack() is False
        assert list(tmp_path.iterdir()) == []


class TestUsage:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["retry"],
            ["retry", "a", "--all-failed"],
            ["retry", "a", "--kind", "ObjectMissing"],
            ["retry", "--all-failed", "--since", "yesterday"],
            ["list", "--status", "broken"],
            ["reset", "a"],
            ["reset", "--to", "file"],
            ["reset", "a", "--to", "file", "--query", "x"],
            ["retry", "a", "--query", "x"],
            ["unstick", "a", "--pause", "--unpause"],
            ["unstick", "a", "--pause", "--timeout", "5m"],
            ["unstick", "a", "--restore", "--priority", "1"],
            ["unstick", "a", "--timeout", "yesterday"],
            ["unstick", "a", "--priority", "9"],
            ["cancel"],
            ["stuck", "--over", "0s"],
            ["waiting", "--for", "godot"],
            ["bulk", "cancel"],
            ["bulk", "delete", "--library", "demo"],
            ["bulk", "cancel", "--library", "demo", "--status", "running"],
            ["bulk", "reset", "--library", "demo"],
            ["bulk", "signal", "--library", "demo"],
            ["bulk", "signal", "--library", "demo", "--signal", "x", "--input", "{"],
            ["bulk", "set-options", "--library", "demo"],
            ["bulk", "cancel", "--library", "demo", "--activity", "file"],
            ["bulk", "cancel", "--library", "demo", "--rate", "51"],
            ["export", "--out", "x"],
            ["export", "a", "--out", "x", "--status", "running"],
            ["check"],
        ],
    )
    def test_wrong_usage_ends_with_2_before_anything_is_asked(self, arguments: list[str]) -> None:
        assert CliRunner().invoke(app, arguments).exit_code == 2

    def test_the_help_says_what_the_exit_codes_mean(self) -> None:
        said = " ".join(CliRunner().invoke(app, ["--help"]).output.split())
        assert "Exit codes: 0 done" in said
        assert json.dumps(said).count("2 wrong usage") == 1
