"""Which language a text is in."""

from functools import cache
from typing import Any

from mediagate.text.policy import primary_language

SHORTEST = 20
"""Letters from which on it is worth a guess; the model takes 0.5 s and 30 MiB to load."""
SURE = 0.5
"""Probability from which on the guess counts."""
_LONGEST = 2_000


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language_of(text: str, declared: str = "") -> str:
    """ISO 639 code: what was declared, else what the text says; empty if it is too short or too unclear to tell."""
    if declared:
        return primary_language(declared)
    if sum(char.isalpha() for char in text[:_LONGEST]) < SHORTEST:
        return ""
    language, probability = _identifier().classify(text[:_LONGEST])
    return str(language) if probability >= SURE else ""
