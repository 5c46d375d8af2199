"""The generic vendor: anybody who takes submissions over HTTP and answers with the documented result.

POST {url}/v1/submissions             the `Submission` as JSON → {"reference"?, "events"?: [result, …]}
GET  {url}/v1/submissions/{media_id}  → {"status": "pending" | "done", "events": [result, …]}, 404 if unknown
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
from pydantic import SecretStr

from mediagate.errors import InvalidWebhook, VendorUnavailable
from mediagate.media.values import MIB
from mediagate.moderation.findings import VendorEvent
from mediagate.vendors import generic_result, http, signatures
from mediagate.vendors.interface import Answers, Capabilities, ReadCopy, Submission, SubmissionReceipt

_CAPABILITIES = Capabilities(answers=Answers.LATER, texts=True, polls=True, max_bytes=8 * MIB)


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
        capabilities: Capabilities = _CAPABILITIES,
    ) -> None:
        self._name = name
        self._capabilities = capabilities
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

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def submit(self, submission: Submission, read: ReadCopy) -> SubmissionReceipt:  # noqa: ARG002  # it fetches
        answer = await http.call(
            self._client,
            "POST",
            f"{self._url}/v1/submissions",
            content=submission.model_dump_json(),
            headers={
                **self._authorization,
                "Content-Type": "application/json",
                "Idempotency-Key": submission.media_id,
            },
        )
        reference = answer.get("reference")
        return SubmissionReceipt(
            reference=reference if isinstance(reference, str) and reference else submission.media_id,
            events=tuple(self._events(answer, submission.media_id)),
        )

    async def poll(self, media_id: str, *, reference: str = "") -> list[VendorEvent]:  # noqa: ARG002  # by media id
        url = f"{self._url}/v1/submissions/{media_id}"
        answer = await http.call(self._client, "GET", url, missing_ok=True, headers=self._authorization)
        return self._events(answer, media_id) if answer.get("status") != "pending" else []

    def parse_callback(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        now: datetime,
        query: Mapping[str, str],  # noqa: ARG002
    ) -> list[VendorEvent]:
        envelope = signatures.verify(self._secrets, headers, body, now=now)
        return generic_result.parse_body(
            body, vendor=self._name, webhook_id=envelope.webhook_id, sent_at=envelope.sent_at
        )

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
