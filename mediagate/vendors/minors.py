"""What follows from a minor in a picture, for vendors that report minors and nudity but have no name for both. Pure."""

from collections.abc import Mapping


def with_minors(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores of one picture, `sexual_minors` at least as high as the lower of `nudity` and `minors`."""
    if not {"nudity", "minors"} <= scores.keys():
        return dict(scores)
    together = min(scores["nudity"], scores["minors"])
    return {**scores, "sexual_minors": max(together, scores.get("sexual_minors", 0.0))}
