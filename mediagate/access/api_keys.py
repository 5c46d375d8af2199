"""API keys: `mg_<prefix>_<secret>`; the prefix finds the row, the digest in the row proves the secret.

The digest is one plain SHA-256. A slow password hash protects secrets that people choose and others can guess; these
are 256 random bits, which no number of guesses finds, and the check runs on every request.
"""

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum

from mediagate.errors import NotAuthenticated

_PREFIX_ALPHABET = string.ascii_lowercase + string.digits
_TOKEN = re.compile(r"mg_([a-z0-9]{8})_([A-Za-z0-9_-]{43})")


class Scope(StrEnum):
    """What a key may do in its library. `admin` includes all others."""

    UPLOADS_WRITE = "uploads:write"
    UPLOADS_TRUSTED = "uploads:trusted"
    """Opens no route: what such a key sends may take the fast lane."""
    MEDIA_READ = "media:read"
    REVIEW_WRITE = "review:write"
    RUNS_WRITE = "runs:write"
    EVIDENCE_READ = "evidence:read"
    ADMIN = "admin"


@dataclass(frozen=True)
class IssuedKey:
    """A new key. Only `prefix` and `digest` are stored; the token is shown once and kept out of `repr` and logs."""

    token: str = field(repr=False)
    prefix: str
    digest: str


def issue() -> IssuedKey:
    """A new random key; unique but for a collision of prefixes (36^8), which the table's unique index refuses."""
    prefix = "".join(secrets.choice(_PREFIX_ALPHABET) for _ in range(8))
    token = f"mg_{prefix}_{secrets.token_urlsafe(32)}"
    return IssuedKey(token, prefix, digest(token))


def parse(token: str) -> tuple[str, str]:
    """Prefix and secret of a token.

    Raises:
        NotAuthenticated: it is not written like one; the text is not repeated in the message.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise NotAuthenticated
    return match[1], match[2]


def digest(token: str) -> str:
    """Lower-case hex SHA-256 of the whole token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def matches(token: str, stored: str) -> bool:
    """True if `stored` is this token's digest; takes the same time wherever they differ."""
    return hmac.compare_digest(digest(token).encode(), stored.encode())


def allows(granted: Collection[Scope], needed: Scope) -> bool:
    """True if a key with these scopes may do what `needed` names."""
    return needed in granted or Scope.ADMIN in granted
