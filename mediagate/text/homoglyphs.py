"""Letters that look like others, by the confusables of Unicode Technical Standard #39.

The table comes with `confusable_homoglyphs`; it takes some 30 ms to load, so it is loaded when first needed.
"""

import unicodedata
from functools import cache, lru_cache

_EXTRA = {
    # Cyrillic letters that look like small capitals, which the table does not lead to plain Latin.
    **dict(zip("квмнтгпиё", "kbmhtrnue", strict=True)),
    **dict(zip("ηωχκτυ", "nwxktu", strict=True)),
    # Letters in black circles and squares, and flags' halves, which have no compatibility form.
    **{chr(first + n): chr(97 + n) for first in (0x1F150, 0x1F170, 0x1F1E6) for n in range(26)},
}


@cache
def _latin_table() -> dict[str, str]:
    """One character outside ASCII to the ASCII letters or digits it looks like."""
    table = {}
    for char, others in _confusables().items():
        if len(char) == 1 and not char.isascii():
            looks = next((o for o in others if o.isascii() and o.isalnum() and len(o) <= 2), None)
            if looks:
                table[char] = looks
    return {**table, **_EXTRA}


@cache
def _confusables() -> dict[str, list[str]]:
    from confusable_homoglyphs.confusables import confusables_data

    # Some lines of the table carry marks of direction around the character.
    return {
        char.strip("\u200e\u200f"): [other["c"].strip("\u200e\u200f") for other in others]
        for char, others in confusables_data.items()
    }


@lru_cache(maxsize=8192)
def latin(char: str) -> str:
    """The ASCII letters that a character looks like; the character itself if it looks like none."""
    if char.isascii():
        return char
    table = _latin_table()
    found = table.get(char) or table.get(char.casefold())
    if found is None:
        bare = "".join(c for c in unicodedata.normalize("NFD", char) if not unicodedata.combining(c))
        found = table.get(bare) or table.get(bare.casefold())
    return found or char


@lru_cache(maxsize=8192)
def script(char: str) -> str:
    """The first word of a letter's name, which names its script: LATIN, CYRILLIC, GREEK; empty for all else."""
    return unicodedata.name(char, "").partition(" ")[0] if char.isalpha() else ""


def native_scripts(text: str) -> set[str]:
    """Scripts in which the text is really written: it has words in them that cannot be read as Latin."""
    found: set[str] = set()
    for word in text.split():
        scripts = {script(char) for char in word} - {""}
        if len(scripts) == 1 and "LATIN" not in scripts and any(latin(c) == c for c in word if c.isalpha()):
            found |= scripts
    return found


def is_disguised(word: str, native: set[str] | None) -> bool:
    """True if a word's letters stand for those they look like: it mixes scripts, or its own is not among the native.

    `native` None: every script is.
    """
    if word.isascii():
        return False
    scripts = {script(char) for char in word if char.isalpha()}
    mixed = "LATIN" in scripts and len(scripts) > 1
    return mixed or not scripts or (native is not None and not scripts & native)


def skeleton(text: str) -> str:
    """What two texts share that look the same (UTS #39, section 4), without case."""
    swapped = "".join(_prototype(char) for char in unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFD", swapped).casefold()


@lru_cache(maxsize=8192)
def _prototype(char: str) -> str:
    """The table lists each pair under both; what stands for others stands with all of them, the others with one."""
    table = _confusables()
    others = table.get(char, [])
    if len(others) != 1:
        return char
    back = table.get(others[0], [])
    if len(back) == 1:
        return min(char, others[0], key=lambda one: (not one.isascii(), one))
    return others[0]
