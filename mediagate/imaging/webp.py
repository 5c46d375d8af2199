"""The structure of a WebP file: one RIFF, its chunks to the declared end (RFC 9649)."""

from mediagate.imaging.container import Container, check_tail, corrupt, truncated
from mediagate.imaging.refusal import check_dimensions, check_frames
from mediagate.media.values import Limits

_ALPHA_FLAG = 0x10
_PICTURE_FLAGS = _ALPHA_FLAG | 0x02
_PICTURE = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM"}


def _chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """Name, start and end of the payload of every chunk."""
    stop = 8 + int.from_bytes(data[4:8], "little")
    if stop > len(data):
        raise truncated("WebP", "the RIFF block")
    found: list[tuple[bytes, int, int]] = []
    position = 12
    while position + 8 <= stop:
        name = data[position : position + 4]
        end = position + 8 + int.from_bytes(data[position + 4 : position + 8], "little")
        if end > stop:
            raise truncated("WebP", f"chunk {name.decode('ascii', 'replace')}")
        found.append((name, position + 8, end))
        position = end + (end & 1)  # chunks start at even places
    if position < stop or not found:
        raise corrupt("WebP", "the last chunk does not end where the file ends")
    return found


def _canvas(data: bytes, name: bytes, start: int, end: int) -> tuple[int, int, bool]:
    """Width, height and whether there may be alpha, from the first chunk."""
    head = data[start : min(end, start + 10)]
    if name == b"VP8X" and len(head) == 10:
        size = int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
        return *size, bool(head[0] & _ALPHA_FLAG)
    if name == b"VP8 " and head[3:6] == b"\x9d\x01\x2a" and len(head) == 10:
        size = int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
        return *size, False
    if name == b"VP8L" and head[:1] == b"\x2f" and len(head) >= 5:
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    raise corrupt("WebP", "the first chunk is no picture header")


def walk(data: bytes, limits: Limits) -> Container:
    """Read a WebP file to its end.

    Raises:
        Refused: the structure is broken, incomplete, over the limits, or something follows it.
    """
    if len(data) < 20:
        raise truncated("WebP", "the header")
    first, start = data[12:16], 20
    width, height, has_alpha = _canvas(data, first, start, start + int.from_bytes(data[16:20], "little"))
    check_dimensions(width, height, limits)
    chunks = _chunks(data)
    stop = 8 + int.from_bytes(data[4:8], "little")
    check_tail("WebP", data, stop)
    animated = [data[start:end] for name, start, end in chunks if name == b"ANMF"]
    check_frames(width, height, len(animated), limits)
    parts = {name: data[start:end] for name, start, end in chunks if name in (b"EXIF", b"ICCP", b"XMP ")}
    return Container(
        width=width,
        height=height,
        stream=_stream(data, chunks, 1),
        # two canvases of libwebp, its output, the picture, the flattened one; of an animation also what is disposed of
        pixel_bytes=(20 if has_alpha else 16) + 6 * (len(animated) > 1),
        frames=max(1, len(animated)),
        has_alpha=has_alpha,
        exif=parts.get(b"EXIF", b"").removeprefix(b"Exif\0\0"),
        icc=parts.get(b"ICCP", b""),
        xmp=parts.get(b"XMP ", b""),
        animation=_stream(data, chunks, len(animated)) if len(animated) > 1 else b"",
        durations=tuple(int.from_bytes(frame[12:15], "little") for frame in animated),
    )


def _stream(data: bytes, chunks: list[tuple[bytes, int, int]], frames: int) -> bytes:
    """The chunks of the picture, with as many frames, and a header that announces nothing else."""
    kept: list[bytes] = []
    for name, start, end in chunks:
        if name in _PICTURE or (name == b"ANMF" and frames > 0):
            payload = data[start:end]
            if name == b"VP8X":
                payload = bytes((payload[0] & _PICTURE_FLAGS,)) + payload[1:]
            kept.append(name + len(payload).to_bytes(4, "little") + payload + bytes(len(payload) & 1))
            frames -= name == b"ANMF"
    return b"RIFF" + (4 + sum(map(len, kept))).to_bytes(4, "little") + b"WEBP" + b"".join(kept)
