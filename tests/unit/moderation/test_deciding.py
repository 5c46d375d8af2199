"""Several voices: how they agree, differ, keep silent, and what goes before all of them. One voice: `test_policy`."""

import pytest

from mediagate.media.values import Verdict
from mediagate.moderation.categories import Category
from mediagate.moderation.findings import VendorEvent
from mediagate.moderation.lanes import Lane
from mediagate.moderation.policy import Policy, Subject, decide
from mediagate.moderation.reliability import Reliability
from tests.unit.moderation.events import demanded, known, said

APPROVE, QUARANTINE, REJECT, REVIEW = Verdict.APPROVE, Verdict.QUARANTINE, Verdict.REJECT, Verdict.REVIEW

POOR = known("poor", "verdict", right=10, wrong=90) + known("poor", "csam", right=10, wrong=90)
"""A vendor that people found wrong nine times in ten."""

Said = tuple[Verdict, list[str]]


def leads_to(
    *events: VendorEvent,
    policy: Policy | None = None,
    reliability: Reliability | None = None,
    subject: Subject | None = None,
) -> Said:
    """The verdict and the codes of its reasons."""
    decision = decide(policy or Policy(), events, reliability=reliability, subject=subject)
    return decision.verdict, [reason.code for reason in decision.reasons]


def policy(**sections: object) -> Policy:
    return Policy.model_validate(sections)


class TestScores:
    @pytest.mark.parametrize(
        ("word", "scores", "expected"),
        [
            ("review", (0.9, 0.9), (REJECT, ["reject:nudity"])),
            ("approve", (0.9, 0.9), (REVIEW, ["disagreement", "reject:nudity"])),
            ("review", (0.97, 0.6), (REJECT, ["reject:nudity"])),
            ("approve", (0.8, 0.4), (REVIEW, ["review:nudity"])),
            ("approve", (0.7, 0.3), (REVIEW, ["review:nudity"])),
            ("approve", (0.6, 0.2), (APPROVE, ["clean"])),
            ("approve", (0.84, 0.05), (APPROVE, ["clean"])),
            ("approve", (0.85, 0.05), (REVIEW, ["disagreement"])),
            ("review", (0.99, 0.49), (REVIEW, ["disagreement", "reject:nudity"])),
            ("review", (0.99, 0.5), (REJECT, ["reject:nudity"])),
        ],
    )
    def test_two_vendors(self, word: str, scores: tuple[float, float], expected: Said) -> None:
        one, other = scores
        verdict, codes = leads_to(said("a", word, nudity=one), said("b", nudity=other))
        assert (verdict, [code for code in codes if code != "vendor:review"]) == expected

    def test_a_dispute_says_who_said_what(self) -> None:
        reason = decide(Policy(), [said("a", "review", nudity=0.99), said("b", nudity=0.3)]).reasons[0]
        assert reason.detail == "b differs on nudity: a 0.99, b 0.30; together 0.87."

    def test_how_far_is_far_is_the_policys(self) -> None:
        events = said("a", "review", nudity=0.99), said("b", nudity=0.3)
        assert leads_to(*events, policy=policy(fusion={"disagreement": 0.6}))[0] is REJECT

    def test_steps_that_are_switched_off_lead_to_nothing(self) -> None:
        off = policy(default={"review_at": None, "reject_at": None})
        assert leads_to(said("a", nudity=1.0), said("b", nudity=0.0), policy=off) == (APPROVE, ["clean"])

    def test_without_review_the_threshold_of_rejection_calls_a_person(self) -> None:
        no_review = policy(default={"review_at": None, "reject_at": 0.85})
        assert leads_to(said("a", nudity=0.9), said("b", nudity=0.1), policy=no_review) == (REVIEW, ["disagreement"])
        assert leads_to(said("a", nudity=0.8), said("b", nudity=0.8), policy=no_review) == (APPROVE, ["clean"])

    def test_a_visible_minor_is_no_harm(self) -> None:
        decision = decide(Policy(), [said("a", minors=1.0)])
        assert (decision.verdict, decision.risk) == (APPROVE, 0.0)

    def test_a_text_needs_nobodys_consent(self) -> None:
        assert leads_to(said("a", hate=0.01), said("text", hate=0.9)) == (REJECT, ["reject:hate"])

    def test_calibration_comes_first(self) -> None:
        halved = policy(calibration={"a": {"*": [[0, 0], [1, 0.5]]}})
        assert leads_to(said("a", "review", nudity=0.9), policy=halved) == (REVIEW, ["vendor:review"])
        assert leads_to(said("b", "review", nudity=0.9), policy=halved)[0] is REJECT


class TestVerdicts:
    def test_a_rejection_stands_against_an_approval(self) -> None:
        assert leads_to(said("a", "reject"), said("b")) == (REJECT, ["vendor:reject"])

    def test_or_calls_a_person_where_the_policy_says_so(self) -> None:
        ask = policy(fusion={"contradiction": "review"})
        assert leads_to(said("a", "reject", nudity=0.99), said("b"), policy=ask) == (
            REVIEW,
            ["disagreement", "reject:nudity"],
        )
        assert leads_to(said("a", "reject"), said("b", "reject"), policy=ask)[0] is REJECT

    def test_who_often_errs_rejects_nothing_alone(self) -> None:
        assert leads_to(said("poor", "reject"), said("b"), reliability=POOR) == (REVIEW, ["vendor:reject"])
        assert leads_to(said("poor", "reject"), said("b", "reject"), reliability=POOR)[0] is REJECT

    def test_nor_is_its_score_a_dispute(self) -> None:
        events = said("poor", nudity=0.9), said("b", nudity=0.05)
        assert leads_to(*events) == (REVIEW, ["disagreement"])
        assert leads_to(*events, reliability=POOR) == (APPROVE, ["clean"])


class TestSevere:
    def test_one_vendor_is_enough(self) -> None:
        events = [said(vendor, csam=0.0) for vendor in "abcd"]
        assert leads_to(*events, said("e", csam=0.5)) == (QUARANTINE, ["quarantine:csam"])
        assert leads_to(*events, said("e", csam=0.2)) == (REVIEW, ["review:csam"])

    @pytest.mark.parametrize("category", [category.value for category in Category if category.severe])
    def test_each_is_quarantined_unless_the_policy_says_otherwise(self, category: str) -> None:
        event = said("a").model_copy(update={"scores": {category: 0.5}})
        assert leads_to(event) == (QUARANTINE, [f"quarantine:{category}"])

    def test_but_for_one_that_often_errs(self) -> None:
        events = said("poor", csam=0.9), said("b", csam=0.0)
        assert leads_to(*events, reliability=POOR) == (REVIEW, ["review:csam"])
        detail = decide(Policy(), events, reliability=POOR).reasons[0].detail
        assert detail == "Only vendors that often err say csam: poor (0.90, weight 0.25)."

    def test_a_policy_that_names_other_categories_keeps_them(self) -> None:
        own = policy(categories={"gore": {"review_at": 0.1}})
        assert leads_to(said("a", csam=0.5), policy=own)[0] is QUARANTINE

    def test_a_policy_can_quarantine_anything(self) -> None:
        own = policy(categories={"gore": {"quarantine_at": 0.9}})
        assert leads_to(said("a", gore=0.9), said("b", gore=0.0), policy=own) == (QUARANTINE, ["quarantine:gore"])
        assert leads_to(said("a", "review", gore=0.86), policy=own) == (REJECT, ["reject:gore"])


class TestSilence:
    @pytest.mark.parametrize("detector", ["text", "banks"])
    def test_that_a_list_finds_nothing_approves_nothing(self, detector: str) -> None:
        assert leads_to(said(detector)) == (REVIEW, ["vendor_silent"])

    def test_but_what_it_finds_holds(self) -> None:
        assert leads_to(said("text", hate=0.9)) == (REJECT, ["reject:hate"])

    @pytest.mark.parametrize(
        ("quorum", "heard", "expected"),
        [
            (1, ("a",), (APPROVE, ["clean"])),
            (2, ("a",), (REVIEW, ["quorum"])),
            (2, ("a", "b"), (APPROVE, ["clean"])),
            (3, ("a", "b"), (REVIEW, ["quorum"])),
            (1, ("onnx",), (REVIEW, ["vendor_silent"])),
        ],
    )
    def test_as_many_as_the_policy_wants_must_answer(self, quorum: int, heard: tuple[str, ...], expected: Said) -> None:
        asking = policy(ask=["a", "b", "c"], fusion={"quorum": quorum})
        assert leads_to(*(said(vendor) for vendor in heard), policy=asking) == expected

    def test_the_reason_names_the_silent(self) -> None:
        asking = policy(ask=["a", "b", "c"], fusion={"quorum": 2})
        (reason,) = decide(asking, [said("b")]).reasons
        assert reason.detail == "1 of 3 vendors answered, 2 must; silent: a, c."

    def test_harm_needs_no_quorum(self) -> None:
        asking = policy(ask=["a", "b"], fusion={"quorum": 2})
        assert leads_to(said("a", "reject"), policy=asking)[0] is REJECT

    def test_in_the_fast_lane_others_are_asked(self) -> None:
        asking = policy(ask=["a", "b"], fusion={"quorum": 2}, lanes={"fast_ask": ["c"]})
        assert leads_to(said("c"), policy=asking, subject=Subject(lane=Lane.FAST))[0] is APPROVE
        assert leads_to(said("c"), policy=asking, subject=Subject(lane=Lane.SLOW))[0] is REVIEW


class TestDemands:
    @pytest.mark.parametrize("action", [QUARANTINE, REJECT, REVIEW])
    def test_what_a_list_demands_is_done(self, action: Verdict) -> None:
        assert leads_to(demanded(action), said("a")) == (action, ["bank:known"])

    def test_the_strictest_demand_counts(self) -> None:
        events = demanded(REVIEW), demanded(REJECT, "text:slurs", vendor="text")
        assert leads_to(*events) == (REJECT, ["text:slurs"])

    def test_vendors_may_be_stricter(self) -> None:
        assert leads_to(demanded(REVIEW), said("a", "reject")) == (REJECT, ["vendor:reject"])
        assert leads_to(demanded(REVIEW), said("a", "review")) == (REVIEW, ["bank:known", "vendor:review"])

    def test_nobody_else_may_demand(self) -> None:
        assert leads_to(demanded(APPROVE, vendor="a"), said("a", "reject", minute=1)) == (REJECT, ["vendor:reject"])
        assert leads_to(said("a").model_copy(update={"action": QUARANTINE})) == (APPROVE, ["clean"])

    @pytest.mark.parametrize(
        ("raw", "told"),
        [
            ({"detail": "known: the same file"}, "known: the same file"),
            ({"detail": "x" * 301}, "banks demands reject."),
            ({"detail": {"no": "text"}}, "banks demands reject."),
            ({}, "banks demands reject."),
        ],
    )
    def test_its_own_sentence_is_the_detail(self, raw: dict[str, object], told: str) -> None:
        assert decide(Policy(), [demanded(REJECT, raw=raw)]).reasons[0].detail == told

    def test_without_a_label_the_detector_is_the_code(self) -> None:
        assert leads_to(demanded(REJECT, labels=())) == (REJECT, ["banks:reject"])


class TestKnownGood:
    @pytest.mark.parametrize(
        ("others", "expected"),
        [
            ((), (APPROVE, ["bank:known"])),
            ((said("a", "reject", nudity=0.99),), (APPROVE, ["bank:known"])),
            ((said("a", "pending"),), (APPROVE, ["bank:known"])),
            ((said("a", csam=0.5),), (QUARANTINE, ["quarantine:csam"])),
            ((said("a", csam=0.2),), (REVIEW, ["review:csam"])),
            ((said("text", hate=0.9),), (REJECT, ["reject:hate"])),
            ((demanded(REVIEW, "text:links", vendor="text"),), (REVIEW, ["text:links"])),
        ],
    )
    def test_vendors_are_overridden_severe_categories_and_texts_are_not(
        self, others: tuple[VendorEvent, ...], expected: Said
    ) -> None:
        assert leads_to(demanded(APPROVE), *others) == expected


class TestRules:
    RULES = policy(
        rules=[
            {"name": "strict", "when": {"fact": "tags", "equals": "strict"}, "then": {"verdict": "reject"}},
            {
                "name": "beach",
                "when": {"fact": "tags", "equals": "beach"},
                "then": {"verdict": "approve", "reason": "beach", "detail": "Sun."},
            },
        ]
    )
    BEACH = Subject(tags=("beach",))

    def test_a_rule_goes_before_thresholds_and_vendors(self) -> None:
        decision = decide(self.RULES, [said("a", "reject", suggestive=0.99)], subject=self.BEACH)
        assert (decision.verdict, decision.rule, decision.reasons[0].code) == (APPROVE, "rule:beach", "beach")
        assert decision.reasons[0].detail == "Sun."

    def test_the_first_that_holds_decides(self) -> None:
        both = Subject(tags=("beach", "strict"))
        assert leads_to(said("a"), policy=self.RULES, subject=both) == (REJECT, ["rule:strict"])

    @pytest.mark.parametrize(
        ("events", "expected"),
        [
            ((), (REVIEW, ["vendor_silent"])),
            ((said("text"),), (REVIEW, ["vendor_silent"])),
            ((said("a", csam=0.5),), (QUARANTINE, ["quarantine:csam"])),
            ((said("a", csam=0.2),), (REVIEW, ["review:csam"])),
            ((demanded(REJECT), said("a")), (REJECT, ["bank:known"])),
            ((demanded(REVIEW), said("a")), (REVIEW, ["bank:known"])),
        ],
    )
    def test_none_approves_silence_severe_categories_or_what_is_listed(
        self, events: tuple[VendorEvent, ...], expected: Said
    ) -> None:
        assert leads_to(*events, policy=self.RULES, subject=self.BEACH) == expected

    def test_one_may_be_stricter_than_a_good_bank(self) -> None:
        strict = Subject(tags=("strict",))
        assert leads_to(demanded(APPROVE), policy=self.RULES, subject=strict)[0] is REJECT


class TestWhatIsStored:
    @pytest.mark.parametrize(
        ("events", "risk", "rule"),
        [
            ((said("a", nudity=0.3, minors=0.9),), 0.3, "clean"),
            ((said("a", "reject"),), 0.85, "vendor:reject"),
            ((said("a", "review"),), 0.5, "vendor:review"),
            ((demanded(QUARANTINE),), 1.0, "bank:known"),
            ((said("a", "review", nudity=0.9),), 0.9, "reject:nudity"),
            ((), 0.0, "vendor_silent"),
        ],
    )
    def test_risk_and_rule(self, events: tuple[VendorEvent, ...], risk: float, rule: str) -> None:
        decision = decide(Policy(), events)
        assert (decision.risk, decision.rule) == (risk, rule)

    def test_every_finding_says_how_it_was_weighed(self) -> None:
        word, score = decide(Policy(), [said("a", nudity=0.9)]).findings
        assert (word.weight, word.settled) == (1.0, True)
        assert (score.calibrated, score.weight, score.fused) == (0.9, 1.0, 0.9)
        assert score.bounds == Policy().default

    def test_preliminary_words_are_shown_but_not_weighed(self) -> None:
        early = said("a", "reject", nudity=0.9).model_copy(update={"final": False})
        findings = decide(Policy(), [early]).findings
        assert [(f.settled, f.weight, f.fused) for f in findings] == [(False, None, None)] * 2
