"""What a bank may be, and what its hits demand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from mediagate.media.values import Verdict
from mediagate.moderation.banks import SEVERITY, BankRules, EntryKind, Hit, demanded, event_of, flooded
from mediagate.moderation.findings import DETECTORS, VendorVerdict

AT = datetime(2026, 4, 1, tzinfo=UTC)


def hit(bank: str, action: Verdict, **fields: Any) -> Hit:
    values = {"entry_id": f"e-{bank}", "bank": bank, "category": "gore", "kind": EntryKind.SHA256, "at": AT}
    return Hit.model_validate(values | {"action": action} | fields)


class TestRules:
    @pytest.mark.parametrize(
        ("fields", "reach"),
        [
            ({"category": "gore"}, 4),
            ({"category": "gore", "distance": 8}, 8),
            ({"polarity": "good", "action": "approve"}, 0),
            ({"polarity": "good", "action": "approve", "distance": 2}, 2),
        ],
    )
    def test_distance_by_default(self, fields: dict[str, Any], reach: int) -> None:
        assert BankRules.model_validate(fields).reach == reach

    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            ({"category": "gore", "action": "approve"}, "a good bank approves"),
            ({"polarity": "good"}, "a good bank approves"),
            ({"polarity": "good", "action": "reject"}, "a good bank approves"),
            ({}, "category is needed for a bad bank"),
            ({"polarity": "good", "action": "approve", "category": "gore"}, "a good one has none"),
            ({"category": "gore", "distance": 9}, "less than or equal to 8"),
            ({"category": "gore", "distance": -1}, "greater than or equal to 0"),
            ({"category": "gore", "flood_limit": 0}, "greater than or equal to 1"),
            ({"category": "goer"}, "Input should be 'nudity', 'suggestive'"),
        ],
    )
    def test_what_does_not_agree_is_refused(self, fields: dict[str, Any], why: str) -> None:
        with pytest.raises(ValidationError, match=why):
            BankRules.model_validate(fields)


class TestFlood:
    @pytest.mark.parametrize(("hits", "limit", "too_often"), [(1, 1, False), (2, 1, True), (100, 100, False)])
    def test_beyond_the_limit(self, hits: int, limit: int, too_often: bool) -> None:
        assert flooded(hits, limit) is too_often

    @pytest.mark.parametrize("action", SEVERITY)
    def test_an_entry_that_is_held_back_asks_for_a_person_and_no_more(self, action: Verdict) -> None:
        assert demanded(action, held=True) is Verdict.REVIEW
        assert demanded(action, held=False) is action


class TestEvent:
    def test_without_a_hit_there_is_none(self) -> None:
        assert event_of("m", []) is None

    @pytest.mark.parametrize(
        ("actions", "action", "verdict"),
        [
            ([Verdict.APPROVE], Verdict.APPROVE, VendorVerdict.APPROVE),
            ([Verdict.REVIEW, Verdict.APPROVE], Verdict.REVIEW, VendorVerdict.REVIEW),
            ([Verdict.REVIEW, Verdict.REJECT], Verdict.REJECT, VendorVerdict.REJECT),
            ([Verdict.APPROVE, Verdict.QUARANTINE, Verdict.REJECT], Verdict.QUARANTINE, VendorVerdict.REJECT),
        ],
    )
    def test_the_most_severe_counts(self, actions: list[Verdict], action: Verdict, verdict: VendorVerdict) -> None:
        event = event_of("m", [hit(f"b{n}", one) for n, one in enumerate(actions)])
        assert event
        assert (event.action, event.verdict) == (action, verdict)
        assert (event.vendor, event.media_id, event.final) == ("banks", "m", True)
        assert event.vendor in DETECTORS

    def test_names_every_bank_and_scores_what_ends_an_upload(self) -> None:
        event = event_of(
            "m",
            [
                hit("maybe", Verdict.REVIEW, category="nudity"),
                hit("leaks", Verdict.REJECT, kind=EntryKind.PHASH, distance=3),
                hit("worst", Verdict.QUARANTINE, category="csam"),
            ],
        )
        assert event
        assert event.scores == {"csam": 1.0, "gore": 1.0}
        assert event.labels == ("bank:worst", "bank:leaks", "bank:maybe")
        assert event.raw["detail"] == (
            "worst: the same file; leaks: the same picture, 3 of 64 bits differ; maybe: the same file"
        )
        assert [one["entry_id"] for one in event.raw["hits"]] == ["e-worst", "e-leaks", "e-maybe"]

    def test_an_entry_that_is_held_back_has_no_score(self) -> None:
        event = event_of("m", [hit("leaks", Verdict.REVIEW, held=True)])
        assert event
        assert event.scores == {}
        assert "hit too often" in event.raw["detail"]

    def test_the_same_hits_are_the_same_event_in_any_order(self) -> None:
        hits = [hit("a", Verdict.REJECT), hit("b", Verdict.REVIEW, at=AT + timedelta(seconds=1))]
        first, second = event_of("m", hits), event_of("m", hits[::-1])
        assert first == second
        assert first
        assert first.occurred_at == AT + timedelta(seconds=1)

    def test_other_hits_are_another_event(self) -> None:
        one, more = [hit("a", Verdict.REJECT)], [hit("a", Verdict.REJECT), hit("b", Verdict.REVIEW)]
        ids = {event.event_id for hits in (one, more, more[1:]) if (event := event_of("m", hits))}
        assert len(ids) == 3
