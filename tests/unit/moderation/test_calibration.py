import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mediagate.moderation.calibration import Curve, calibrated, on_curve, probability

CURVES: TypeAdapter[Curve] = TypeAdapter(Curve)
HALF = ((0.0, 0.0), (0.5, 0.2), (0.9, 0.6), (1.0, 1.0))

unit = st.floats(0, 1)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    scores = sorted(draw(st.lists(unit, min_size=2, max_size=8, unique=True)))
    values = sorted(draw(st.lists(unit, min_size=len(scores), max_size=len(scores))))
    return CURVES.validate_python(tuple(zip(scores, values, strict=True)))


class TestCurve:
    @pytest.mark.parametrize(
        ("score", "means"), [(0, 0), (0.25, 0.1), (0.5, 0.2), (0.7, 0.4), (0.9, 0.6), (0.95, 0.8), (1, 1)]
    )
    def test_linear_between_its_points(self, score: float, means: float) -> None:
        assert on_curve(HALF, score) == pytest.approx(means)

    def test_level_outside_of_them(self) -> None:
        assert [on_curve(((0.2, 0.3), (0.8, 0.7)), score) for score in (0, 0.1, 0.9, 1)] == [0.3, 0.3, 0.7, 0.7]

    @given(curves(), unit, unit)
    def test_a_higher_score_never_means_less(self, curve: Curve, one: float, other: float) -> None:
        low, high = sorted((one, other))
        assert 0 <= on_curve(curve, low) <= on_curve(curve, high) <= 1

    @pytest.mark.parametrize(
        ("points", "told"),
        [
            ([[0, 0]], "at least 2"),
            ([[0, 0], [0, 1]], "scores must rise"),
            ([[0.5, 0], [0.4, 1]], "scores must rise"),
            ([[0, 0.5], [1, 0.4]], "must not fall"),
            ([[0, 0], [1, 1.1]], "less than or equal to 1"),
        ],
    )
    def test_what_is_no_curve(self, points: list[list[float]], told: str) -> None:
        with pytest.raises(ValidationError, match=told):
            CURVES.validate_python(points)


class TestCalibrated:
    def test_a_category_its_vendors_others_and_nobodys(self) -> None:
        curves = {"a": {"nudity": ((0, 0), (1, 0.5)), "*": ((0, 0), (1, 0.1))}}
        said = [calibrated(curves, *who, 0.8) for who in (("a", "nudity"), ("a", "gore"), ("b", "nudity"))]
        assert said == [pytest.approx(0.4), pytest.approx(0.08), 0.8]

    @pytest.mark.parametrize(("score", "means"), [(-0.1, 0), (1.5, 1), (math.nan, 1), (math.inf, 1), (-math.inf, 0)])
    def test_what_is_no_probability_is_brought_into_bounds(self, score: float, means: float) -> None:
        assert probability(score) == means
