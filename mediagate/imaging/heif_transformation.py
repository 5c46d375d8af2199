"""How a HEIF picture is to be cropped, turned and mirrored (ISO/IEC 23008-12 6.5.9, 6.5.10, 6.5.12)."""

import struct
from fractions import Fraction

from mediagate.imaging.container import corrupt
from mediagate.imaging.heif_items import Items
from mediagate.imaging.heif_picture import TRANSFORMS, Picture

# Where the corners of the stored picture (0 top left, then clockwise) stand in the upright one, as an EXIF orientation.
_ORIENTATIONS = {
    (0, 1, 2, 3): 1,
    (1, 0, 3, 2): 2,
    (2, 3, 0, 1): 3,
    (3, 2, 1, 0): 4,
    (0, 3, 2, 1): 5,
    (3, 0, 1, 2): 6,
    (2, 1, 0, 3): 7,
    (1, 2, 3, 0): 8,
}


def transformation(items: Items, picture: Picture) -> tuple[tuple[int, int, int, int] | None, int]:
    """What is cut out, and the orientation of that: `clap`, `irot`, `imir` in the order in which the file has them.

    The EXIF orientation says nothing here (ISO/IEC 23008-12 annex A: readers go by these properties).

    Raises:
        Refused: they are malformed, or crop what was turned before.
    """
    corners, crop = (0, 1, 2, 3), None
    for box, _ in picture.item.properties:
        payload = items.data[box.start : box.end]
        if box.name in TRANSFORMS and not payload:
            raise corrupt(items.kind, "a transformation is malformed")
        if box.name == b"clap":
            if crop is not None or corners != (0, 1, 2, 3):
                raise corrupt(items.kind, "it is cropped twice, or after it was turned")
            crop = _aperture(items.kind, payload, picture)
        elif box.name == b"irot":  # quarter turns, anticlockwise
            for _ in range(payload[0] & 3):
                corners = (*corners[1:], corners[0])
        elif box.name == b"imir":  # 0: top and bottom change places, 1: left and right
            a, b, c, d = corners
            corners = (b, a, d, c) if payload[0] & 1 else (d, c, b, a)
    return crop, _ORIENTATIONS[corners]


def _aperture(kind: str, payload: bytes, picture: Picture) -> tuple[int, int, int, int]:
    """The clean aperture as left, top, right, bottom (ISO/IEC 14496-12 12.1.4): size and offset of its centre."""
    if len(payload) != 32:
        raise corrupt(kind, "the crop is malformed")
    edges = []
    for numbers, whole in (
        (struct.unpack(">IIiI", payload[:8] + payload[16:24]), picture.width),
        (struct.unpack(">IIiI", payload[8:16] + payload[24:]), picture.height),
    ):
        if not numbers[1] or not numbers[3]:
            raise corrupt(kind, "the crop is malformed")
        size = Fraction(numbers[0], numbers[1])
        start = (whole - size) / 2 + Fraction(numbers[2], numbers[3])
        low, high = int(start // 1), int((start + size) // 1)
        if not 0 <= low < high <= whole:
            raise corrupt(kind, "the crop is not inside of the picture")
        edges.append((low, high))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom
