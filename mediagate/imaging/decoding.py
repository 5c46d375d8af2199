"""From a file's structure to pixels: the only place where Pillow decodes."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from PIL import Image
from PIL.ImageFile import ImageFile

from mediagate.imaging.colour import flattened, plain, to_srgb
from mediagate.imaging.container import Container
from mediagate.imaging.formats import Format
from mediagate.imaging.metadata import read_orientation
from mediagate.imaging.refusal import Refused
from mediagate.imaging.resizing import fitted, resized
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

# A decoder that scales by itself (JPEG) leaves this many times the pixels per edge to the filter, for sharpness.
_HEADROOM = 1.5


@contextmanager
def open_picture(form: Format, container: Container, *, animated: bool = False) -> Iterator[ImageFile]:
    """The picture, opened by its format's plugin and no other; decoded when its pixels are first used inside the block.

    With `animated` it has all frames, else the first one only.

    The plugin is called instead of `Image.open`: that would try Pillow's own pixel bound, which is global, and take a
    JPEG with an index of more pictures for another format.

    Raises:
        Refused: whatever the decoder raises.
    """
    try:
        with form.decoder(BytesIO(container.animation if animated else container.stream)) as picture:
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


def decode(
    form: Format,
    container: Container,
    max_edge: int,
    *,
    scaled: bool = False,
    background: str = "#ffffff",
    keep_alpha: bool = False,
) -> Image.Image:
    """The first frame: upright 8-bit sRGB, longest edge at most `max_edge`, never enlarged.

    Mode RGB, transparency laid on `background`; or RGBA with `keep_alpha`, if the picture has transparency. `scaled`
    lets a JPEG decoder leave out what a much smaller picture does not need.

    Raises:
        Refused: `truncated_file` or `corrupt_file`, found only by decoding.
    """
    target = fitted(container.shown, max_edge)
    with open_picture(form, container) as picture:
        if scaled:
            picture.draft(None, (int(target[0] * _HEADROOM), int(target[1] * _HEADROOM)))
        picture.load()
        pixels = developed(picture, container, target)
    return pixels if keep_alpha else flattened(pixels, background)


def developed(picture: Image.Image, container: Container, size: tuple[int, int]) -> Image.Image:
    """Decoded pixels as a viewer sees them: cropped, in that size (as stored), in sRGB, upright; mode RGB or RGBA."""
    if container.crop is not None:
        picture = picture.crop(container.crop)
    pixels = to_srgb(resized(plain(picture), size), container.icc)
    turn = _UPRIGHT.get(read_orientation(container))
    return pixels if turn is None else pixels.transpose(turn)
