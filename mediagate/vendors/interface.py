"""What a moderation vendor is to the rest of the house."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import Field

from mediagate.media.values import MIB, Value
from mediagate.moderation.findings import VendorEvent

ReadCopy = Callable[[int], Awaitable[bytes]]
"""Reads a moderation copy, a JPEG of at most 1 MiB, by its place: 0 is `media_url`, n the n-th of `frame_urls`."""


class Answers(StrEnum):
    """When a vendor's result comes."""

    AT_ONCE = "at_once"
    """With the receipt of the submission."""
    LATER = "later"
    """By webhook; polled for when that is overdue."""


class Capabilities(Value):
    """What a vendor takes, says and costs; from its documentation, which the module of its wire format cites."""

    answers: Answers
    model_version: str = Field("", description="part of the key under which its results are cached")
    content_types: tuple[str, ...] = ("image/jpeg",)
    max_bytes: int = Field(8 * MIB, description="largest picture it takes")
    texts: bool = Field(False, description="looks at captions as well")
    polls: bool = Field(False, description="can be asked for a result again")
    batch: int = Field(1, ge=1, description="pictures per call, at most; an animation's frames go together")
    calls_per_second: float | None = Field(None, description="documented rate limit; None: not documented")
    cost_micros: int = Field(0, ge=0, description="list price of one picture in millionths of a US dollar")
    categories: tuple[str, ...] = Field((), description="of `mediagate.moderation.categories`, that it can find")


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
    calls: int = Field(1, description="billed units: pictures (or frames) that were looked at")


class ModerationVendor(Protocol):
    """Looks at media and says what it finds; the answer comes with the receipt, or by webhook, or is polled for."""

    @property
    def name(self) -> str:
        """The name in webhook URLs, findings and the inbox; several vendors may share a wire format."""

    @property
    def capabilities(self) -> Capabilities:
        """What it takes, says and costs."""

    async def submit(self, submission: Submission, read: ReadCopy) -> SubmissionReceipt:
        """Hand over a media item, by its URLs or by its bytes; doing so twice has the effect of once.

        Raises:
            VendorUnavailable: no usable answer, overloaded, or we are refused; with `retry_after` where it was said.
            InvalidRequest: the vendor will never take this submission.
        """

    async def poll(self, media_id: str, *, reference: str = "") -> list[VendorEvent]:
        """Results so far; empty while there are none or when the vendor does not know the item.

        Polling again gives the same `event_id` for the same result. A vendor that answers at once has none.

        Raises:
            VendorUnavailable: as for `submit`; also when the answer cannot be understood.
        """

    def parse_callback(
        self, headers: Mapping[str, str], body: bytes, *, now: datetime, query: Mapping[str, str]
    ) -> list[VendorEvent]:
        """The events in a webhook, in its order; who sent it is checked over the raw bytes before anything is read.

        `query`: of the URL that was called, for vendors whose webhooks are known by what our callback URL carries.

        Raises:
            BadSignature: unsigned, forged, or signed too long ago (or too far ahead) of `now`; also for a vendor that
                sends none.
            InvalidWebhook: rightly signed but malformed; the message names the field.
        """
