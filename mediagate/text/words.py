"""A text cut into what blocklists compare: words, and the readings that leetspeak and separators allow.

Scripts that put no space between words are cut into single characters, so that an entry is a phrase of them.
"""

import unicodedata
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

LEET = {
    "0": "o", "1": "il", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g", "2": "z",
    "@": "a", "$": "s", "!": "il", "|": "il", "€": "e", "£": "l", "¥": "y", "+": "t", "(": "c", "¢": "c",
}  # fmt: skip
"""Letters that a digit or sign may stand for."""

_SIGNS = frozenset(sign for sign in LEET if not sign.isdigit())
_EDGES = "!|+("
"""Signs that at the edge of a word are rather punctuation."""
_SOLID = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "BOPOMOFO", "YI")
_APOSTROPHES = {"'", "’", "ʼ", "`", "´"}
_MOST_GAP = 3
"""Characters between two parts of a word that is pulled apart, at most."""


class Word(NamedTuple):
    """A word, or one character of a script without spaces, or a symbol; places are those of the cut text."""

    text: str
    start: int
    end: int


def cut(text: str) -> list[Word]:
    """The words of a text in their order; signs that leetspeak uses are parts of words."""
    words, begin = [], -1
    for place, char in enumerate(text):
        if _is_inside(char) and not _stands_alone(char):
            begin = place if begin < 0 else begin
            continue
        if begin >= 0:
            words.append(Word(text[begin:place], begin, place))
            begin = -1
        if _stands_alone(char):
            words.append(Word(char, place, place + 1))
    if begin >= 0:
        words.append(Word(text[begin:], begin, len(text)))
    return words


def trimmed(word: Word) -> Iterator[Word]:
    """The word as it is, and without the signs at its edges that may be punctuation."""
    yield word
    seen = {word.text}
    for signs in (_EDGES, "".join(_SIGNS)):
        left = len(word.text) - len(word.text.lstrip(signs))
        bare = word.text.strip(signs)
        if bare and bare not in seen:
            seen.add(bare)
            yield Word(bare, word.start + left, word.start + left + len(bare))


def joined(text: str, words: list[Word]) -> dict[int, tuple[Word, int]]:
    """Words that are pulled apart (`f.r.e.e`, `s p a c e d`), by the number of their first part, and what follows.

    Parts of more than one letter belong together only across a sign, with no space and no apostrophe; single letters
    across anything short, the same each time, if there are at least three.
    """
    found: dict[int, tuple[Word, int]] = {}
    number = 0
    while number < len(words):
        end = max(_spelled(text, words, number), _linked(text, words, number))
        if end - number > 1:
            parts = words[number:end]
            found[number] = Word("".join(part.text for part in parts), parts[0].start, parts[-1].end), end
        number = max(end, number + 1)
    return found


def _spelled(text: str, words: list[Word], first: int) -> int:
    """One past the last of a run of single letters with the same gap between them; `first` if there is no such run."""
    end, gap = first, None
    while end < len(words) and len(words[end].text) == 1 and not _stands_alone(words[end].text):
        if end > first:
            between = text[words[end - 1].end : words[end].start]
            if not 0 < len(between) <= _MOST_GAP or "\n" in between or gap not in {None, between}:
                break
            gap = between
        end += 1
    return end if end - first >= 3 else first


def _linked(text: str, words: list[Word], first: int) -> int:
    end = first + 1
    while end < len(words):
        between = text[words[end - 1].end : words[end].start]
        if not 0 < len(between) <= _MOST_GAP or any(c.isspace() for c in between) or between in _APOSTROPHES:
            break
        if _stands_alone(words[end].text[0]) or _stands_alone(words[end - 1].text[0]):
            break
        end += 1
    return end


def key(word: str) -> str:
    """What a word shares with all that it may be read as: signs as letters, `l` as `i`, each run of letters one."""
    return "".join(letter for letter, _ in groupby(_plain(char) for char in word))


def _plain(char: str) -> str:
    if char == "l":
        return "i"
    return LEET.get(char, char)[0]


def reads_as(word: str, entry: str) -> bool:
    """True if a word of a text may be meant for a word of a list that has the same `key`.

    A sign may stand for its letters, a letter only for itself. Letters may be drawn out to three and more. Digits are
    letters only in words that are mostly letters: a price is no word.
    """
    if word == entry:
        return True
    digits = sum(char.isdigit() for char in word)
    letters = sum(char.isalpha() for char in word)
    if digits * 2 > len(word) or (digits and not letters):
        return False
    return all(_run_reads_as(run, meant) for run, meant in zip(_runs(word), _runs(entry), strict=True))


def _runs(word: str) -> list[str]:
    return ["".join(run) for _, run in groupby(word, _plain)]


def _run_reads_as(run: str, meant: str) -> bool:
    if len(run) == len(meant):
        return all(_may_be(char, letter) for char, letter in zip(run, meant, strict=True))
    return len(run) > max(len(meant), 2) and all(any(_may_be(char, letter) for letter in meant) for char in run)


def _may_be(char: str, letter: str) -> bool:
    return char == letter or letter in LEET.get(char, "")


def _is_inside(char: str) -> bool:
    return char.isalnum() or char in _SIGNS or unicodedata.category(char)[0] == "M"


def _stands_alone(char: str) -> bool:
    """True of characters of scripts without spaces, and of emoji."""
    if char.isascii():
        return False
    return unicodedata.category(char) == "So" or unicodedata.name(char, "").startswith(_SOLID)
