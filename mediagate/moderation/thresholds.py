"""What scores of a category lead to."""

from collections.abc import Iterator, Mapping

from pydantic import Field

from mediagate.media.values import Value, Verdict
from mediagate.moderation.categories import SEVERE, Category


class Threshold(Value):
    """What scores of one category lead to; `None` switches a step off. Scores are probabilities 0..1."""

    review_at: float | None = Field(0.5, ge=0, le=1)
    reject_at: float | None = Field(0.85, ge=0, le=1)
    quarantine_at: float | None = Field(None, ge=0, le=1)

    @property
    def steps(self) -> Iterator[tuple[Verdict, float]]:
        """Those that are switched on, the mildest first."""
        for verdict, bound in (
            (Verdict.REVIEW, self.review_at),
            (Verdict.REJECT, self.reject_at),
            (Verdict.QUARANTINE, self.quarantine_at),
        ):
            if bound is not None:
                yield verdict, bound

    @property
    def off(self) -> bool:
        """True if nothing follows from scores of this category."""
        return not any(True for _ in self.steps)


_SEVERE = Threshold(review_at=0.2, reject_at=None, quarantine_at=0.5)

BUILT_IN: Mapping[str, Threshold] = {
    **{category.value: _SEVERE for category in sorted(SEVERE)},
    # No harm by itself: vendors fold it into `sexual_minors`, rules may ask for it.
    Category.MINORS.value: Threshold(review_at=None, reject_at=None, quarantine_at=None),
}
"""What holds for categories that a policy does not name, before its default does."""
