"""Signatures of delivery URLs: HMAC-SHA256 over media id, variant, purpose and expiry.

The purpose is part of what is signed, so that a public URL can never be turned into one for the unmarked moderation
copy. The signed text is a JSON array: no choice of values makes two different requests the same text.
"""

import base64
import hmac
import json
import re
from collections.abc import Sequence
from enum import StrEnum
from urllib.parse import urlencode

from pydantic import SecretStr

from mediagate.errors import BadSignature, Expired

_CONTEXT = "mediagate-delivery-1"
_SECONDS = re.compile(r"[1-9][0-9]{0,11}")


class Purpose(StrEnum):
    """Whom a delivery URL is for."""

    PUBLIC = "public"
    MODERATION = "moderation"
    """Vendors and moderators."""


def sign(secrets: Sequence[SecretStr], *, media_id: str, variant: str, purpose: Purpose, expires_at: int) -> str:
    """The URL-safe signature (43 characters) by the first secret; `expires_at` is in Unix seconds.

    Raises:
        ValueError: there is no secret to sign with.
    """
    if not secrets:
        raise ValueError("Delivery URLs cannot be signed: MEDIAGATE_DELIVERY_SECRETS is empty.")
    return _signature(secrets[0], _canonical(media_id, variant, purpose, expires_at))


def verify(
    secrets: Sequence[SecretStr],
    signature: str,
    *,
    media_id: str,
    variant: str,
    purpose: Purpose,
    expires_at: int,
    now: int,
) -> None:
    """Return if one of the secrets made the signature and `now` (Unix seconds) is before `expires_at`.

    Raises:
        BadSignature: none of them did.
        Expired: the signature is right but its time is over.
    """
    text = _canonical(media_id, variant, purpose, expires_at)
    given = signature.encode("utf-8", "surrogatepass")
    if not any(hmac.compare_digest(_signature(secret, text).encode(), given) for secret in secrets):
        raise BadSignature("The signature of this URL is wrong.")
    if now >= expires_at:
        raise Expired("This URL has expired.")


class DeliverySigner:
    """`sign` and `verify` with the secrets of this deployment, in the words of a URL's query.

    The query is `expires=<Unix seconds>&purpose=<purpose>&signature=<signature>`.
    """

    def __init__(self, secrets: Sequence[SecretStr]) -> None:
        self._secrets = tuple(secrets)

    def query(self, media_id: str, variant: str, *, purpose: Purpose | str, expires_at: int) -> str:
        """The query that makes the URL of a variant readable until `expires_at`.

        Raises:
            ValueError: there is no secret to sign with, or no such purpose.
        """
        meant = Purpose(purpose)
        signature = sign(self._secrets, media_id=media_id, variant=variant, purpose=meant, expires_at=expires_at)
        return urlencode({"expires": expires_at, "purpose": meant.value, "signature": signature})

    def check(self, media_id: str, variant: str, *, expires: str, purpose: str, signature: str, now: int) -> Purpose:
        """The purpose for which the URL was signed; `expires`, `purpose` and `signature` as the query has them.

        Raises:
            BadSignature: this was not signed here.
            Expired: it was, but its time is over.
        """
        if not _SECONDS.fullmatch(expires) or purpose not in [*Purpose]:
            raise BadSignature("The signature of this URL is wrong.")
        meant = Purpose(purpose)
        parts = {"media_id": media_id, "variant": variant}
        verify(self._secrets, signature, **parts, purpose=meant, expires_at=int(expires), now=now)
        return meant


def file_url(base: str, media_id: str, variant: str, query: str = "") -> str:
    """Where the API serves a variant; without a signed query it asks for a key."""
    return f"{base.rstrip('/')}/api/v1/media/{media_id}/files/{variant}" + (f"?{query}" if query else "")


def _canonical(media_id: str, variant: str, purpose: Purpose, expires_at: int) -> bytes:
    return json.dumps([_CONTEXT, media_id, variant, purpose.value, expires_at]).encode()


def _signature(secret: SecretStr, text: bytes) -> str:
    mac = hmac.digest(secret.get_secret_value().encode(), text, "sha256")
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
