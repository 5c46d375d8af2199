"""Hosts that want to be taken for others: letters that look alike, typing errors, known names in wrong places."""

import unicodedata
from dataclasses import dataclass
from typing import Self

from mediagate.text import homoglyphs
from mediagate.text.urls import normalised, registrable_domain

_DIGITS = str.maketrans("013456789i", "oleasgtbgl")
"""A one stands for i as well as for l, so those two are one."""
_SHORTEST_TYPO = 6
"""Letters; in shorter names, one changed letter makes another word too easily."""
_LONG = 10
"""Letters from which on two may differ."""


@dataclass(frozen=True, slots=True)
class Protected:
    """A name that others must not imitate."""

    domain: str
    label: str
    """The part that people know: `paypal` of `paypal.com`."""

    @classmethod
    def of(cls, entry: str) -> Self:
        """Of a domain (`paypal.com`), of a host in it, or of a bare name (`paypal`), which no domain is right for."""
        url = normalised(entry)
        host = url.host if url else entry.lower()
        domain = registrable_domain(host) if "." in host else ""
        return cls(domain, _shown(domain.partition(".")[0] if domain else host))

    def owns(self, host: str) -> bool:
        """True of the domain itself and everything in it."""
        return bool(self.domain) and (host == self.domain or host.endswith(f".{self.domain}"))


def imitation(host: str, protected: Protected) -> tuple[str, float] | None:
    """How a host that is not the protected one's imitates it, and how sure that is (0..1); None if it does not."""
    name = protected.label
    registrable = registrable_domain(host)
    label = _shown(registrable.partition(".")[0])
    before = host[: -len(registrable)].rstrip(".") if host.endswith(registrable) else ""
    if label != name and _look(label) == _look(name):
        return "lookalike", 0.95
    if label != name and _read(label) == _read(name):
        return "lookalike", 0.9
    if protected.domain and f".{protected.domain}." in f".{before}.":
        return "lookalike_subdomain", 0.9
    if _is_typo(_read(label), _read(name)):
        return "lookalike", 0.7
    parts = [_shown(part) for piece in f"{before}.{label}".split(".") for part in (piece, *piece.split("-")) if part]
    if any(_look(part) == _look(name) or _read(part) == _read(name) for part in parts):
        return "lookalike_name", 0.6
    return None


def _is_typo(label: str, name: str) -> bool:
    """By optimal string alignment: one letter changed, added, left out or swapped; in long names two."""
    from rapidfuzz.distance import OSA

    allowed = (len(name) >= _SHORTEST_TYPO) + (len(name) >= _LONG)
    return allowed > 0 and 0 < OSA.distance(label, name, score_cutoff=allowed) <= allowed


def _shown(label: str) -> str:
    """As a browser may show it: punycode decoded, if it can be."""
    if not label.startswith("xn--"):
        return label
    import idna

    try:
        return idna.decode(label)
    except UnicodeError:
        return label


def _look(label: str) -> str:
    """What labels share that look the same; accents are easily overlooked."""
    bare = "".join(char for char in unicodedata.normalize("NFD", label) if not unicodedata.combining(char))
    return homoglyphs.skeleton("".join(map(homoglyphs.latin, bare)))


def _read(label: str) -> str:
    """Digits as the letters they stand for, without hyphens."""
    return label.translate(_DIGITS).replace("-", "")
