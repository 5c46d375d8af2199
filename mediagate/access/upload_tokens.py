"""Upload tokens: what the caller who began an upload shows to complete it.

256 random bits; only the digest is stored.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field


@dataclass(frozen=True)
class IssuedUploadToken:
    """A new token, shown once and kept out of `repr` and logs, and the digest that is stored."""

    token: str = field(repr=False)
    digest: str


def issue() -> IssuedUploadToken:
    """A new random token of 43 URL-safe characters."""
    token = secrets.token_urlsafe(32)
    return IssuedUploadToken(token, digest(token))


def digest(token: str) -> str:
    """Lower-case hex SHA-256; a plain hash is enough for 256 random bits (see `api_keys`)."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def matches(token: str, stored: str) -> bool:
    """True if `stored` is this token's digest; takes the same time wherever they differ."""
    return hmac.compare_digest(digest(token).encode(), stored.encode())
