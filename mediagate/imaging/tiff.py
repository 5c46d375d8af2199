"""Directories of the TIFF structure that EXIF, MPF and TIFF files are made of (TIFF 6.0, CIPA DC-008, CIPA DC-007).

Reading never raises: a field that does not fit into its block is not there.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_NUMBERS = {1: 1, 3: 2, 4: 4, 13: 4}
_MOST_FIELDS = 512

ByteOrder = Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class Directory:
    """The fields of one directory: tag to (type, raw bytes)."""

    order: ByteOrder
    fields: Mapping[int, tuple[int, bytes]]

    def number(self, tag: int) -> int | None:
        """The first unsigned number of a field."""
        kind, raw = self.fields.get(tag, (0, b""))
        size = _NUMBERS.get(kind)
        return int.from_bytes(raw[:size], self.order) if size and len(raw) >= size else None

    def numbers(self, tag: int) -> list[int]:
        """All unsigned numbers of a field; none if it is not there or of another type."""
        kind, raw = self.fields.get(tag, (0, b""))
        size = _NUMBERS.get(kind)
        return [int.from_bytes(raw[at : at + size], self.order) for at in range(0, len(raw), size)] if size else []

    def text(self, tag: int) -> str:
        """The printable text of a field; parts that a NUL divides are joined by a comma."""
        raw = self.fields.get(tag, (0, b""))[1]
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
        return clean(", ".join(part.strip() for part in text.split("\0") if part.strip()))


EMPTY = Directory("little", MappingProxyType({}))


def clean(text: str, longest: int = 200) -> str:
    """Printable characters only, white space collapsed, at most `longest` characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:longest]


def byte_order(block: bytes) -> ByteOrder | None:
    """The byte order that the header of a TIFF structure names, or None if it is none."""
    orders: dict[bytes, ByteOrder] = {b"II*\0": "little", b"MM\0*": "big"}
    return orders.get(block[:4]) if len(block) >= 8 else None


def read_directory(block: bytes, offset: int | None = None) -> Directory:
    """The directory at `offset` from the start of the block; by default the first one. Links are not followed.

    Its values together are never longer than the block, however often they name the same bytes.
    """
    order = byte_order(block)
    if order is None:
        return EMPTY
    if offset is None:
        offset = int.from_bytes(block[4:8], order)
    if offset < 8 or offset + 2 > len(block):
        return Directory(order, {})
    count = min(int.from_bytes(block[offset : offset + 2], order), _MOST_FIELDS)
    layout = struct.Struct("<HHI4s" if order == "little" else ">HHI4s")
    entries = block[offset + 2 : offset + 2 + count * 12]
    fields: dict[int, tuple[int, bytes]] = {}
    room = len(block)
    for tag, kind, number, inline in layout.iter_unpack(entries[: len(entries) // 12 * 12]):
        size = SIZES.get(kind, 0) * number
        start = int.from_bytes(inline, order)
        if not 0 < size <= room or tag in fields:
            continue
        raw = inline[:size] if size <= 4 else block[start : start + size]
        if len(raw) == size:
            fields[tag] = (kind, raw)
            room -= size
    return Directory(order, fields)


def directory_offset(block: bytes) -> int:
    """Where the first directory is, as the header says."""
    return int.from_bytes(block[4:8], byte_order(block) or "little")


def next_directory(block: bytes, offset: int) -> int | None:
    """The link at the end of the directory at `offset`, 0 for the last one; None if the block ends before it."""
    order = byte_order(block) or "little"
    link = offset + 2 + 12 * int.from_bytes(block[offset : offset + 2], order)
    return int.from_bytes(block[link : link + 4], order) if offset >= 8 and link + 4 <= len(block) else None
