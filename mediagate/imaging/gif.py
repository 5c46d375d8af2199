"""The structure of a GIF file, block by block to its trailer (GIF89a specification)."""

from mediagate.imaging.container import Container, check_tail, corrupt, truncated
from mediagate.imaging.refusal import check_dimensions, check_frames
from mediagate.media.values import Limits

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL = 0xF9

# A palette index; red, green, blue and alpha; the flattened picture. An animation has the canvas twice more, as it is
# and as the disposal of a frame brings it back.
_PIXEL_BYTES, _ANIMATED_PIXEL_BYTES = 13, 21


def _after_sub_blocks(data: bytes, position: int) -> int:
    """Where a chain of sub-blocks ends, behind its terminator."""
    while position < len(data):
        size = data[position]
        position += 1 + size
        if size == 0:
            return position
    raise truncated("GIF", "a block")


def _table_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_frame(data: bytes, position: int) -> int:
    """Where the image whose separator is at `position` ends."""
    if position + 10 > len(data):
        raise truncated("GIF", "the header of a frame")
    position += 10 + _table_size(data[position + 9])
    if position < len(data) and not 1 <= data[position] <= 11:
        raise corrupt("GIF", "a frame has an impossible code size")
    return _after_sub_blocks(data, position + 1)


def walk(data: bytes, limits: Limits) -> Container:
    """Read a GIF file to its end. The size is that of the screen, or of a first frame that reaches beyond it.

    Raises:
        Refused: the structure is broken, incomplete, over the limits, or something follows it.
    """
    if len(data) < 13:
        raise truncated("GIF", "the header")
    position = 13 + _table_size(data[10])
    width = height = 0
    header, control = data[:position], b""
    pictures: list[bytes] = []
    while True:
        kind = data[position] if position < len(data) else None
        if kind == _EXTENSION:
            end = _after_sub_blocks(data, position + 2)
            if data[position + 1 : position + 3] == bytes((_GRAPHIC_CONTROL, 4)):
                control = data[position:end]
        elif kind == _IMAGE:
            end = _after_frame(data, position)
            canvas = _canvas(data, position)
            if not pictures:
                width, height = canvas
                check_dimensions(width, height, limits)
            elif canvas[0] > width or canvas[1] > height:
                raise corrupt("GIF", "a frame reaches beyond the picture")
            check_frames(width, height, len(pictures) + 1, limits)
            pictures.append(control + data[position:end])
            control = b""
        elif kind == _TRAILER:
            break
        else:
            raise (
                truncated("GIF", "front of a block") if kind is None else corrupt("GIF", f"no block at byte {position}")
            )
        position = end
    if not pictures:
        raise truncated("GIF", "front of the picture data")
    check_tail("GIF", data, position + 1)
    return Container(
        width=width,
        height=height,
        stream=header + pictures[0] + bytes((_TRAILER,)),
        pixel_bytes=_PIXEL_BYTES if len(pictures) == 1 else _ANIMATED_PIXEL_BYTES,
        frames=len(pictures),
        has_alpha=_has_control(pictures[0]) and bool(pictures[0][3] & 1),
        animation=b"".join((header, *pictures, bytes((_TRAILER,)))) if len(pictures) > 1 else b"",
        durations=tuple(10 * int.from_bytes(p[4:6], "little") if _has_control(p) else 0 for p in pictures),
    )


def _has_control(picture: bytes) -> bool:
    return picture[:2] == bytes((_EXTENSION, _GRAPHIC_CONTROL))


def _canvas(data: bytes, position: int) -> tuple[int, int]:
    """The screen, widened to the frame at `position`; (0, 0) for a frame without pixels."""
    left, top, width, height = (int.from_bytes(data[position + i : position + i + 2], "little") for i in (1, 3, 5, 7))
    screen = (int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"))
    return (max(screen[0], left + width), max(screen[1], top + height)) if width and height else (0, 0)
