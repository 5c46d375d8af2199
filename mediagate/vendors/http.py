"""Calls to a vendor over HTTP: bounded answers, JSON that can be stored, and failures in the project's error tree."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from mediagate.errors import InvalidRequest, InvalidWebhook, MediagateError, VendorUnavailable
from mediagate.vendors import generic_result

MAX_RETRY_AFTER = 3600.0
"""Seconds: a vendor that asks for more gets asked again after this."""

Reads = Callable[[httpx.Response, Mapping[str, Any]], MediagateError | None]
"""What an answer that is no success means by its headers and body (empty if that is no JSON object), where a vendor's
error format says more than the status; None: what the status says."""

# 401 and 403 are about our key and not about the submission: an operator mends it, and then the same call works.
_TRY_AGAIN = frozenset({401, 403, 408, 425, 429})


async def call(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    missing_ok: bool = False,
    reads: Reads | None = None,
    **request: Any,
) -> dict[str, Any]:
    """The JSON object of a 2xx answer; empty for a 404 that is `missing_ok`. `request`: as for `httpx.request`.

    Raises:
        VendorUnavailable: no answer, none that is understood, too large a one, or a status that may pass (with
            `retry_after` where it was said).
        InvalidRequest: any other 4xx: the same call will never be taken.
    """
    try:
        async with client.stream(method, url, **request) as response:
            if response.status_code == 404 and missing_ok:
                return {}
            if not response.is_success:
                meant = reads(response, _object(await _bounded(response))) if reads else None
                raise meant or refusal(response.status_code, response.reason_phrase, response.headers)
            body = await _bounded(response)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise VendorUnavailable(f"The moderation vendor does not answer: {type(error).__name__} {error}") from error
    try:
        answer = generic_result.read_json(body)
    except InvalidWebhook as error:
        raise VendorUnavailable(f"The moderation vendor's answer is not understood: {error}") from error
    if not isinstance(answer, dict):
        raise VendorUnavailable("The moderation vendor's answer is not a JSON object.")
    return answer


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in the body of a refusal; empty if it is none."""
    try:
        found = generic_result.read_json(body)
    except InvalidWebhook:
        return {}
    return found if isinstance(found, dict) else {}


async def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > generic_result.MAX_BODY:
            raise VendorUnavailable("The moderation vendor's answer is too large.")
    return bytes(body)


def refusal(status: int, phrase: str, headers: Mapping[str, str]) -> MediagateError:
    """What an answer that is no success means; also for vendors that put their status into the body."""
    message = f"The moderation vendor answered {status} {phrase}."
    if 400 <= status < 500 and status not in _TRY_AGAIN:
        return InvalidRequest(message)
    return VendorUnavailable(message, retry_after=retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks for, at most `MAX_RETRY_AFTER`; None if it says nothing usable."""
    return _retry_after(headers.get("Retry-After", ""))


def _retry_after(value: str) -> float | None:
    """Seconds from either form of the header (RFC 9110, 10.2.3); None if it says nothing usable."""
    if value.isascii() and value.isdecimal():
        return min(float(value), MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
