"""Signatures of incoming webhooks: Standard Webhooks 1.0, symmetric (https://www.standardwebhooks.com).

`v1` is base64 of HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<raw body>`. The reference library's
`Webhook.verify` is not used for this side: it reads the clock itself, takes only UTF-8 bodies, and raises all kinds of
errors on malformed headers. The tests hold this module to what that library signs.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from mediagate.errors import BadSignature
from mediagate.media.values import Value

TOLERANCE = timedelta(minutes=5)
"""How old, or how far ahead, a webhook may be."""

MAX_ID = 255
MAX_SIGNATURES = 20


class Envelope(Value):
    """What the headers of a rightly signed webhook say."""

    webhook_id: str
    sent_at: datetime


def verify(secrets: Sequence[SecretStr], headers: Mapping[str, str], body: bytes, *, now: datetime) -> Envelope:
    """Check a webhook against every secret (more than one during a rotation).

    Raises:
        BadSignature: a header is missing or malformed, the time is outside the tolerance, or no signature fits.
        ValueError: a secret is not `whsec_` and base64: a mistake in the settings.
    """
    given = {name.lower(): value for name, value in headers.items()}
    webhook_id, timestamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not (webhook_id and timestamp and given.get("webhook-signature")):
        raise BadSignature("The webhook is not signed: webhook-id, webhook-timestamp and webhook-signature are needed.")
    # One spelling each: what is signed is exactly what is checked and stored.
    if len(webhook_id) > MAX_ID or not (webhook_id.isascii() and webhook_id.isprintable()):
        raise BadSignature(f"The header webhook-id is not 1 to {MAX_ID} printable ASCII characters.")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 11):
        raise BadSignature("The header webhook-timestamp is not in Unix seconds.")
    sent_at = datetime.fromtimestamp(int(timestamp), UTC)
    if abs(now - sent_at) > TOLERANCE:
        raise BadSignature("The webhook was signed too long ago, or too far ahead of our clock.")
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    signatures = list(_signatures(given["webhook-signature"]))
    expected = [hmac.digest(key(secret), signed, "sha256") for secret in secrets]
    if not any(hmac.compare_digest(one, other) for one in expected for other in signatures):
        raise BadSignature("The webhook's signature is wrong.")
    return Envelope(webhook_id=webhook_id, sent_at=sent_at)


def _signatures(header: str) -> Iterable[bytes]:
    """The `v1` signatures of a header `v1,<base64> v1,<base64> v1a,…`; others and malformed ones are passed over."""
    for part in header.split()[:MAX_SIGNATURES]:
        version, _, encoded = part.partition(",")
        if version == "v1":
            try:
                yield base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                continue


def key(secret: SecretStr) -> bytes:
    """The bytes of a `whsec_…` secret.

    Raises:
        ValueError: it is not base64, or empty.
    """
    encoded = secret.get_secret_value().removeprefix("whsec_")
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("A webhook secret is `whsec_` and base64.") from None
    if not decoded:
        raise ValueError("A webhook secret is empty.")
    return decoded
