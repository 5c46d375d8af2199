"""A TIFF file made anew, with one page and nothing else: what the decoder gets instead of the uploaded one."""

import struct
from collections.abc import Mapping

from mediagate.imaging.tiff import SIZES, ByteOrder


def written(
    order: ByteOrder, fields: Mapping[int, tuple[int, bytes]], parts: list[bytes], places: int, sizes: int
) -> bytes:
    """A TIFF file of one directory with these fields; `places` and `sizes` are the tags for where parts are."""
    mark = "<" if order == "little" else ">"
    offsets, position = [], 8
    for part in parts:
        offsets.append(position)
        position += len(part)
    padding = bytes(position % 2)
    position += len(padding)
    entries = dict(fields)
    entries[places] = (4, struct.pack(f"{mark}{len(parts)}I", *offsets))
    entries[sizes] = (4, struct.pack(f"{mark}{len(parts)}I", *map(len, parts)))
    values_at = position + 2 + 12 * len(entries) + 4
    directory, values = struct.pack(f"{mark}H", len(entries)), b""
    for tag, (kind, raw) in sorted(entries.items()):
        inline = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(f"{mark}I", values_at + len(values))
        directory += struct.pack(f"{mark}HHI", tag, kind, len(raw) // SIZES[kind]) + inline
        values += raw + bytes(len(raw) % 2) if len(raw) > 4 else b""
    header = (b"II*\0" if order == "little" else b"MM\0*") + struct.pack(f"{mark}I", position)
    return b"".join((header, *parts, padding, directory, bytes(4), values))
