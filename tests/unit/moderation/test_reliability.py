import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.media.values import Verdict
from mediagate.moderation.findings import Finding
from mediagate.moderation.policy import Policy, decide
from mediagate.moderation.reliability import LEAST, MOST, Outcome, Reliability, learn, lesson
from tests.unit.moderation.events import known, said

counts = st.integers(0, 10_000)


def findings(*events: tuple[str, str, dict[str, float]]) -> tuple[Finding, ...]:
    heard = [said(vendor, verdict).model_copy(update={"scores": scores}) for vendor, verdict, scores in events]
    return decide(Policy(), heard).findings


def taught(
    found: tuple[Finding, ...], verdict: Verdict, *, by: str = "person:ada", reason: str = ""
) -> dict[str, tuple[int, ...]]:
    """`vendor/category` to its tp, fp, tn, fn."""
    rows = lesson(found, verdict, decided_by=by, reason=reason).rows()
    return {f"{vendor}/{category}": (o.tp, o.fp, o.tn, o.fn) for vendor, category, o in rows}


RIGHT_ALARM, FALSE_ALARM, RIGHT_CLEAR, MISSED = (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)


class TestWeight:
    @pytest.mark.parametrize(
        ("right", "wrong", "weight"),
        [(80, 20, 1.0), (90, 10, 1.5149), (66, 34, 0.5198), (50, 50, LEAST), (0, 100, LEAST), (1000, 0, MOST)],
    )
    def test_log_odds_of_being_right_in_units_of_the_prior(self, right: int, wrong: int, weight: float) -> None:
        assert Outcome(tp=right, fp=wrong).weight == pytest.approx(weight, abs=2e-4)

    def test_nothing_departs_from_the_prior_below_the_floor(self) -> None:
        few, enough = (known("a", "nudity", right=n, wrong=0) for n in (49, 50))
        assert few.weight("a", "nudity", floor=50) == (1.0, "prior")
        assert enough.weight("a", "nudity", floor=50) == (2.0, "category")

    def test_a_category_with_too_little_data_has_the_vendors_weight(self) -> None:
        learnt = known("a", "verdict", right=10, wrong=90) + known("a", "gore", right=10, wrong=0)
        assert learnt.weight("a", "gore", floor=50) == (LEAST, "vendor")
        assert learnt.weight("b", "gore", floor=50) == (1.0, "prior")

    def test_for_severe_categories_only_their_own_cases_count(self) -> None:
        learnt = known("a", "verdict", right=10, wrong=90)
        assert learnt.weight("a", "csam", floor=50) == (1.0, "prior")

    @given(counts, counts, counts, counts)
    def test_it_is_bounded(self, tp: int, fp: int, tn: int, fn: int) -> None:
        assert LEAST <= Outcome(tp=tp, fp=fp, tn=tn, fn=fn).weight <= MOST

    @given(counts, counts)
    def test_being_right_once_more_never_lowers_it(self, right: int, wrong: int) -> None:
        assert Outcome(tp=right, fp=wrong).weight <= Outcome(tp=right + 1, fp=wrong).weight

    def test_precision_and_recall(self) -> None:
        outcome = Outcome(tp=6, fp=2, tn=5, fn=4)
        assert (outcome.precision, outcome.recall, outcome.cases, outcome.agreed) == (0.75, 0.6, 17, 11)
        assert (Outcome().precision, Outcome().recall) == (None, None)


class TestLesson:
    def test_an_approval_judges_everything_that_was_sure(self) -> None:
        found = findings(("a", "reject", {"nudity": 0.9, "gore": 0.1, "drugs": 0.5}), ("b", "approve", {}))
        assert taught(found, Verdict.APPROVE) == {
            "a/verdict": FALSE_ALARM,
            "a/nudity": FALSE_ALARM,
            "a/gore": RIGHT_CLEAR,
            "b/verdict": RIGHT_CLEAR,
        }

    @pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.QUARANTINE])
    def test_a_rejection_without_a_category_judges_alarms_and_words(self, verdict: Verdict) -> None:
        found = findings(("a", "reject", {"nudity": 0.9, "gore": 0.1}), ("b", "approve", {"nudity": 0.1}))
        assert taught(found, verdict) == {"a/verdict": RIGHT_ALARM, "a/nudity": RIGHT_ALARM, "b/verdict": MISSED}

    @pytest.mark.parametrize("reason", ["gore", "takedown:gore"])
    def test_a_rejection_for_a_category_judges_that_one(self, reason: str) -> None:
        found = findings(("a", "reject", {"nudity": 0.9, "gore": 0.1}), ("b", "approve", {"gore": 0.8}))
        assert taught(found, Verdict.REJECT, reason=reason) == {
            "a/verdict": RIGHT_ALARM,
            "a/gore": MISSED,
            "b/verdict": MISSED,
            "b/gore": RIGHT_ALARM,
        }

    def test_a_vendor_that_only_scores_is_judged_by_its_highest_score(self) -> None:
        found = findings(("a", "review", {"nudity": 0.9}), ("b", "review", {"nudity": 0.6}), ("c", "review", {}))
        assert taught(found, Verdict.APPROVE) == {"a/verdict": FALSE_ALARM, "a/nudity": FALSE_ALARM}

    @pytest.mark.parametrize(
        ("verdict", "by", "reason"),
        [
            (Verdict.REJECT, "policy", ""),
            (Verdict.REJECT, "gate", ""),
            (Verdict.QUARANTINE, "deadline", ""),
            (Verdict.REVIEW, "person:ada", ""),
            (Verdict.REJECT, "person:ada", "aborted"),
        ],
    )
    def test_nothing_but_a_persons_verdict_on_the_content_teaches(self, verdict: Verdict, by: str, reason: str) -> None:
        found = findings(("a", "reject", {"nudity": 0.9}))
        assert taught(found, verdict, by=by, reason=reason) == {}

    def test_neither_lists_nor_minors_nor_preliminary_words_are_judged(self) -> None:
        early = said("c", "reject", nudity=0.9).model_copy(update={"final": False})
        found = decide(Policy(), [said("text", pii=0.9), said("a", minors=0.9), early]).findings
        assert taught(found, Verdict.APPROVE) == {"a/verdict": RIGHT_CLEAR}

    def test_decisions_from_before_there_were_weights_teach_as_well(self) -> None:
        old = Finding.model_validate({"vendor": "a", "category": "nudity", "score": 0.9, "event_id": "1"})
        assert taught((old,), Verdict.REJECT) == {"a/nudity": RIGHT_ALARM}


class TestLearn:
    def test_it_adds_to_what_is_known(self) -> None:
        found = findings(("a", "reject", {"nudity": 0.9}))
        learnt = Reliability()
        for verdict in (Verdict.REJECT, Verdict.REJECT, Verdict.APPROVE):
            learnt = learn(learnt, found, verdict, decided_by="person:ada")
        assert learnt.counts == {"a": {"verdict": Outcome(tp=2, fp=1), "nudity": Outcome(tp=2, fp=1)}}

    def test_the_order_of_lessons_does_not_matter(self) -> None:
        one, other = known("a", "gore", right=1, wrong=2), known("b", "gore", right=3, wrong=0)
        assert one + other + one == other + one + one
