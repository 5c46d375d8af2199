"""What simulated vendors see in a picture: scores by the gate's categories, always the same for the same picture. Pure.

A caption with `sim:<behaviour>` chooses, where the format carries captions. Elsewhere the picture itself does, by the
mean of its pixels (`Colour`): so a test or a demonstration steers every vendor.
"""

import io
from collections.abc import Mapping
from enum import StrEnum

from PIL import Image, ImageStat, UnidentifiedImageError

from devstack.vendor_answers import Behaviour, behaviour_of

MARGIN = 96
"""By how many of 255 the mean of a channel must exceed another's; photographs and test patterns stay below."""


class Colour(StrEnum):
    """What rules a picture."""

    RED = "red"
    """Violence that is to be rejected."""
    BLUE = "blue"
    """Nudity that a person should look at."""
    YELLOW = "yellow"
    """Red and green rule: a severe class, sexual content with minors."""
    GREEN = "green"
    """Clean, as everything else."""
    NONE = "none"
    """None of them: clean."""


def look(picture: bytes, caption: str = "") -> dict[str, float] | None:
    """Scores 0..1 by category; None for what does not decode completely as a JPEG or PNG."""
    means = _means(picture)
    if means is None:
        return None
    # From the pixels, so that different pictures get different scores; far below every threshold.
    faint = round(0.01 + 0.04 * sum(means) / (3 * 255), 4)
    return {"nudity": faint, "violence": round(0.05 - faint, 4), **_SEEN[_ruled_by(means, behaviour_of(caption))]}


def ruler(means: tuple[float, float, float]) -> Colour:
    """What rules a picture with these means of red, green and blue, 0..255."""
    red, green, blue = means
    if red - max(green, blue) >= MARGIN:
        return Colour.RED
    if blue - max(red, green) >= MARGIN:
        return Colour.BLUE
    if green - max(red, blue) >= MARGIN:
        return Colour.GREEN
    if min(red, green) - blue >= MARGIN:
        return Colour.YELLOW
    return Colour.NONE


_BEHAVIOURS = {Behaviour.REJECT: Colour.RED, Behaviour.REVIEW: Colour.BLUE, Behaviour.QUARANTINE: Colour.YELLOW}

_SEEN: Mapping[Colour, Mapping[str, float]] = {
    Colour.RED: {"violence": 0.97},
    Colour.BLUE: {"nudity": 0.6},
    Colour.YELLOW: {"csam": 0.97, "sexual_minors": 0.97, "nudity": 0.99},
    Colour.GREEN: {},
    Colour.NONE: {},
}


def _ruled_by(means: tuple[float, float, float], behaviour: Behaviour) -> Colour:
    return _BEHAVIOURS.get(behaviour) or ruler(means)


def _means(picture: bytes) -> tuple[float, float, float] | None:
    try:
        with Image.open(io.BytesIO(picture), formats=["JPEG", "PNG"]) as image:
            red, green, blue = ImageStat.Stat(image.convert("RGB")).mean
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return red, green, blue
