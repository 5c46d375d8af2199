"""How imaging says no."""

from mediagate.media.values import Limits, Refusal


class Refused(Exception):
    """The file cannot be taken; `reason` is public, `detail` is a sentence for people that says what was found.

    An outcome, not a fault, so not in the error tree: bad input ends as `rejected`, never as a failed run.
    """

    def __init__(self, reason: Refusal, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason.value}: {detail}")

    def __reduce__(self) -> tuple[type["Refused"], tuple[Refusal, str]]:
        return Refused, (self.reason, self.detail)


def check_dimensions(width: int, height: int, limits: Limits) -> None:
    """Refuse what the header announces, before anything behind it is read.

    Raises:
        Refused: `too_many_pixels` for a bomb, `absurd_dimensions` for an empty or endless edge.
    """
    if width < 1 or height < 1:
        raise Refused(Refusal.ABSURD_DIMENSIONS, f"The picture says that it is {width}×{height} pixels.")
    if width * height > limits.max_pixels:
        raise Refused(
            Refusal.TOO_MANY_PIXELS,
            f"The picture is {width}×{height} pixels; {limits.max_pixels / 1e6:g} megapixels are allowed.",
        )
    if max(width, height) > limits.max_edge:
        raise Refused(
            Refusal.ABSURD_DIMENSIONS,
            f"The picture is {width}×{height} pixels; {limits.max_edge} are the longest edge allowed.",
        )


def check_frames(width: int, height: int, frames: int, limits: Limits) -> None:
    """Refuse an animation whose frames together have more pixels than one picture may have.

    Raises:
        Refused: `too_many_frames`.
    """
    if frames > 1 and width * height * frames > limits.max_pixels:
        raise Refused(
            Refusal.TOO_MANY_FRAMES,
            f"The animation has {frames} frames of {width}×{height} pixels; "
            f"{limits.max_pixels / 1e6:g} megapixels are allowed in all.",
        )
