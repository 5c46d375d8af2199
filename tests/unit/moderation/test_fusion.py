"""Pooling by itself; what follows from it is in `test_deciding`."""

from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mediagate.moderation.fusion import CLAMP, Evidence, Fusion, log_odds, weigh
from mediagate.moderation.reliability import Reliability
from tests.unit.moderation.events import known, said

unit = st.floats(0, 1)


def weighed(*scores: tuple[str, float], reliability: Reliability | None = None, prior: float = 0.05) -> Evidence:
    return weigh(
        [said(vendor, nudity=score) for vendor, score in scores],
        Fusion(prior=prior),
        calibration={},
        reliability=reliability or Reliability(),
    )


def fused(*scores: tuple[str, float], reliability: Reliability | None = None, prior: float = 0.05) -> float:
    return weighed(*scores, reliability=reliability, prior=prior).fused["nudity"].value


class TestPool:
    @given(unit)
    def test_one_vendor_is_taken_at_its_word_to_the_last_digit(self, score: float) -> None:
        assert fused(("a", score)) == score

    @given(unit, st.integers(2, 6))
    def test_several_that_say_the_same_are_no_surer_than_one(self, score: float, many: int) -> None:
        assert fused(*((f"v{n}", score) for n in range(many))) == score

    @pytest.mark.parametrize(
        ("scores", "together"),
        [((0.9, 0.1), 0.5), ((0.9, 0.5), 0.75), ((0.8, 0.2, 0.5), 0.5), ((0.99, 0.5), 0.908675), ((1.0, 0.0), 0.5)],
    )
    def test_log_odds_are_averaged(self, scores: tuple[float, ...], together: float) -> None:
        assert fused(*((f"v{n}", score) for n, score in enumerate(scores))) == pytest.approx(together, abs=1e-6)

    @given(st.lists(unit, min_size=2, max_size=5))
    def test_a_pool_lies_among_what_was_said(self, scores: list[float]) -> None:
        assert min(scores) <= fused(*((f"v{n}", score) for n, score in enumerate(scores))) <= max(scores)

    @given(st.lists(unit, min_size=1, max_size=5), st.data())
    def test_a_higher_score_never_pools_to_less(self, scores: list[float], data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(scores) - 1))
        raised = [*scores]
        raised[place] = data.draw(st.floats(scores[place], 1))
        weights = known("v0", "nudity", right=20, wrong=80) + known("v1", "nudity", right=95, wrong=5)
        before, after = (
            fused(*((f"v{n}", score) for n, score in enumerate(each)), reliability=weights) for each in (scores, raised)
        )
        assert before <= after

    def test_the_better_vendor_counts_more(self) -> None:
        good = known("a", "nudity", right=95, wrong=5)
        assert fused(("a", 0.9), ("b", 0.1), reliability=good) > 0.6
        assert fused(("a", 0.1), ("b", 0.9), reliability=good) < 0.4

    def test_the_prior_makes_up_for_a_weak_vendor_alone(self) -> None:
        poor = known("a", "nudity", right=20, wrong=80)
        assert fused(("a", 0.9), reliability=poor, prior=0.05) == pytest.approx(0.160, abs=1e-3)
        assert fused(("a", 0.9), reliability=poor, prior=0.5) == pytest.approx(0.634, abs=1e-3)

    def test_nobody_is_surer_than_99_to_1(self) -> None:
        assert log_odds(0) == log_odds(CLAMP) == pytest.approx(-log_odds(1))
        assert fused(("a", 0.0), ("b", 0.95)) > 0.25


class TestContributions:
    @given(st.lists(unit, min_size=2, max_size=5), st.floats(0.01, 0.99))
    def test_they_add_up_to_the_log_odds_of_the_pool(self, scores: list[float], prior: float) -> None:
        weights = known("v0", "nudity", right=20, wrong=80)
        evidence = weighed(*((f"v{n}", score) for n, score in enumerate(scores)), reliability=weights, prior=prior)
        total = log_odds(prior) + fsum(opinion.contribution for opinion in evidence.fused["nudity"].opinions)
        assert total == pytest.approx(log_odds(evidence.fused["nudity"].value), abs=1e-3)

    def test_of_a_severe_category_the_highest_is_all_of_it(self) -> None:
        evidence = weigh(
            [said("a", csam=0.1), said("b", csam=0.7)], Fusion(), calibration={}, reliability=Reliability()
        )
        assert evidence.fused["csam"].value == 0.7
        assert [opinion.contribution == 0 for opinion in evidence.fused["csam"].opinions] == [True, False]


class TestWhatIsNotPooled:
    def test_what_a_text_says_is_not_diluted_by_who_looks_at_pictures(self) -> None:
        events = [said("a", hate=0.01), said("b", hate=0.01), said("text", hate=0.9)]
        assert weigh(events, Fusion(), calibration={}, reliability=Reliability()).fused["hate"].value == 0.9

    def test_nor_does_it_dilute_them(self) -> None:
        events = [said("a", hate=0.9), said("text", hate=0.1)]
        assert weigh(events, Fusion(), calibration={}, reliability=Reliability()).fused["hate"].value == 0.9

    def test_words_that_are_not_final(self) -> None:
        event = said("a", nudity=0.9).model_copy(update={"final": False})
        evidence = weigh([event], Fusion(), calibration={}, reliability=Reliability())
        assert (evidence.fused, len(evidence.standing)) == ({}, 1)


class TestSettings:
    @pytest.mark.parametrize(
        "wrong", [{"prior": 0}, {"prior": 1}, {"quorum": 0}, {"disagreement": 0}, {"contradiction": "approve"}]
    )
    def test_out_of_bounds(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            Fusion.model_validate(wrong)
