"""A moderation vendor in memory: the shipped twin of `GenericVendor`, told what to say."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr
from standardwebhooks import Webhook

from mediagate.errors import MediagateError
from mediagate.moderation.findings import VendorEvent
from mediagate.vendors import generic_result, signatures
from mediagate.vendors.interface import Answers, Capabilities, ReadCopy, Submission, SubmissionReceipt


class MemoryVendor:
    """`ModerationVendor` whose results are set by `answer` and whose webhooks are made by `callback`.

    `trouble`, while set, is raised by `submit` and `poll`.
    """

    def __init__(self, *, name: str = "memory", secret: SecretStr) -> None:
        self.submissions: dict[str, Submission] = {}
        self.trouble: MediagateError | None = None
        self._name = name
        self._secret = secret
        self._results: dict[str, list[dict[str, Any]]] = {}

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(answers=Answers.LATER, texts=True, polls=True)

    async def submit(self, submission: Submission, read: ReadCopy) -> SubmissionReceipt:  # noqa: ARG002
        self._check_up()
        self.submissions.setdefault(submission.media_id, submission)
        return SubmissionReceipt(reference=submission.media_id)

    async def poll(self, media_id: str, *, reference: str = "") -> list[VendorEvent]:  # noqa: ARG002  # by media id
        self._check_up()
        return [
            generic_result.event(
                raw,
                vendor=self._name,
                default_id=raw["event_id"],
                default_time=datetime.fromisoformat(raw["occurred_at"]),
            )
            for raw in self._results.get(media_id, [])
        ]

    def parse_callback(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        now: datetime,
        query: Mapping[str, str],  # noqa: ARG002
    ) -> list[VendorEvent]:
        envelope = signatures.verify([self._secret], headers, body, now=now)
        return generic_result.parse_body(
            body, vendor=self._name, webhook_id=envelope.webhook_id, sent_at=envelope.sent_at
        )

    def answer(self, media_id: str, results: Sequence[Mapping[str, Any]], *, now: datetime) -> None:
        """Have these results for an item from now on; `media_id`, `event_id` and `occurred_at` are filled in."""
        self._results[media_id] = [
            {"media_id": media_id, "event_id": f"{media_id}:{index}", "occurred_at": now.isoformat(), **result}
            for index, result in enumerate(results)
        ]

    def callback(self, media_id: str, *, webhook_id: str, now: datetime) -> tuple[dict[str, str], bytes]:
        """Headers and body of the signed webhook that carries the results of an item."""
        body = json.dumps({"events": self._results[media_id]}).encode()
        moment = now.astimezone(UTC)  # the library takes whatever it gets for UTC
        signature = Webhook(self._secret.get_secret_value()).sign(webhook_id, moment, body.decode())
        headers = {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": signature,
        }
        return headers, body

    def _check_up(self) -> None:
        if self.trouble:
            raise self.trouble
