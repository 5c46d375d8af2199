"""A text as a mark: which ones the font can draw, and how they look."""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageColor, ImageDraw, ImageFont, features

from mediagate.errors import WatermarkUnusable
from mediagate.imaging.resizing import resized

FONT = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
"""The bundled one; its licence is beside it, why it was chosen in docs/decisions/0012-watermark-font.md."""
LONGEST_TEXT = 120

_SMALLEST_SIZE = 6
_PROBE_SIZE = 100
_OUTLINE = 0.06
"""width of the outline as a share of the font size"""
_OUTLINE_ALPHA = 200
_LIGHT = 128
"""from this luma on a colour gets a dark outline, else a light one"""

# Raqm orders and joins what is written from right to left. Without it such a text is drawn all the same.
_LAYOUT = ImageFont.Layout.RAQM if features.check("raqm") else ImageFont.Layout.BASIC
# They decide how letters join, have no look of their own, and only Raqm knows what to do with them.
_JOINERS = "\u200c\u200d" if _LAYOUT is ImageFont.Layout.RAQM else ""
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)

# Blocks of pictures (Unicode's Emoji_Presentation beyond the BMP): a one-colour sketch of one is not what is meant.
_EMOJI = (range(0x1F1E6, 0x1F200), range(0x1F300, 0x1F650), range(0x1F680, 0x1F700), range(0x1F900, 0x1FB00))

# No font has a glyph for this noncharacter, so it shows what the font draws in place of all that it lacks.
_NO_CHARACTER = "\U0010ffff"


def prepared(text: str) -> str:
    """What is drawn of a text: composed (NFC), in one line, without control characters, at most `LONGEST_TEXT` long."""
    composed = unicodedata.normalize("NFC", text)
    kept = (c if c.isprintable() or c in _JOINERS else " " for c in composed if ord(c) not in _VARIATION_SELECTORS)
    return " ".join("".join(kept).split())[:LONGEST_TEXT]


@contextmanager
def _usable() -> Iterator[None]:
    """FreeType reads tables when the file is opened and glyphs when they are drawn: either may be broken."""
    try:
        yield
    except OSError as error:
        raise WatermarkUnusable(f"MEDIAGATE_WATERMARK_FONT cannot be used: {error}.", retry_after=60) from error


@_usable()
def objection(text: str, font: Path | None = None) -> str:
    """Why a text cannot be drawn, as a sentence that names the characters; empty if it can.

    Raises:
        WatermarkUnusable: the font cannot be used.
    """
    characters = [c for c in dict.fromkeys(prepared(text)) if c != " " and c not in _JOINERS]
    emoji = [c for c in characters if any(ord(c) in block for block in _EMOJI)]
    if emoji:
        return f"Emoji cannot be drawn in a watermark: {_named(emoji)}."
    if not characters:
        return ""
    drawn = _loaded(font, _PROBE_SIZE, ImageFont.Layout.BASIC)
    lacking = _look(drawn, _NO_CHARACTER)
    missing = [c for c in characters if _look(drawn, c) == lacking]
    return f"The font {drawn.getname()[0]} does not have: {_named(missing)}." if missing else ""


@_usable()
def text_mark(text: str, colour: str, width: int, bounds: tuple[int, int], font: Path | None = None) -> Image.Image:
    """A prepared text about `width` pixels wide, in mode RGBA, never larger than `bounds`.

    Its outline is dark around a light colour and light around a dark one, so that it can be read on any ground.

    Raises:
        WatermarkUnusable: the font cannot be used.
    """
    left, top, right, bottom = _loaded(font, _PROBE_SIZE).getbbox(text, stroke_width=_outline(_PROBE_SIZE))
    wide, tall = max(1, right - left), max(1, bottom - top)
    size = max(_SMALLEST_SIZE, int(_PROBE_SIZE * min(width / wide, bounds[1] / tall)))
    letters, outline = _loaded(font, size), _outline(size)
    left, top, right, bottom = (round(edge) for edge in letters.getbbox(text, stroke_width=outline))
    around = (0, 0, 0) if _luma(colour) >= _LIGHT else (255, 255, 255)
    mark = Image.new("RGBA", (max(1, right - left), max(1, bottom - top)), (*around, 0))
    ImageDraw.Draw(mark).text(
        (-left, -top), text, fill=colour, font=letters, stroke_width=outline, stroke_fill=(*around, _OUTLINE_ALPHA)
    )
    mark = mark.crop(mark.getbbox())  # the space that a font leaves around its letters is no margin of ours
    factor = min(bounds[0] / mark.width, bounds[1] / mark.height)
    if factor >= 1:
        return mark
    return resized(mark, (max(1, int(mark.width * factor)), max(1, int(mark.height * factor))))


def _outline(size: int) -> int:
    return max(1, round(size * _OUTLINE))


def _luma(colour: str) -> float:
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _loaded(font: Path | None, size: int, layout: ImageFont.Layout = _LAYOUT) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font or FONT, size, layout_engine=layout)


def _look(font: ImageFont.FreeTypeFont, character: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(character)
    return mask.size, bytes(mask)


def _named(characters: list[str]) -> str:
    return ", ".join(f"{c} (U+{ord(c):04X})" for c in characters)
