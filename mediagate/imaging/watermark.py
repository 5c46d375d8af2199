"""A library's mark and how it is laid on a picture: only the pixels under it are touched."""

from PIL import Image, ImageDraw, ImageFont

from mediagate.imaging.decoding import open_picture, resized
from mediagate.imaging.inspection import walk
from mediagate.imaging.tiff import clean
from mediagate.media.values import MIB, Limits, Position, WatermarkSpec

_IMAGE_LIMITS = Limits(max_bytes=8 * MIB, max_pixels=16_000_000, max_edge=8000)
_LONGEST_TEXT = 120
_SMALLEST_FONT = 6
_PROBE_FONT = 100
_OUTLINE = 0.06
"""width of a text's dark outline as a share of the font size: readable on light and dark alike"""

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
    """A `WatermarkSpec` with its image decoded; may be used by several threads."""

    def __init__(self, spec: WatermarkSpec, image: bytes | None = None) -> None:
        """`image`: the bytes behind `spec.image_key`, in any format that is taken as an upload, at most 16 megapixels.

        Raises:
            Refused: the image is bad.
        """
        self.spec = spec
        self._image = None if image is None else _read_image(image)

    def stamp(self, picture: Image.Image) -> None:
        """Lay the mark on a picture in mode RGB, in place."""
        mark = self._mark(picture.size)
        if mark is None:
            return
        mask = mark.getchannel("A").point([round(a * self.spec.opacity) for a in range(256)])
        colours = mark.convert("RGB")
        for place in self._places(picture.size, mark.size):
            picture.paste(colours, place, mask)

    def _mark(self, size: tuple[int, int]) -> Image.Image | None:
        """The mark in mode RGBA: `scale` of the picture's width, yet never larger than the picture."""
        if self.spec.empty:
            return None
        width = max(1, round(size[0] * self.spec.scale))
        if self._image is None:
            return _text_mark(clean(self.spec.text, _LONGEST_TEXT), width, size[1])
        factor = min(width / self._image.width, size[1] / self._image.height)
        return resized(
            self._image, (max(1, round(self._image.width * factor)), max(1, round(self._image.height * factor)))
        )

    def _places(self, size: tuple[int, int], mark: tuple[int, int]) -> list[tuple[int, int]]:
        """Upper left corners; a margin that does not fit shrinks."""
        margin = self.spec.margin * min(size)
        if self.spec.position is not Position.TILE:
            return [_place(size, mark, margin, *_PLACES[self.spec.position])]
        across, down = (
            max(round(mark[axis] * 1.5 + margin), -(-size[axis] // _MOST_TILES_PER_EDGE), 1) for axis in (0, 1)
        )
        return [
            (x - (across // 2 if row % 2 else 0), y)
            for row, y in enumerate(range(0, size[1], down))
            for x in range(0, size[0] + across, across)
        ]


def _read_image(data: bytes) -> Image.Image:
    form, container = walk(data, None, _IMAGE_LIMITS)
    with open_picture(form, container) as picture:
        return picture.convert("RGBA")


def _place(size: tuple[int, int], mark: tuple[int, int], margin: float, left: float, above: float) -> tuple[int, int]:
    def along(axis: int, share: float) -> int:
        free = size[axis] - mark[axis]
        inset = min(margin, max(0, free) / 2)
        return round(inset + (free - 2 * inset) * share)

    return along(0, left), along(1, above)


def _text_mark(text: str, width: int, height: int) -> Image.Image | None:
    """White text with a dark outline, set in the font that Pillow carries."""
    if not text:
        return None
    probe = ImageFont.load_default(_PROBE_FONT).getbbox(text)
    wide, tall = max(1, probe[2] - probe[0]), max(1, probe[3] - probe[1])
    font_size = max(_SMALLEST_FONT, int(_PROBE_FONT * min(width / wide, height / tall)))
    font = ImageFont.load_default(font_size)
    outline = max(1, round(font_size * _OUTLINE))
    left, top, right, bottom = (round(v) for v in font.getbbox(text, stroke_width=outline))
    mark = Image.new("RGBA", (max(1, right - left), max(1, bottom - top)), (0, 0, 0, 0))
    pen = ImageDraw.Draw(mark)
    pen.text((-left, -top), text, fill="white", font=font, stroke_width=outline, stroke_fill=(0, 0, 0, 160))
    return mark
