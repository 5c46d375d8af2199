"""What a moderation vendor is to the rest of the house."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from pydantic import Field

from mediagate.media.values import Value
from mediagate.moderation.findings import VendorEvent


class Submission(Value):
    """One media item handed to a vendor."""

    media_id: str = Field(description="also the idempotency key: the same one twice is one submission")
    workflow_id: str
    tracking_id: str = ""
    media_url: str = Field(description="signed, expiring URL of the unmarked moderation copy (a JPEG)")
    frame_urls: tuple[str, ...] = Field((), description="the same of further frames of an animation, in their order")
    callback_url: str = Field(description="where the vendor sends its webhooks")
    caption: str = ""
    sha256: str = Field("", description="of the moderation copy")
    content_type: str = Field("", description="of the moderation copy")


class SubmissionReceipt(Value):
    """What the vendor says on taking a submission."""

    reference: str = Field(description="the vendor's own id of it")
    events: tuple[VendorEvent, ...] = Field((), description="results that came at once")


class ModerationVendor(Protocol):
    """Looks at media and says what it finds; the answer comes by webhook, and can be polled for when that is lost."""

    @property
    def name(self) -> str:
        """The name in webhook URLs, findings and the inbox."""

    async def submit(self, submission: Submission) -> SubmissionReceipt:
        """Hand over a media item; doing so twice has the effect of once.

        Raises:
            VendorUnavailable: no usable answer, overloaded, or we are refused; with `retry_after` where it was said.
            InvalidRequest: the vendor will never take this submission.
        """

    async def poll(self, media_id: str, *, reference: str = "") -> list[VendorEvent]:
        """Results so far; empty while there are none or when the vendor does not know the item.

        Polling again gives the same `event_id` for the same result.

        Raises:
            VendorUnavailable: as for `submit`; also when the answer cannot be understood.
        """

    def parse_callback(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> list[VendorEvent]:
        """The events in a webhook, in its order; the signature over the raw bytes is checked before anything is read.

        Raises:
            BadSignature: unsigned, forged, or signed too long ago (or too far ahead) of `now`.
            InvalidWebhook: rightly signed but malformed; the message names the field.
        """
