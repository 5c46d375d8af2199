"""A library's mark and how it is laid on a picture: only the pixels under it are touched."""

from functools import lru_cache
from pathlib import Path

from PIL import Image

from mediagate.errors import WatermarkUnusable
from mediagate.imaging.decoding import decode
from mediagate.imaging.inspection import walk
from mediagate.imaging.text_mark import objection, prepared, text_mark
from mediagate.media.values import MIB, Limits, Position, VariantName, WatermarkSpec

_IMAGE_LIMITS = Limits(max_bytes=8 * MIB, max_pixels=16_000_000, max_edge=8000)
_IMAGE_EDGE = 2048
"""pixels kept of the image's longest edge, so that a mark in memory is never larger than 16 MiB"""
_READY_MARKS = 4

_MOST_TILES_PER_EDGE = 24

# Share of the free width and height that is left of and above the mark.
_PLACES: dict[Position, tuple[float, float]] = {
    Position.TOP_LEFT: (0, 0),
    Position.TOP: (0.5, 0),
    Position.TOP_RIGHT: (1, 0),
    Position.LEFT: (0, 0.5),
    Position.CENTER: (0.5, 0.5),
    Position.RIGHT: (1, 0.5),
    Position.BOTTOM_LEFT: (0, 1),
    Position.BOTTOM: (0.5, 1),
    Position.BOTTOM_RIGHT: (1, 1),
}


class Watermark:
    """A `WatermarkSpec` that was found fit to be drawn, with its image decoded; may be used by several threads."""

    def __init__(self, spec: WatermarkSpec, image: bytes | None = None, font: Path | None = None) -> None:
        """`image`: the bytes behind `spec.image_key`, in any format that is taken as an upload, at most 16 megapixels.
        `font`: a font file for texts, by default the bundled one.

        Raises:
            Refused: the image is bad.
            WatermarkUnusable: the font cannot draw a text, or there should be an image and is none.
        """
        self.spec = spec
        self._font = font
        self._image = None if image is None else _read_image(image)
        if spec.image_key and image is None:
            raise WatermarkUnusable("The library's watermark is an image, and it is not there.", retry_after=60)
        texts = ["" if spec.image_key else spec.text, *(override.text or "" for override in spec.overrides.values())]
        for reason in filter(None, (objection(text, font) for text in texts)):
            raise WatermarkUnusable(f"The library's watermark cannot be drawn: {reason}", retry_after=60)

    def stamp(self, picture: Image.Image, name: VariantName = VariantName.ORIGINAL) -> None:
        """Lay the mark on a picture in mode RGB or RGBA, in place, as that variant has it.

        Which variants have one is the caller's question to `spec.of`; on the moderation copy nothing is ever drawn.
        """
        look = self.spec.look(name)
        mark = None if name is VariantName.MODERATION or look.opacity == 0 else self._mark(look, picture.size)
        if mark is None:
            return
        alpha = mark.getchannel("A").point([round(a * look.opacity) for a in range(256)])
        mark.putalpha(alpha)
        colours = mark.convert("RGB") if picture.mode == "RGB" else mark
        for x, y in _places(look, picture.size, mark.size):
            if picture.mode == "RGB":
                picture.paste(colours, (x, y), alpha)
            else:
                picture.alpha_composite(mark, (max(0, x), max(0, y)), (max(0, -x), max(0, -y)))

    def _mark(self, look: WatermarkSpec, size: tuple[int, int]) -> Image.Image | None:
        """The mark in mode RGBA: `scale` of the picture's width, yet never larger than the picture."""
        width = max(1, round(size[0] * look.scale))
        if self._image is not None and look.image_key:
            factor = min(width / self._image.width, size[1] / self._image.height)
            fitting = max(1, round(self._image.width * factor)), max(1, round(self._image.height * factor))
            # Not `resized`: its box filter turns fine lines, which logos have, into moiré.
            mark = self._image.resize(fitting, Image.Resampling.LANCZOS)
        elif text := prepared(look.text):
            mark = text_mark(text, look.colour, width, size, self._font)
        else:
            return None
        if look.position is Position.TILE and look.rotation:
            return mark.rotate(look.rotation, Image.Resampling.BICUBIC, expand=True)
        return mark


def watermark_for(spec: WatermarkSpec, image: bytes | None = None, font: Path | None = None) -> Watermark:
    """`Watermark(…)`, the same one again for the same arguments: the last few are kept by this process."""
    return _ready(spec.model_dump_json(), image, font)


@lru_cache(_READY_MARKS)
def _ready(spec: str, image: bytes | None, font: Path | None) -> Watermark:
    return Watermark(WatermarkSpec.model_validate_json(spec), image, font)


def _read_image(data: bytes) -> Image.Image:
    form, container = walk(data, None, _IMAGE_LIMITS)
    return decode(form, container, _IMAGE_EDGE, keep_alpha=True).convert("RGBA")


def _places(look: WatermarkSpec, size: tuple[int, int], mark: tuple[int, int]) -> list[tuple[int, int]]:
    """Upper left corners of marks that show; a margin that does not fit shrinks."""
    margin = look.margin * min(size)
    if look.position is not Position.TILE:
        return [_place(size, mark, margin, *_PLACES[look.position])]
    across, down = (max(round(mark[axis] * 1.5 + margin), -(-size[axis] // _MOST_TILES_PER_EDGE), 1) for axis in (0, 1))
    places = (
        (x - (across // 2 if row % 2 else 0), y)
        for row, y in enumerate(range(0, size[1], down))
        for x in range(0, size[0] + across, across)
    )
    return [(x, y) for x, y in places if -mark[0] < x < size[0]]


def _place(size: tuple[int, int], mark: tuple[int, int], margin: float, left: float, above: float) -> tuple[int, int]:
    def along(axis: int, share: float) -> int:
        free = size[axis] - mark[axis]
        inset = min(margin, max(0, free) / 2)
        return round(inset + (free - 2 * inset) * share)

    return along(0, left), along(1, above)
