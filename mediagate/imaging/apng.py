"""The animation in a PNG file (W3C PNG, third edition, 5.5 and 11.3.6)."""

from dataclasses import dataclass, field

from mediagate.imaging.container import corrupt
from mediagate.imaging.refusal import check_frames
from mediagate.media.values import Limits


@dataclass(slots=True)
class Animation:
    """What the chunks `acTL`, `fcTL` and `fdAT` of a picture of this size say; without any, one frame."""

    width: int
    height: int
    announced: int = 0
    starts_with_still: bool = False
    """the still picture is the first frame of the animation, else it is in front of it"""
    delays: list[int] = field(default_factory=list)

    def read(self, name: bytes, payload: bytes, limits: Limits, *, first: bool) -> None:
        """Take the next chunk; `first` if the picture data is still to come.

        Raises:
            Refused: it is malformed or out of place, or there are too many frames.
        """
        if name == b"acTL":
            if len(payload) != 8 or not first or self.announced:
                raise corrupt("PNG", "the animation's header is malformed or out of place")
            self.announced = int.from_bytes(payload[:4], "big")
            check_frames(self.width, self.height, self.announced, limits)
        elif name == b"fcTL" and self.announced:
            self._read_frame(payload, first)

    def check(self, limits: Limits) -> None:
        """Raises Refused: it has another number of frames than it announced, or too many with the still picture."""
        if len(self.delays) != self.announced:
            raise corrupt("PNG", f"the animation announces {self.announced} frames and has {len(self.delays)}")
        check_frames(self.width, self.height, self.frames, limits)

    @property
    def frames(self) -> int:
        """Of the animation, and the still picture in front of it."""
        return max(1, self.announced + (not self.starts_with_still and self.announced > 0))

    @property
    def durations(self) -> tuple[int, ...]:
        """In milliseconds; none for a file without animation."""
        return (*([] if self.starts_with_still or not self.announced else [0]), *self.delays)

    def _read_frame(self, payload: bytes, first: bool) -> None:
        if len(payload) != 26 or len(self.delays) >= self.announced or (first and self.delays):
            raise corrupt("PNG", "a frame of the animation is malformed")
        width, height, left, top = (int.from_bytes(payload[at : at + 4], "big") for at in (4, 8, 12, 16))
        if not width or not height or left + width > self.width or top + height > self.height:
            raise corrupt("PNG", "a frame reaches beyond the picture")
        if first and (width, height) != (self.width, self.height):
            raise corrupt("PNG", "the first frame does not have the size of the picture")
        self.starts_with_still |= first
        numerator, denominator = int.from_bytes(payload[20:22], "big"), int.from_bytes(payload[22:24], "big")
        self.delays.append(numerator * 1000 // (denominator or 100))
