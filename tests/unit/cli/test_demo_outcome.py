import io
from typing import Any

import pytest
from rich.console import Console

from cli.demo.checks.scene import Check
from cli.demo.files import DemoFile, Expected, Route
from cli.demo.journey import SENT, TROUBLE, Journey
from cli.demo.outcome import Outcome
from cli.demo.progress import progress, summary, trail

LINK = "http://127.0.0.1:8233/namespaces/default/workflows/media-0f9c0000-0000-4000-8000-000000000000"


def journey(
    status: str = "approved", *, label: str = "ridge.jpg", expected: Expected | None = None, **document: Any
) -> Journey:
    file = DemoFile(label, label, "image/jpeg", 1, Route.PRESIGNED, expected or Expected(frozenset({"approved"})))
    made = Journey(file, media_id="0f9c")
    made.move(SENT)
    made.move("accepted")
    made.document = {"workflow": {"id": "media-0f9c", "url": LINK}, "reason": "clean", **document}
    made.move(status)
    return made


def variant(name: str, width: int = 0, height: int = 0, count: int = 0) -> dict[str, Any]:
    return {"name": name, "format": "jpeg", "width": width, "height": height, "bytes": count}


def printed(outcome: Outcome, *, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    outcome.print(console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


class TestJourney:
    def test_an_expected_end_is_no_mismatch(self) -> None:
        assert journey().mismatch == ""

    def test_a_stuck_file_says_where(self) -> None:
        assert journey("awaiting_moderation").mismatch == "expected approved, stuck at awaiting moderation for 0 s"

    def test_a_review_that_nobody_is_asked_to_decide_is_an_end_but_not_a_right_one(self) -> None:
        waiting = journey("in_review", expected=Expected())
        assert waiting.ended
        assert waiting.mismatch == "waits for a person's decision"

    def test_a_review_that_the_demo_decides_is_no_end(self) -> None:
        assert not journey("in_review", expected=Expected(frozenset({"approved"}), by_person=True)).ended

    def test_trouble_on_the_way_is_told(self) -> None:
        troubled = Journey(DemoFile("a", "a", "image/jpeg", 1, Route.PRESIGNED))
        troubled.end(TROUBLE, "unreadable", "Permission denied: a")
        assert troubled.mismatch.endswith("got an error: Permission denied: a")

    def test_the_same_stage_again_is_no_news(self) -> None:
        news: list[str] = []
        told = journey("processing")
        told.tell = lambda one: news.append(one.stage)
        told.move("processing")
        told.move("approved")
        assert news == ["approved"]

    def test_why_a_file_was_rejected_comes_from_the_decision(self) -> None:
        decision = {"decided_by": "gate", "reasons": [{"code": "truncated_file", "detail": "It stops."}]}
        assert journey("rejected", decision=decision).explanation == "It stops."


class TestOutcome:
    def test_all_well(self) -> None:
        outcome = Outcome([journey()], [Check("a check", "ok", "fine"), Check("another", "skip", "nothing")], 1.0)
        assert outcome.ok
        assert "1 of 1 files reached the expected end; 1 checks passed, 0 failed (1.0 s)." in printed(
            outcome, width=120
        )

    def test_a_failed_check_fails_all(self) -> None:
        assert not Outcome([journey()], [Check("a check", "fail", "bad")], 1.0).ok

    def test_a_mismatch_fails_all_and_stands_below_its_row(self) -> None:
        outcome = Outcome([journey("rejected")], [], 1.0)
        lines = printed(outcome, width=120).splitlines()
        (row,) = [number for number, line in enumerate(lines) if line.startswith("fail")]
        assert not outcome.ok
        assert lines[row + 1].strip() == "expected approved, got rejected (clean)"
        assert "0 of 1 files reached the expected end; nothing was checked" in lines[-1]

    def test_variants_are_shown_compactly_and_the_moderation_copy_is_not(self) -> None:
        made = [variant("thumb"), variant("moderation"), variant("medium"), variant("original", 4000, 3000, 1_992_294)]
        text = printed(Outcome([journey(variants=made)], [], 1.0), width=120)
        assert "original 4000×3000 1.9 MB, medium, thumb" in text
        assert "moderation" not in text

    @pytest.mark.parametrize("width", [80, 100, 120, 240])
    def test_the_link_stays_whole_wherever_there_is_room_for_it(self, width: int) -> None:
        lines = printed(Outcome([journey()], [], 1.0), width=width).splitlines()
        assert max(len(line.rstrip()) for line in lines) <= width
        assert any(LINK in line for line in lines) == (width > len(LINK) + 4)

    def test_a_hostile_name_cannot_steer_the_terminal(self) -> None:
        text = printed(Outcome([journey(label="a\x1b[2J\u202egpj.[red]exe")], [], 1.0), width=120)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[red]" in text

    def test_json_tells_files_expectations_and_checks(self) -> None:
        document = Outcome([journey("rejected")], [Check("a check", "ok", "fine")], 1.25).as_json()
        (file,) = document["files"]
        assert (document["ok"], document["checks"]) == (False, [{"name": "a check", "result": "ok", "detail": "fine"}])
        assert (file["outcome"], file["as_expected"], file["workflow_url"]) == ("rejected", False, LINK)
        assert file["expected"] == {"outcomes": ["approved"], "reason": "", "by_person": False}
        assert [stage["stage"] for stage in file["stages"]] == ["sent", "accepted", "rejected"]


class TestProgress:
    def test_the_trail_shows_the_steps_taken_and_the_present_one(self) -> None:
        assert trail(journey("processing")).plain == "sent › accepted › processing"

    def test_the_sum_counts_ends(self) -> None:
        three = [journey(), journey("rejected"), journey("processing")]
        assert summary(three, 2.0) == "2 of 3 at their end: 1 approved, 1 rejected · 2.0 s"

    def test_without_a_terminal_each_stage_is_a_line_and_the_reviewer_is_named(self) -> None:
        reviewed = journey("processing", expected=Expected(frozenset({"approved"}), by_person=True))
        console = Console(file=io.StringIO(), width=200)
        with progress(console, [reviewed]):
            reviewed.move("in_review")
            reviewed.move("approved")
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        assert [line[10:] for line in lines if line.startswith("   ")] == [
            "ridge.jpg  in review",
            "ridge.jpg  approved",
        ]
        assert "the demo stands in for the reviewer" in lines[1]

    def test_a_low_terminal_shows_those_on_their_way(self) -> None:
        many = [*(journey(label=f"done{n}") for n in range(20)), journey("processing", label="moving")]
        console = Console(file=io.StringIO(), width=100, height=12, force_terminal=True)
        with progress(console, many):
            pass
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert "moving" in text
        assert "20 of 21 at their end" in text
        assert "done0 " not in text
