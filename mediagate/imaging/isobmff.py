"""Boxes of the ISO base media file format, which HEIF and AVIF files are made of (ISO/IEC 14496-12)."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from mediagate.imaging.container import check_tail, corrupt, truncated

_MOST_BOXES = 4096
"""in one parent; a picture of a thousand tiles has as many items, and a few dozen properties"""

# What cameras and encoders put at the top level of a picture: `mpvd` and `sefd` hold a phone's video and notes.
_TOP_LEVEL = {b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip", b"wide", b"uuid", b"mpvd", b"sefd"}


class Box(NamedTuple):
    """One box: its payload is `data[start:end]`, its header begins at `at`."""

    name: bytes
    at: int
    start: int
    end: int


def boxes(kind: str, data: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes that fill `data[start:end]`. A box without a size of its own (0: to the end of the file) is refused:
    whatever is appended would belong to it.

    Raises:
        Refused: `corrupt_file`.
    """
    count = 0
    while start < end:
        box = _box(data, start)
        count += 1
        if box is None or box.end > end or count > _MOST_BOXES:
            raise corrupt(kind, f"the boxes at byte {start} do not fit into each other")
        yield box
        start = box.end


def top_level(kind: str, data: bytes) -> dict[bytes, list[Box]]:
    """All boxes of a file by name, none twice where the format has one.

    Raises:
        Refused: `truncated_file`, `corrupt_file`, `trailing_data`.
    """
    found: dict[bytes, list[Box]] = {}
    position = count = 0
    while data[position : position + 8].strip(b"\0"):
        box = _box(data, position)
        again = box is not None and box.name in (b"ftyp", b"meta", b"moov") and box.name in found
        if box is None or box.name not in _TOP_LEVEL or again:
            if b"meta" in found or b"moov" in found:
                check_tail(kind, data, position)
            if len(data) - position < 8:
                raise truncated(kind, "front of a box")
            raise corrupt(kind, f"no box at byte {position}")
        count += 1
        if count > _MOST_BOXES:
            raise corrupt(kind, f"more than {_MOST_BOXES} boxes")
        if box.end > len(data):
            raise truncated(kind, f"box {box.name.decode()}")
        found.setdefault(box.name, []).append(box)
        position = box.end
    check_tail(kind, data, position)
    if b"meta" not in found and b"moov" not in found:
        raise truncated(kind, "front of the description of its pictures")
    return found


def brands(data: bytes) -> set[bytes]:
    """The brands that the file type box names, the major one included; none if the file has no such box."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), len(data), 512)
    return {data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))}


def version(data: bytes, box: Box) -> int:
    """The version of a full box, which its payload begins with, before three bytes of flags; -1 if it has none."""
    return data[box.start] if box.end - box.start >= 4 else -1


class Reader:
    """Numbers, big-endian, one after the other from a box's payload."""

    def __init__(self, kind: str, data: bytes, start: int, end: int) -> None:
        self._kind, self._data, self.position, self.end = kind, data, start, end

    def number(self, size: int) -> int:
        """An unsigned number of `size` bytes; 0 for no bytes.

        Raises:
            Refused: `corrupt_file`, it is beyond the box.
        """
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        """As many bytes. Raises as `number`."""
        start, self.position = self.position, self.position + size
        if self.position > self.end:
            raise corrupt(self._kind, f"the box at byte {start} is too short for what it announces")
        return self._data[start : self.position]

    def text(self) -> bytes:
        """Bytes up to a NUL or the end of the box."""
        stop = self._data.find(b"\0", self.position, self.end)
        start, stop = self.position, self.end if stop < 0 else stop
        self.position = min(stop + 1, self.end)
        return self._data[start:stop]


def made_box(name: bytes, *payload: bytes) -> bytes:
    """A box of these bytes."""
    size = 8 + sum(map(len, payload))
    return struct.pack(">I4s", size, name) + b"".join(payload)


def full_box(name: bytes, *payload: bytes, flags: int = 0, number: int = 0) -> bytes:
    """A box with a version number and flags."""
    return made_box(name, struct.pack(">I", number << 24 | flags), *payload)


def _box(data: bytes, at: int) -> Box | None:
    """The box at that place, wherever it ends; None if there is no header of a box."""
    if at + 8 > len(data):
        return None
    size, name = struct.unpack_from(">I4s", data, at)
    start = at + 8
    if size == 1 and at + 16 <= len(data):
        size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
    if size < start - at or not all(0x20 <= c < 0x7F for c in name):
        return None
    return Box(name, at, start, at + size)
