"""Small pictures to be uploaded: no two are the same, and nothing is on them."""

import os
import struct
import zlib

from cli.demo.files import DemoFile, Expected, Route
from mediagate.media.values import Status

WIDTH, HEIGHT = 320, 240
CAPTION = "A picture of mediagate validate [sim:approve]"
"""The simulated vendor of the local stack approves it; to others it says what it is."""


def png() -> bytes:
    """Four blocks in colours of its own that fade downwards, as PNG (https://www.w3.org/TR/png-3/)."""
    tints = os.urandom(12)
    rows = bytearray()
    for y in range(HEIGHT):
        left, right = (
            tints[3 * corner : 3 * corner + 3] for corner in (2 * (2 * y > HEIGHT), 2 * (2 * y > HEIGHT) + 1)
        )
        shades = [bytes((tint + y) // 2 for tint in side) for side in (left, right)]
        rows += b"\0" + shades[0] * (WIDTH // 2) + shades[1] * (WIDTH // 2)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def files() -> list[DemoFile]:
    """One for each way in."""
    return [_file(Route.PRESIGNED), _file(Route.MULTIPART)]


def _file(route: Route) -> DemoFile:
    data, name = png(), f"mediagate-validate-{route.value}.png"
    approved = Expected(frozenset({Status.APPROVED.value}))
    return DemoFile(name, name, "image/png", len(data), route, approved, caption=CAPTION, data=data)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
