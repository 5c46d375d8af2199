"""Callback URLs for vendors that sign nothing: what calls is known by a token in the query of the URL it was given.

    {callback_url}?media_id=<media id>&token=<hex of HMAC-SHA256 over "<vendor>\\n<media id>", with a webhook secret>

A token is good for one item and one vendor. Whoever reads the URL can speak for that item: it is for https only.
"""

import hmac
from collections.abc import Mapping, Sequence

import httpx
from pydantic import SecretStr

from mediagate.errors import BadSignature
from mediagate.vendors import signatures


def with_token(url: str, secrets: Sequence[SecretStr], *, vendor: str, media_id: str) -> str:
    """The URL to hand out, with a token by the first secret."""
    token = _token(secrets[0], vendor, media_id)
    return str(httpx.URL(url).copy_merge_params({"media_id": media_id, "token": token}))


def verify(query: Mapping[str, str], secrets: Sequence[SecretStr], *, vendor: str) -> str:
    """The item that the called URL was made for, by any of the secrets (more than one during a rotation).

    Raises:
        BadSignature: there is no token, or it is not of this item, this vendor and these secrets.
    """
    media_id, token = query.get("media_id", ""), query.get("token", "")
    if not (media_id and token):
        raise BadSignature("The webhook is not known: its URL needs media_id and token, as we hand it out.")
    given = token.encode(errors="replace")
    expected = [_token(secret, vendor, media_id).encode() for secret in secrets]
    if not any(hmac.compare_digest(one, given) for one in expected):
        raise BadSignature("The webhook's token is wrong.")
    return media_id


def _token(secret: SecretStr, vendor: str, media_id: str) -> str:
    said = f"{vendor}\n{media_id}".encode(errors="replace")
    return hmac.digest(signatures.key(secret), said, "sha256").hex()
