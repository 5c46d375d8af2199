"""The structure of a PNG or APNG file (W3C PNG, third edition), chunk by chunk to IEND, every checksum verified."""

import zlib
from collections.abc import Iterator

from mediagate.imaging.apng import Animation
from mediagate.imaging.container import Container, check_tail, corrupt, truncated
from mediagate.imaging.refusal import check_dimensions
from mediagate.media.values import Limits

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}
_PALETTE = 3
_WITH_ALPHA = {4, 6}

# Deflate says at most 258 bytes with 2 bits.
_BEST_DEFLATE = 1032

_LARGEST_METADATA = 4 * 1024 * 1024
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the payload of every chunk up to IEND."""
    position = len(SIGNATURE)
    while True:
        if position + 12 > len(data):
            raise truncated("PNG", "front of a chunk")
        length, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if not name.isalpha() or length > 0x7FFFFFFF:
            raise corrupt("PNG", f"no chunk at byte {position}")
        start, end = position + 8, position + 8 + length
        if end + 4 > len(data):
            raise truncated("PNG", f"chunk {name.decode()}")
        if zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise corrupt("PNG", f"the checksum of chunk {name.decode()} is wrong")
        yield name, start, end
        position = end + 4
        if name == b"IEND":
            return


def _read_header(payload: bytes, limits: Limits) -> tuple[int, int, int, int]:
    """Width, height, bits per sample, colour type."""
    if len(payload) != 13:
        raise corrupt("PNG", "the header is malformed")
    width, height = int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")
    depth, colour, compression, filtering, interlace = payload[8:]
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise corrupt("PNG", "the header is malformed")
    check_dimensions(width, height, limits)
    return width, height, depth, colour


def _is_metadata(data: bytes, name: bytes, start: int, end: int) -> bool:
    wanted = name in (b"eXIf", b"iCCP") or (name == b"iTXt" and data.startswith(_XMP_KEYWORD, start))
    return wanted and end - start <= _LARGEST_METADATA


def walk(data: bytes, limits: Limits) -> Container:
    """Read a PNG file to its end.

    Raises:
        Refused: the structure is broken, incomplete, over the limits, or something follows it.
    """
    width = height = depth = colour = end = 0
    seen, pixels = set[bytes](), 0
    animation = Animation(0, 0)
    kept, moving, metadata = [SIGNATURE], [SIGNATURE], dict[bytes, bytes]()
    previous = b""
    for name, start, end in _chunks(data):
        if (not seen) != (name == b"IHDR") or (name in seen and name in (b"PLTE", b"acTL", b"tRNS")):
            raise corrupt("PNG", f"chunk {name.decode()} is out of place")
        if name == b"IHDR":
            width, height, depth, colour = _read_header(data[start:end], limits)
            animation = Animation(width, height)
        elif name == b"IDAT":
            if b"IDAT" in seen and previous != b"IDAT":
                raise corrupt("PNG", "the picture data is interrupted")
            pixels += end - start
        elif name in (b"acTL", b"fcTL", b"fdAT"):
            animation.read(name, data[start:end], limits, first=b"IDAT" not in seen)
        elif _is_metadata(data, name, start, end):
            metadata.setdefault(name, data[start:end])
        if name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND") and not (name == b"tRNS" and colour in _WITH_ALPHA):
            kept.append(data[start - 8 : end + 4])
            moving.append(kept[-1])
        elif name in (b"acTL", b"fcTL", b"fdAT"):
            moving.append(data[start - 8 : end + 4])
        seen.add(name)
        previous = name
    if b"IDAT" not in seen:
        raise truncated("PNG", "front of the picture data")
    if colour == _PALETTE and b"PLTE" not in seen:
        raise corrupt("PNG", "the palette is missing")
    if pixels * _BEST_DEFLATE < height * (1 + width * depth * _SAMPLES[colour] // 8):
        raise truncated("PNG", "the picture data: there is too little of it for the size of the picture")
    animation.check(limits)
    has_alpha = colour in _WITH_ALPHA or b"tRNS" in seen
    check_tail("PNG", data, end + 4)
    return Container(
        width=width,
        height=height,
        stream=b"".join(kept),
        pixel_bytes=_pixel_bytes(depth, colour, has_alpha) + (12 if animation.frames > 1 else 0),
        frames=animation.frames,
        has_alpha=has_alpha,
        exif=metadata.get(b"eXIf", b"").removeprefix(b"Exif\0\0"),
        icc=_profile(metadata.get(b"iCCP", b"")),
        xmp=_xmp(metadata.get(b"iTXt", b"")),
        animation=b"".join(moving) if animation.frames > 1 else b"",
        durations=animation.durations,
    )


def _pixel_bytes(depth: int, colour: int, has_alpha: bool) -> int:
    """Pillow keeps grey and palette pictures in 1 byte a pixel, the rest in 4; 16-bit grey is widened on its way."""
    if colour == 0 and depth == 16:
        return 7
    decoded = 1 if colour in (0, _PALETTE) else 4
    widened = 8 if has_alpha else 4 if colour == _PALETTE else 0
    return decoded + widened


def _inflate(packed: bytes) -> bytes:
    """The inflated bytes, or none if they are broken or more than metadata needs."""
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(packed, _LARGEST_METADATA)
    except zlib.error:
        return b""
    return plain if inflater.eof else b""


def _profile(payload: bytes) -> bytes:
    """`iCCP`: name, NUL, method 0, deflated profile."""
    _, _, rest = payload.partition(b"\0")
    return _inflate(rest[1:]) if rest[:1] == b"\0" else b""


def _xmp(payload: bytes) -> bytes:
    """`iTXt`: keyword, NUL, compressed?, method, language, NUL, translated keyword, NUL, text."""
    rest = payload.removeprefix(_XMP_KEYWORD)
    *_, text = rest[2:].split(b"\0", 2)
    return _inflate(text) if rest[:1] == b"\1" else text
