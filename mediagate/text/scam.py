"""Usual frauds, found by traits that add up: heuristics, not proofs.

A trait is a lure, a demand or a way out of the platform; what several say adds up.
"""

from collections.abc import Iterator
from itertools import islice
from math import prod

from mediagate.media.values import Verdict
from mediagate.moderation.categories import Category
from mediagate.text.findings import FindingKind, TextFinding
from mediagate.text.normalise import Mapped
from mediagate.text.patterns import compiled, spans
from mediagate.text.scam_traits import TRAITS

_MOST_EACH = 3
"""Places of one trait."""


def find(folded: Mapped, action: Verdict | None) -> Iterator[TextFinding]:
    """The traits that the text shows, each with what all of them say together: 1 − Π(1 − score)."""
    shown = {}
    for trait in TRAITS:
        places = (place for one in trait.expressions for place in spans(compiled(one), folded, most=_MOST_EACH))
        if found := list(islice(places, _MOST_EACH)):
            shown[trait] = found
    score = round(1 - prod(1 - trait.score for trait in shown), 3)
    for trait, found in shown.items():
        for start, end in found:
            yield TextFinding(
                kind=FindingKind.SCAM,
                rule=trait.name,
                category=Category.SCAM.value,
                score=score,
                start=start,
                end=end,
                action=action,
            )
