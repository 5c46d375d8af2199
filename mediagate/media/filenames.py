"""File names as people sent them: shown, never used as a path or key."""

import unicodedata

from mediagate.errors import InvalidRequest

MAX_LENGTH = 255

# Characters that change the direction of what follows: "gpj.exe" can be shown as "exe.jpg" (Unicode TR 36, 3.2).
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_filename(name: str) -> str:
    """The last path component, without direction controls, in NFC.

    Raises:
        InvalidRequest: nothing is left, it is longer than 255 characters, or it has control characters such as NUL.
    """
    text = "".join(char for char in unicodedata.normalize("NFC", name) if char not in _BIDI)
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        raise InvalidRequest("The file name has control characters; send it without them.")
    text = text.replace("\\", "/").rpartition("/")[2].strip()
    if text in {"", ".", ".."}:
        raise InvalidRequest("The file name is empty.")
    if len(text) > MAX_LENGTH:
        raise InvalidRequest(f"The file name has {len(text)} characters; at most {MAX_LENGTH} are kept.")
    return text
