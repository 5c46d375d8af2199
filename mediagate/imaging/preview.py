"""How a mark would look, before it is a library's setting."""

from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw

from mediagate.imaging.decoding import decode
from mediagate.imaging.inspection import walk
from mediagate.imaging.watermark import Watermark
from mediagate.media.values import MIB, Limits, VariantName, WatermarkSpec

_BACKGROUND_LIMITS = Limits(max_bytes=8 * MIB, max_pixels=16_000_000, max_edge=8000)
_QUALITY = 85

_NEUTRAL = (1200, 800)
_LIGHT, _DARK = (238, 238, 236), (24, 26, 30)
_LINES = 40


def render_preview(
    spec: WatermarkSpec,
    image: bytes | None,
    font: Path | None,
    *,
    name: VariantName,
    max_edge: int,
    background: bytes | None = None,
) -> bytes:
    """A JPEG of at most `max_edge` with the mark as that variant would have it; without a mark if it would have none.

    `image` and `font` as for `Watermark`. `background`: a file of up to 16 megapixels; by default a neutral picture,
    half light and half dark. The same arguments give the same bytes.

    Raises:
        Refused: the image or the background is bad.
        WatermarkUnusable: the mark cannot be drawn.
    """
    mark = Watermark(spec, image, font)
    picture = _neutral(max_edge) if background is None else _read(background, max_edge)
    if spec.of(name) is not None:
        mark.stamp(picture, name)
    out = BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()


def _read(data: bytes, max_edge: int) -> Image.Image:
    form, container = walk(data, None, _BACKGROUND_LIMITS)
    return decode(form, container, max_edge, scaled=True)


def _neutral(max_edge: int) -> Image.Image:
    """Light on the left, dark on the right; a grey ramp, fine lines and a disc across both."""
    wide, tall = _NEUTRAL
    picture = Image.new("RGB", _NEUTRAL, _LIGHT)
    picture.paste(_DARK, (wide // 2, 0, wide, tall))
    ramp = Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90).resize((wide, tall // 8))
    picture.paste(ramp.convert("RGB"), (0, tall // 8))
    pen = ImageDraw.Draw(picture)
    for line in range(_LINES):
        x = wide * line // _LINES
        pen.line((x, tall * 3 // 4, x + wide // _LINES, tall), fill=(128, 128, 128), width=1 + line % 3)
    pen.ellipse((wide * 3 // 8, tall * 3 // 8, wide * 5 // 8, tall * 17 // 24), fill=(150, 110, 80))
    picture.thumbnail((max_edge, max_edge))
    return picture
