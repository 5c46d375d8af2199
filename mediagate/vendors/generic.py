"""The generic vendor: anybody who takes submissions over HTTP and answers with the documented result.

POST {url}/v1/submissions             the `Submission` as JSON → {"reference"?, "events"?: [result, …]}
GET  {url}/v1/submissions/{media_id}  → {"status": "pending" | "done", "events": [result, …]}, 404 if unknown
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from pydantic import SecretStr

from mediagate.errors import InvalidRequest, InvalidWebhook, MediagateError, VendorUnavailable
from mediagate.moderation.findings import VendorEvent
from mediagate.vendors import generic_result, signatures
from mediagate.vendors.interface import Submission, SubmissionReceipt

MAX_RETRY_AFTER = 3600.0
"""Seconds: a vendor that asks for more gets asked again after this."""

# 401 and 403 are about our key and not about the submission: an operator mends it, and then the same call works.
_TRY_AGAIN = frozenset({401, 403, 408, 425, 429})


class GenericVendor:
    """`ModerationVendor` over HTTP. The client is the caller's: its time-outs, its proxies, its `aclose`.

    Raises:
        ValueError: a webhook secret is not `whsec_` and base64.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        api_key: SecretStr,
        webhook_secrets: Sequence[SecretStr],
        client: httpx.AsyncClient,
    ) -> None:
        self._name = name
        self._url = url.rstrip("/")
        token = api_key.get_secret_value()
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}
        self._secrets = tuple(webhook_secrets)
        for secret in self._secrets:  # a mistake in the settings shows at the start and not with the first webhook
            signatures.key(secret)
        self._client = client

    @property
    def name(self) -> str:
        return self._name

    async def submit(self, submission: Submission) -> SubmissionReceipt:
        answer = await self._call(
            "POST",
            "/v1/submissions",
            content=submission.model_dump_json(),
            headers={"Content-Type": "application/json", "Idempotency-Key": submission.media_id},
        )
        reference = answer.get("reference")
        return SubmissionReceipt(
            reference=reference if isinstance(reference, str) and reference else submission.media_id,
            events=tuple(self._events(answer, submission.media_id)),
        )

    async def poll(self, media_id: str, *, reference: str = "") -> list[VendorEvent]:  # noqa: ARG002  # by media id
        answer = await self._call("GET", f"/v1/submissions/{media_id}", missing_ok=True)
        return self._events(answer, media_id) if answer.get("status") != "pending" else []

    def parse_callback(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> list[VendorEvent]:
        envelope = signatures.verify(self._secrets, headers, body, now=now)
        return generic_result.parse_body(
            body, vendor=self._name, webhook_id=envelope.webhook_id, sent_at=envelope.sent_at
        )

    async def _call(
        self,
        method: str,
        path: str,
        *,
        missing_ok: bool = False,
        content: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The JSON object of a 2xx answer; empty for a 404 that is `missing_ok`."""
        sent = {**self._authorization, **(headers or {})}
        try:
            async with self._client.stream(method, self._url + path, content=content, headers=sent) as response:
                if response.status_code == 404 and missing_ok:
                    return {}
                if not response.is_success:
                    raise _refusal(response)
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

    def _events(self, answer: Mapping[str, Any], media_id: str) -> list[VendorEvent]:
        """The results in an answer; those of another item would be somebody else's verdict and are no answer at all."""
        found = answer.get("events", [])
        if not isinstance(found, list) or len(found) > generic_result.MAX_EVENTS:
            raise VendorUnavailable("The moderation vendor's answer has no usable list of events.")
        try:
            events = [self._event(raw, media_id) for raw in found]
        except InvalidWebhook as error:
            raise VendorUnavailable(f"The moderation vendor's answer is not understood: {error}") from error
        if any(event.media_id != media_id for event in events):
            raise VendorUnavailable(f"The moderation vendor answered for another item than {media_id}.")
        return events

    def _event(self, raw: object, media_id: str) -> VendorEvent:
        # The item was named in the request. Without an id of its own, a result is known by its content.
        named = {"media_id": media_id, **raw} if isinstance(raw, dict) and "workflow_id" not in raw else raw
        digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()
        return generic_result.event(
            named, vendor=self._name, default_id=f"{media_id}:{digest[:32]}", default_time=datetime.now(UTC)
        )


async def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > generic_result.MAX_BODY:
            raise VendorUnavailable("The moderation vendor's answer is too large.")
    return bytes(body)


def _refusal(response: httpx.Response) -> MediagateError:
    message = f"The moderation vendor answered {response.status_code} {response.reason_phrase}."
    if 400 <= response.status_code < 500 and response.status_code not in _TRY_AGAIN:
        return InvalidRequest(message)
    return VendorUnavailable(message, retry_after=_retry_after(response.headers.get("Retry-After", "")))


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
