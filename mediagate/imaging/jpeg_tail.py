"""What cameras append to a JPEG picture, and nothing else, is accepted behind its end.

Secondary pictures (stereo, previews, gain maps) declared by an MPF index (CIPA DC-007), and the Samsung trailer `SEFT`
(layout as ExifTool documents it: blocks, then a directory `SEFH` that names each by its distance from the directory).
"""

import struct

from mediagate.imaging.container import check_tail
from mediagate.imaging.jpeg_segments import segments
from mediagate.imaging.refusal import Refused
from mediagate.imaging.tiff import byte_order, read_directory

_ENTRIES = 0xB002
_MOST_ENTRIES = 64
_SOI = b"\xff\xd8\xff"


def check_jpeg_tail(data: bytes, end: int, indexes: list[int]) -> None:
    """Accept the tail behind `end`; `indexes` are the places of `MPF\\0` payloads in the header.

    Raises:
        Refused: `trailing_data`.
    """
    if len(data) == end:
        return
    for start, stop in sorted(_declared(data, indexes)):
        if start < end or stop > len(data) or data[end:start].strip(b"\0") or not _is_picture(data, start, stop):
            break
        end = stop
    trailer = _samsung_trailer(data, end)
    if trailer is not None and not data[end:trailer].strip(b"\0"):
        return
    check_tail("JPEG", data, end)


def _declared(data: bytes, indexes: list[int]) -> list[tuple[int, int]]:
    """Start and end of the secondary pictures; offsets count from the TIFF header of the index (DC-007 5.2.3.3)."""
    ranges: list[tuple[int, int]] = []
    for index in indexes:
        base = index + 4
        block = data[base : base + 0xFFFF]
        order = byte_order(block)
        raw = read_directory(block).fields.get(_ENTRIES, (0, b""))[1][: 16 * _MOST_ENTRIES]
        layout = struct.Struct("<IIIHH" if order == "little" else ">IIIHH")
        for _, size, offset, _, _ in layout.iter_unpack(raw[: len(raw) // 16 * 16]):
            if offset:  # the primary picture has offset 0
                ranges.append((base + offset, base + offset + size))
    return ranges


def _is_picture(data: bytes, start: int, stop: int) -> bool:
    """True if one complete JPEG picture and at most zero bytes stand in the range."""
    piece = data[start:stop]
    if not piece.startswith(_SOI):
        return False
    try:
        *_, last = segments(piece)
    except Refused:
        return False
    return not piece[last.end :].strip(b"\0")


def _samsung_trailer(data: bytes, end: int) -> int | None:
    """Where the blocks of the Samsung trailer start, if the file ends in a well-formed one."""
    if len(data) - end < 20 or data[-4:] != b"SEFT":
        return None
    directory = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    if directory < end or data[directory : directory + 4] != b"SEFH":
        return None
    count = int.from_bytes(data[directory + 8 : directory + 12], "little")
    entries = data[directory + 12 : directory + 12 + 12 * count]
    if len(entries) != 12 * count or directory + 12 + 12 * count > len(data) - 8:
        return None
    earliest = directory
    for _, kind, back, size in struct.iter_unpack("<HHII", entries):
        start = directory - back
        if start < end or size > back or data[start : start + 4] != struct.pack("<HH", 0, kind):
            return None
        earliest = min(earliest, start)
    return earliest
