"""From what a vendor calls a score to a probability: monotone maps, piecewise linear, given in the policy.

Vendors' numbers do not mean the same: of the pictures that one gives 0.9, nine in ten are harmful, of another's five.
Fusion needs probabilities. Without a map a score is taken for one.
"""

from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

Probability = Annotated[float, Field(ge=0, le=1)]


def _monotone(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    for (raw, probability), (next_raw, next_probability) in pairwise(points):
        if next_raw <= raw:
            raise ValueError(f"scores must rise from point to point: {next_raw} comes after {raw}")
        if next_probability < probability:
            raise ValueError(f"probabilities must not fall: {next_probability} comes after {probability}")
    return points


Curve = Annotated[
    tuple[tuple[Probability, Probability], ...],
    Field(min_length=2, max_length=32, description="points [score, probability], by rising score"),
    AfterValidator(_monotone),
]
"""Below the first point and above the last one it is level."""

EVERY = "*"
"""The curve for the categories of a vendor that have none of their own."""


def probability(score: float) -> float:
    """A score brought into 0..1. What is no number counts as certain harm: nothing passes for being malformed."""
    return max(score, 0.0) if score <= 1 else 1.0


def calibrated(curves: Mapping[str, Mapping[str, Curve]], vendor: str, category: str, score: float) -> float:
    """The probability that a vendor's score stands for, by the curves of vendors and categories."""
    own = curves.get(vendor, {})
    curve = own.get(category) or own.get(EVERY)
    return on_curve(curve, probability(score)) if curve else probability(score)


def on_curve(curve: Curve, score: float) -> float:
    """Linear interpolation between the points on either side."""
    place = bisect_right(curve, score, key=lambda point: point[0])
    if place == 0:
        return curve[0][1]
    if place == len(curve):
        return curve[-1][1]
    (left, low), (right, high) = curve[place - 1], curve[place]
    # Rounding must not lead out of the segment: the map has to stay monotone.
    return min(max(low + (high - low) * (score - left) / (right - left), low), high)
