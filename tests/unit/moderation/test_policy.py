from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from mediagate.media.values import Verdict
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.moderation.policy import Policy, Threshold, decide, standing

START = datetime(2026, 1, 1, tzinfo=UTC)
V = VendorVerdict


def event(verdict: V, *, vendor: str = "a", final: bool = True, minute: int = 0, **scores: float) -> VendorEvent:
    return VendorEvent(
        event_id=f"{vendor}-{minute}-{verdict.value}",
        vendor=vendor,
        verdict=verdict,
        scores=scores,
        final=final,
        occurred_at=START + timedelta(minutes=minute),
    )


class TestDecide:
    @pytest.mark.parametrize(
        ("events", "verdict", "reason"),
        [
            ([event(V.APPROVE)], Verdict.APPROVE, "clean"),
            ([event(V.APPROVE, nudity=0.49)], Verdict.APPROVE, "clean"),
            ([event(V.APPROVE, nudity=0.5)], Verdict.REVIEW, "review:nudity"),
            ([event(V.APPROVE, nudity=0.9)], Verdict.REVIEW, "disagreement"),
            ([event(V.REVIEW, nudity=0.9)], Verdict.REJECT, "reject:nudity"),
            ([event(V.REVIEW, nudity=0.6)], Verdict.REVIEW, "review:nudity"),
            ([event(V.REVIEW)], Verdict.REVIEW, "vendor:review"),
            ([event(V.REJECT)], Verdict.REJECT, "vendor:reject"),
            ([event(V.REJECT, nudity=0.95)], Verdict.REJECT, "reject:nudity"),
            ([event(V.APPROVE, csam=0.5)], Verdict.QUARANTINE, "quarantine:csam"),
            ([event(V.REJECT, csam=0.97, nudity=0.99)], Verdict.QUARANTINE, "quarantine:csam"),
            ([event(V.APPROVE, csam=0.3)], Verdict.REVIEW, "review:csam"),
            ([event(V.APPROVE), event(V.REJECT, vendor="b")], Verdict.REJECT, "vendor:reject"),
            ([event(V.APPROVE), event(V.REVIEW, vendor="b")], Verdict.REVIEW, "vendor:review"),
            ([], Verdict.REVIEW, "vendor_silent"),
            ([event(V.PENDING)], Verdict.REVIEW, "vendor_silent"),
            ([event(V.APPROVE, final=False)], Verdict.REVIEW, "vendor_silent"),
        ],
    )
    def test_the_most_severe_finding_decides(self, events: list[VendorEvent], verdict: Verdict, reason: str) -> None:
        decision = decide(Policy(), events)
        assert (decision.verdict, decision.reasons[0].code) == (verdict, reason)
        assert decision.policy_version == "thresholds-1"

    def test_a_library_sets_its_own_thresholds(self) -> None:
        policy = Policy(version="strict-7", default=Threshold(review_at=0.1, reject_at=0.2))
        decision = decide(policy, [event(V.REVIEW, gore=0.2)])
        assert (decision.verdict, decision.policy_version) == (Verdict.REJECT, "strict-7")

    def test_findings_name_every_score_and_verdict(self) -> None:
        findings = decide(Policy(), [event(V.APPROVE, nudity=0.1, gore=0.2)]).findings
        assert [(f.category, f.score) for f in findings] == [("verdict", None), ("gore", 0.2), ("nudity", 0.1)]


class TestStanding:
    def test_the_order_of_delivery_does_not_matter(self) -> None:
        events = [event(V.PENDING, minute=9), event(V.REVIEW, final=False, minute=5), event(V.REJECT, minute=1)]
        outcomes = {tuple(e.event_id for e in standing(order)) for order in permutations(events)}
        assert outcomes == {("a-1-reject",)}

    def test_of_two_final_words_the_later_counts(self) -> None:
        events = [event(V.REJECT, minute=2), event(V.APPROVE, minute=1)]
        assert [e.verdict for e in standing(events)] == [V.REJECT]

    def test_a_repeated_event_counts_once(self) -> None:
        assert decide(Policy(), [event(V.REJECT)] * 2) == decide(Policy(), [event(V.REJECT)])


class TestAVendorWithoutVerdictsOfItsOwn:
    @pytest.mark.parametrize(("score", "verdict"), [(0.1, "approve"), (0.6, "review"), (0.9, "reject")])
    def test_is_judged_by_its_scores(self, score: float, verdict: str) -> None:
        assert decide(Policy(), [event(V.SCORED, nudity=score)]).verdict == verdict

    def test_may_say_what_a_policy_allows(self) -> None:
        liberal = Policy(categories={"alcohol": Threshold(review_at=None, reject_at=None)})
        assert decide(liberal, [event(V.SCORED, alcohol=0.99)]).verdict == "approve"
