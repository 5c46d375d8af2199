"""From a file's structure to pixels: the only place where Pillow decodes."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from PIL import Image
from PIL.ImageFile import ImageFile

from mediagate.imaging.colour import opaque, to_srgb
from mediagate.imaging.container import Container
from mediagate.imaging.formats import Format
from mediagate.imaging.metadata import read_orientation
from mediagate.imaging.refusal import Refused
from mediagate.media.values import Refusal

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# From here on a reduction is so strong that the better filter is cheap.
_SMALL_EDGE = 1024

# A decoder that scales by itself (JPEG) leaves this many times the pixels per edge to the filter, for sharpness.
_HEADROOM = 1.5


@contextmanager
def open_picture(form: Format, container: Container) -> Iterator[ImageFile]:
    """The picture, opened by its format's plugin and no other; decoded when its pixels are first used inside the block.

    The plugin is called instead of `Image.open`: that would try Pillow's own pixel bound, which is global, and take a
    JPEG with an index of more pictures for another format.

    Raises:
        Refused: whatever the decoder raises.
    """
    try:
        with form.decoder(BytesIO(container.stream)) as picture:
            if picture.size != (container.width, container.height):
                raise Refused(Refusal.CORRUPT, "The header and the decoder disagree about the size of the picture.")
            yield picture
    except (Refused, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise Refused(Refusal.TOO_MANY_PIXELS, f"The decoder refuses the size of the picture: {error}.") from error
    except Exception as error:  # plugins raise nearly every built-in exception on hostile input
        reason = Refusal.TRUNCATED if "truncated" in str(error) else Refusal.CORRUPT
        raise Refused(reason, f"The decoder stops: {error}.") from error


def decode(form: Format, container: Container, max_edge: int, *, scaled: bool = False) -> Image.Image:
    """The first frame: upright, opaque, 8-bit sRGB (mode RGB), longest edge at most `max_edge`, never enlarged.

    `scaled` lets a JPEG decoder leave out what a much smaller picture does not need.

    Raises:
        Refused: `truncated_file` or `corrupt_file`, found only by decoding.
    """
    target = fitted((container.width, container.height), max_edge)
    with open_picture(form, container) as picture:
        if scaled:
            picture.draft(None, (int(target[0] * _HEADROOM), int(target[1] * _HEADROOM)))
        picture.load()
        pixels = to_srgb(resized(opaque(picture), target), container.icc)
    turn = _UPRIGHT.get(read_orientation(container.exif))
    return pixels if turn is None else pixels.transpose(turn)


def fitted(size: tuple[int, int], max_edge: int) -> tuple[int, int]:
    """The size with the same aspect whose longest edge is at most `max_edge`, and no edge empty."""
    factor = min(1.0, max_edge / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture in that size; strong reductions go through a box filter first."""
    if picture.size == size:
        return picture
    sharp = Image.Resampling.LANCZOS if max(size) <= _SMALL_EDGE else Image.Resampling.BICUBIC
    return picture.resize(size, sharp, reducing_gap=3.0)
