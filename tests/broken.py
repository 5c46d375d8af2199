"""Files that are broken in a way that only a full decode finds."""

import struct
import zlib

from tests.world import picture


def broken_pixels() -> bytes:
    """A PNG whose structure and checksums are right and whose compressed pixels are not."""
    data = picture(kind="PNG")
    at = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[at - 4 : at])
    pixels = bytearray(data[at + 4 : at + 4 + length])
    pixels[length // 2 : length // 2 + 64] = b"\xff" * 64
    body = b"IDAT" + bytes(pixels)
    return data[:at] + body + struct.pack(">I", zlib.crc32(body)) + data[at + 4 + length + 4 :]
