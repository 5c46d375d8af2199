import json
from pathlib import Path

import pytest

from mediagate.media.values import Verdict
from mediagate.moderation.documents import check
from mediagate.moderation.explain import Card, Change, card_text, compare, explain
from mediagate.moderation.findings import Finding, VendorEvent
from mediagate.moderation.policy import Decision, Policy, Reason, Subject, decide
from mediagate.moderation.reliability import Reliability
from tests.unit.moderation.events import demanded, said

PAGE = Path(__file__).parents[3] / "docs" / "how-a-decision-is-made.md"


def block(language: str, *, after: str = "#") -> str:
    """The first code block of that language on the page."""
    return PAGE.read_text().split(after, 1)[-1].split(f"```{language}\n", 1)[1].split("```", 1)[0]


class TestThePage:
    """`docs/how-a-decision-is-made.md` says what happens."""

    @pytest.fixture
    def policy(self) -> Policy:
        checked = check(block("yaml"), vendors=["hive", "sightengine"])
        assert checked.problems == ()
        assert checked.policy
        return checked.policy

    @pytest.fixture
    def heard(self) -> tuple[list[VendorEvent], Reliability]:
        data = json.loads(block("json"))
        events = [VendorEvent.model_validate(event) for event in data["events"]]
        return events, Reliability.model_validate(data["reliability"])

    def test_the_card(self, policy: Policy, heard: tuple[list[VendorEvent], Reliability]) -> None:
        events, reliability = heard
        card = explain(decide(policy, events, reliability=reliability))
        assert card_text(card) == block("", after="The card,")

    def test_what_would_have_been_otherwise(self, policy: Policy, heard: tuple[list[VendorEvent], Reliability]) -> None:
        (hive, *others), reliability = heard
        third = hive.model_copy(update={"vendor": "third", "scores": {"nudity": 0.97}})
        decision = decide(policy, [hive, *others, third], reliability=reliability)
        assert (decision.verdict, f"{decision.risk:.3f}") == (Verdict.REJECT, "0.874")

        milder = hive.model_copy(update={"scores": {"nudity": 0.4}})
        decision = decide(policy, [milder, *others], reliability=reliability)
        assert [reason.code for reason in decision.reasons] == ["vendor:review"]
        assert {f"{f.fused:.3f}" for f in decision.findings if f.category == "nudity"} == {"0.439"}

    def test_its_rules(self, policy: Policy) -> None:
        heard = [said("hive", suggestive=0.85, alcohol=0.6), said("sightengine", nudity=0.1)]
        rules = [
            decide(policy, heard, subject=subject).rule
            for subject in (Subject(tags=("beach",)), Subject(trusted=False), Subject())
        ]
        assert rules == ["rule:beach", "rule:newcomers-drinks", "review:alcohol"]


class TestCard:
    def test_it_needs_nothing_but_what_is_stored(self) -> None:
        decision = decide(Policy(), [said("a", "review", nudity=0.9), said("b", nudity=0.4)])
        stored = Decision.model_validate_json(decision.model_dump_json())
        card = explain(stored)
        assert card == explain(decision)
        assert Card.model_validate_json(card.model_dump_json()) == card

    def test_of_a_decision_from_before_there_were_weights(self) -> None:
        old = Decision(
            verdict=Verdict.REJECT,
            reasons=(Reason(code="reject:gore", detail="gore 0.90 is at or over 0.85."),),
            policy_version="thresholds-1",
            findings=(
                Finding.model_validate({"vendor": "a", "category": "verdict", "score": None, "verdict": "review"}),
                Finding.model_validate({"vendor": "a", "category": "gore", "score": 0.9, "verdict": None}),
            ),
        )
        assert card_text(explain(old)).splitlines() == [
            "reject by reject:gore (policy thresholds-1, risk 0.00)",
            "  because reject:gore: gore 0.90 is at or over 0.85.",
            "a says review (weight 1.00)",
            "gore 0.900",
            "  a: score 0.900, probability 0.900, weight 1.00, contributes +0.00",
        ]

    def test_what_does_not_count_and_what_demands_is_said(self) -> None:
        early = said("a", "reject", gore=0.9).model_copy(update={"final": False})
        text = card_text(explain(decide(Policy(), [early, demanded(Verdict.REJECT)])))
        assert "a says reject (does not count)\n" in text
        assert "banks says reject (weight 1.00, demands reject) [bank:known]\n" in text
        assert "gore" not in text

    @pytest.mark.parametrize(
        ("events", "otherwise"),
        [
            (
                [said(nudity=0.41, gore=0.4, minors=0.9)],
                "nudity is 0.09 short of 0.50, from where on it leads elsewhere.",
            ),
            ([said(csam=0.15, gore=0.4)], "csam is 0.05 short of 0.20, from where on it leads elsewhere."),
            ([said()], ""),
            (
                [said(nudity=0.6, gore=0.7)],
                "gore is 0.20 over: below 0.50 it would not lead to review; besides there is review:nudity.",
            ),
            ([said(csam=0.75)], "csam is 0.25 over: below 0.50 it would not lead to quarantine."),
            ([said("a", "reject")], "No score alone decides here, but vendor:reject does."),
            ([], "No score alone decides here, but vendor_silent does."),
        ],
        ids=["approved", "severe", "no-scores", "review", "quarantine", "word", "silence"],
    )
    def test_what_would_have_had_to_be_different(self, events: list[VendorEvent], otherwise: str) -> None:
        assert explain(decide(Policy(), events)).otherwise == otherwise

    def test_of_a_rule(self) -> None:
        policy = Policy.model_validate({"rules": [{"name": "all", "then": {"verdict": "review"}}]})
        card = explain(decide(policy, [said()]))
        assert (card.rule, card.otherwise) == (
            "rule:all",
            "Without rule:all the next rules of the policy and its thresholds would have decided.",
        )


class TestCompare:
    CLEAN, DOUBT, BAD = (
        decide(Policy(), [said("a", "review" if s > 0.5 else "approve", nudity=s)]) for s in (0.1, 0.6, 0.9)
    )

    @pytest.mark.parametrize(
        ("old", "new", "change"),
        [
            (CLEAN, CLEAN, Change.SAME),
            (CLEAN, DOUBT, Change.STRICTER),
            (DOUBT, BAD, Change.STRICTER),
            (BAD, DOUBT, Change.MILDER),
            (BAD, CLEAN, Change.MILDER),
        ],
        ids=["same", "doubt", "worse", "better", "clean"],
    )
    def test_verdicts(self, old: Decision, new: Decision, change: Change) -> None:
        assert compare(old, new).change is change

    def test_why(self) -> None:
        compared = compare(self.CLEAN, self.BAD)
        assert compared.risk == 0.8
        assert compared.why == (
            "now reject:nudity: nudity 0.90 is at or over 0.85.",
            "no longer clean: No score reached a threshold.",
            "nudity 0.10 → 0.90",
        )

    def test_the_same_has_no_reasons(self) -> None:
        assert compare(self.BAD, self.BAD).why == ()

    def test_what_nobody_said_before_is_unknown(self) -> None:
        assert "gore unknown → 0.20" in compare(self.CLEAN, decide(Policy(), [said(gore=0.2)])).why
