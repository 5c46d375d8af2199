"""A JPEG picture marker by marker, from its start to its end (ITU-T T.81 annex B)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mediagate.imaging.container import corrupt, truncated

SOS = 0xDA
_SOI, _EOI = 0xD8, 0xD9
_STANDALONE = {0x01, *range(0xD0, 0xD8)}

# In entropy-coded data FF is followed by 00 (stuffing), a restart marker, or another FF (fill); all else ends it.
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


@dataclass(frozen=True, slots=True)
class Segment:
    """One marker with its payload `data[start:end]`; the scan behind a start of scan reaches to `scan_end`."""

    marker: int
    at: int
    start: int
    end: int
    scan_end: int


def segments(data: bytes, at: int = 0) -> Iterator[Segment]:
    """All segments of the picture whose SOI is at `at`; the last one is EOI, and its `end` the end of the picture.

    Raises:
        Refused: `truncated_file` or `corrupt_file`.
    """
    position = at + 2
    while True:
        at = position
        while position + 1 < len(data) and data[position] == data[position + 1] == 0xFF:
            position += 1
        if position + 2 > len(data):
            raise truncated("JPEG", "front of a marker")
        if data[position] != 0xFF or data[position + 1] in (0x00, _SOI):
            raise corrupt("JPEG", f"no marker at byte {position}")
        marker, position = data[position + 1], position + 2
        if marker == _EOI or marker in _STANDALONE:
            yield Segment(marker, at, position, position, position)
            if marker == _EOI:
                return
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        if position + max(length, 2) > len(data):
            raise truncated("JPEG", f"segment {marker:02X}")
        if length < 2:
            raise corrupt("JPEG", f"segment {marker:02X} has no length")
        start, position = position + 2, position + length
        end = position
        if marker == SOS:
            found = _NEXT_MARKER.search(data, position)
            if found is None:
                raise truncated("JPEG", "the picture data")
            position = found.start()
        yield Segment(marker, at, start, end, position)
