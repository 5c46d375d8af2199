"""Signed delivery URLs: HMAC-SHA256 over library, media id, file, version, purpose, expiry and key id.

    …/api/v1/media/<media_id>/files/<file>?library=…&v=…&purpose=…&expires=…&kid=…&signature=…

The purpose is part of what is signed, so that a public URL can never be turned into one for the unmarked moderation
copy. The signed text is a JSON array: no choice of values makes two different requests the same text.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from enum import StrEnum
from urllib.parse import urlencode

from pydantic import Field, SecretStr

from mediagate.errors import BadSignature, Expired
from mediagate.media.values import ImageFormat, Value, VariantFile, VariantName

_CONTEXT = "mediagate-delivery-2"
_SECONDS = re.compile(r"[1-9][0-9]{0,11}")


class Purpose(StrEnum):
    """Whom a delivery URL is for."""

    PUBLIC = "public"
    MODERATION = "moderation"
    """Vendors and moderators."""


class SignedQuery(Value):
    """The query of a delivery URL, as it came; trusted after `DeliverySigner.check` only."""

    library: str = Field("", description="signed: the library's slug")
    v: str = Field("", description="signed: `version_of` the picture that the URL was made for")
    purpose: str = Field("", description="signed: public or moderation")
    expires: str = Field("", description="signed: Unix seconds")
    kid: str = Field("", description="signed: `key_id` of the secret that signed")
    signature: str | None = Field(None, description="43 characters; without one, a key is asked for")

    def __str__(self) -> str:
        """The one way to write it: a URL that is written otherwise is not the one that was handed out."""
        return urlencode(self.model_dump(exclude_none=True))


class DeliverySigner:
    """Signs with the first of this deployment's secrets, and believes all of them."""

    def __init__(self, secrets: Sequence[SecretStr]) -> None:
        self._secrets = tuple(secrets)

    def query(
        self,
        media_id: str,
        file: VariantFile | str,
        *,
        library: str,
        purpose: Purpose | str,
        expires_at: int,
        version: str = "",
    ) -> str:
        """The query that makes the URL of a picture readable until `expires_at` (Unix seconds).

        Raises:
            ValueError: there is no secret to sign with, or no such purpose.
        """
        if not self._secrets:
            raise ValueError("Delivery URLs cannot be signed: MEDIAGATE_DELIVERY_SECRETS is empty.")
        secret, meant = self._secrets[0], Purpose(purpose)
        bare = SignedQuery(library=library, v=version, purpose=meant.value, expires=str(expires_at), kid=key_id(secret))
        return str(bare.model_copy(update={"signature": _signature(secret, media_id, str(file), bare)}))

    def check(self, media_id: str, file: str, given: SignedQuery, *, now: int) -> Purpose:
        """The purpose for which this was signed, if it was, and `now` (Unix seconds) is before its expiry.

        Raises:
            BadSignature: none of the secrets signed it.
            Expired: one did, but its time is over.
        """
        signature = (given.signature or "").encode("utf-8", "surrogatepass")
        able = [secret for secret in self._secrets if key_id(secret) == given.kid]
        right = [_signature(secret, media_id, file, given).encode() for secret in able]
        if not any(hmac.compare_digest(one, signature) for one in right) or not _SECONDS.fullmatch(given.expires):
            raise BadSignature("The signature of this URL is wrong.")
        if now >= int(given.expires):
            raise Expired("This URL has expired.")
        return Purpose(given.purpose)


def key_id(secret: SecretStr) -> str:
    """The name of a secret in URLs, so that a rotation knows which one to ask."""
    return hashlib.sha256(secret.get_secret_value().encode()).hexdigest()[:8]


def version_of(sha256: str) -> str:
    """The version of a picture in URLs: made anew, it has a new URL."""
    return sha256[:8]


def expiry(media_id: str, *, now: int, lifetime: int) -> int:
    """When a URL that is handed out `now` ends: after `lifetime` seconds, or up to a quarter of that later.

    It is the same for a quarter of the lifetime, so that a picture keeps its URL and caches are of use. Each item steps
    at its own seconds, so that not all URLs of a deployment change at once.
    """
    step = max(1, lifetime // 4)
    earliest = now + lifetime
    return earliest + (int(media_id[:8], 16) - earliest) % step


def file_path(media_id: str, file: VariantFile | str) -> str:
    """The path under which the API, and a CDN before it, serves a picture."""
    return f"/api/v1/media/{media_id}/files/{file}"


def file_url(base: str, media_id: str, file: VariantFile | str, query: str = "") -> str:
    """The URL of a picture; without a signed query it asks for a key."""
    return base.rstrip("/") + file_path(media_id, file) + (f"?{query}" if query else "")


def cache_tags(media_id: str, library: str) -> tuple[str, ...]:
    """What caches may know a public picture by: the item's tag, which a takedown purges, and the library's."""
    return (media_tag(media_id), f"library-{library}")


def media_tag(media_id: str) -> str:
    """The tag of every public picture of an item."""
    return f"media-{media_id}"


def public_paths(media_id: str) -> tuple[str, ...]:
    """Every path under which a public picture of an item may ever have been served, whatever its library wants now."""
    names = [name for name in VariantName if name is not VariantName.MODERATION]
    return tuple(file_path(media_id, VariantFile(name, form)) for name in names for form in ImageFormat)


def _signature(secret: SecretStr, media_id: str, file: str, query: SignedQuery) -> str:
    """43 URL-safe characters."""
    text = [_CONTEXT, media_id, file, query.library, query.v, query.purpose, query.expires, query.kid]
    mac = hmac.digest(secret.get_secret_value().encode(), json.dumps(text).encode(), "sha256")
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
