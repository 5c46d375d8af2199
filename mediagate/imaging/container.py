"""What a walk through a file's structure finds, whatever the format."""

from dataclasses import dataclass

from mediagate.imaging.refusal import Refused
from mediagate.media.values import Refusal


@dataclass(frozen=True, slots=True)
class Container:
    """The parts of a well-formed file.

    `stream` is a file of the same format with the first picture only and without metadata. The decoder sees nothing
    else, so neither a broken EXIF block nor a second picture can make it warn, fail or work longer.
    """

    width: int
    """as stored, before the EXIF orientation"""
    height: int
    stream: bytes
    pixel_bytes: int
    """bytes per pixel at the peak of decoding the picture and laying its transparency on white"""
    frames: int = 1
    has_alpha: bool = False
    exif: bytes = b""
    """TIFF structure, without the `Exif\\0\\0` that JPEG puts before it"""
    icc: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    """IPTC-IIM records"""
    crop: tuple[int, int, int, int] | None = None
    """what is shown of the decoded pixels, before the orientation: left, top, right, bottom; None: all"""
    orientation: int | None = None
    """1..8 as in EXIF, where the container itself says it; None: EXIF says"""
    animation: bytes = b""
    """the same format with all frames and without metadata; empty if there is one frame, or no decoder for more"""
    durations: tuple[int, ...] = ()
    """of each frame of an animation, in milliseconds as the file says"""

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height of what is shown, before the orientation."""
        left, top, right, bottom = self.crop or (0, 0, self.width, self.height)
        return right - left, bottom - top


def truncated(kind: str, where: str) -> Refused:
    """The file stops before its end marker."""
    return Refused(Refusal.TRUNCATED, f"The {kind} file stops in {where}.")


def corrupt(kind: str, what: str) -> Refused:
    """The file contradicts its format."""
    return Refused(Refusal.CORRUPT, f"The {kind} file is broken: {what}.")


_KNOWN_TAILS = (
    (b"PK", "a ZIP archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"<", "markup or a script"),
    (b"\xff\xd8\xff", "another JPEG picture"),
    (b"\x89PNG", "another PNG picture"),
)


def check_tail(kind: str, data: bytes, end: int) -> None:
    """Accept nothing behind the end of the picture but zero bytes, which carry nothing.

    Raises:
        Refused: `trailing_data`, naming what the tail looks like.
    """
    tail = data[end:].lstrip(b"\0")
    if not tail:
        return
    found = next((name for magic, name in _KNOWN_TAILS if tail.lstrip().startswith(magic)), None)
    if found is None and tail[4:8] == b"ftyp":
        found = "a video or another picture"
    raise Refused(
        Refusal.TRAILING_DATA,
        f"After the end of the {kind} picture {len(data) - end} more bytes follow" + (f": {found}." if found else "."),
    )
