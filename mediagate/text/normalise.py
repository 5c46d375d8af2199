"""Text brought into forms that can be compared, with a way back to the places of the original.

Two layers, each linear in the length of the text: `clean` (what is invisible is gone, compatibility forms are one:
Unicode Standard Annex #15, NFKC) and `fold` on top of it (letter case, accents and letters of other scripts that look
alike are gone: Unicode Technical Standard #39).
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from mediagate.errors import InvalidRequest

MOST_CHARACTERS = 20_000
MOST_MARKS = 30
"""On one letter, as in the Stream-Safe Text Format (UAX #15, section 13); sorting more would take quadratic time."""

_BLANKS = {0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
_VARIATION = {0x034F, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
_LINE_ENDS = {"\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"}
_INVISIBLE = {"Cc", "Cf", "Cs"}


@dataclass(frozen=True, slots=True)
class Mapped:
    """A form of a text; character n of `text` stems from `original[starts[n]:ends[n]]`."""

    original: str
    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where `text[start:end]` stands in the original; `start < end`."""
        return self.starts[start], self.ends[end - 1]


def clean(text: str) -> Mapped:
    """The text in NFKC without what cannot be seen; ends of lines are `\\n`, other space is a space.

    Raises:
        InvalidRequest: it is longer than 20,000 characters.
    """
    if len(text) > MOST_CHARACTERS:
        raise InvalidRequest(f"The text has {len(text)} characters; at most {MOST_CHARACTERS} are looked at.")
    if text.isascii() and text.isprintable():
        return Mapped(text, text, range(len(text)), range(1, len(text) + 1))
    out, starts, ends = [], [], []
    place = 0
    while place < len(text):
        end = place + 1
        while end < len(text) and _continues(text[end]):
            end += 1
        for char in _visible(text[place : min(end, place + 1 + MOST_MARKS)]):
            out.append(char)
            starts.append(place)
            ends.append(end)
        place = end
    return Mapped(text, "".join(out), starts, ends)


def _continues(char: str) -> bool:
    """True of marks, and of the vowels and final consonants of which Hangul syllables are composed."""
    return char > "\u02ff" and ("\u1160" <= char <= "\u11ff" or unicodedata.category(char)[0] == "M")


@lru_cache(maxsize=4096)
def _visible(cluster: str) -> str:
    if cluster in _LINE_ENDS:
        return "\n"
    seen = "".join(char for char in cluster if not _is_invisible(char))
    return "".join(_spaced(char) for char in unicodedata.normalize("NFKC", seen) if not _is_invisible(char))


def _spaced(char: str) -> str:
    return " " if char.isspace() and char != "\n" else char


def _is_invisible(char: str) -> bool:
    if char.isspace():
        return False
    return unicodedata.category(char) in _INVISIBLE or ord(char) in _BLANKS or ord(char) in _VARIATION


def fold(cleaned: Mapped, *, whole_words: bool = True) -> Mapped:
    """The text as a reader takes it who does not mind case, accents and look-alikes.

    Letters of another script become the Latin ones they look like where a word mixes scripts. With `whole_words`, also
    where no word shows that the text is really written in that script: Cyrillic `сосо` beside Latin words is `coco`,
    in a Russian text it stays.
    """
    text = cleaned.text
    if text.isascii():
        return Mapped(cleaned.original, text.lower(), cleaned.starts, cleaned.ends)
    from mediagate.text import homoglyphs

    native = homoglyphs.native_scripts(text) if whole_words else None
    out, starts, ends = [], [], []
    for start, end in _runs(text):
        run = text[start:end]
        readable = homoglyphs.is_disguised(run, native)
        for place in range(start, end):
            char = text[place]
            for letter in _folded(homoglyphs.latin(char) if readable else char):
                out.append(letter)
                starts.append(cleaned.starts[place])
                ends.append(cleaned.ends[place])
    return Mapped(cleaned.original, "".join(out), starts, ends)


def _runs(text: str) -> list[tuple[int, int]]:
    """Spans of words and of what is between them, in order; together the whole text."""
    spans, begin = [], 0
    for place in range(1, len(text) + 1):
        if place == len(text) or text[place].isspace() != text[begin].isspace():
            spans.append((begin, place))
            begin = place
    return spans if text else []


@lru_cache(maxsize=8192)
def _folded(char: str) -> str:
    if char.isascii():
        return char.lower()
    bare = "".join(part for part in unicodedata.normalize("NFD", char) if not _is_accent(part))
    return unicodedata.normalize("NFKC", bare.casefold())


def _is_accent(char: str) -> bool:
    """True of accents and of points that are commonly left out (Hebrew, Arabic); vowel signs of other scripts stay.

    By canonical combining class (https://www.unicode.org/reports/tr44/#Canonical_Combining_Class_Values).
    """
    kind = unicodedata.combining(char)
    return kind == 1 or 10 <= kind <= 35 or kind >= 200
