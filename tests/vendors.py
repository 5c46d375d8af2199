"""Vendors as tests need them: twins that answer at once, or that know items by references of their own."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.settings import VendorKind, VendorSettings
from mediagate.vendors.interface import Answers, Capabilities, ReadCopy, Submission, SubmissionReceipt
from mediagate.vendors.memory import MemoryVendor
from tests.world import SECRET


class CountedVendor(MemoryVendor):
    """A vendor of its own for one test, so that no other one meets its breaker; it answers by webhook."""

    def __init__(self, **capabilities: Any) -> None:
        super().__init__(name=f"v{uuid4().hex[:12]}", secret=SECRET)
        self.calls = 0
        self.polls: list[str] = []
        self.can = {"answers": Answers.LATER, "polls": True, **capabilities}

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities.model_validate(self.can)

    async def submit(self, submission: Submission, read: ReadCopy) -> SubmissionReceipt:
        self.calls += 1
        return await super().submit(submission, read)

    async def poll(self, media_id: str, *, reference: str = "") -> list[VendorEvent]:
        self.polls.append(reference)
        return await super().poll(media_id, reference=reference)


class AtOnceTwin(CountedVendor):
    """Gives its final word with the receipt; `says` are fields of the event."""

    def __init__(self, **capabilities: Any) -> None:
        super().__init__(answers=Answers.AT_ONCE, polls=False, model_version="m-1", cost_micros=1500, **capabilities)
        self.says: dict[str, Any] = {}

    async def submit(self, submission: Submission, read: ReadCopy) -> SubmissionReceipt:
        receipt = await super().submit(submission, read)
        event = VendorEvent.model_validate(
            {
                "event_id": f"{submission.media_id}:{self.calls}",
                "vendor": self.name,
                "media_id": submission.media_id,
                "occurred_at": datetime.now().astimezone(),
                "verdict": VendorVerdict.APPROVE,
                **self.says,
            }
        )
        return receipt.model_copy(update={"events": (event,)})


class ReferringTwin(CountedVendor):
    """Knows items by ids of its own; its webhooks name them by these only."""

    def __init__(self, **capabilities: Any) -> None:
        super().__init__(**capabilities)
        self.references: dict[str, str] = {}

    async def submit(self, submission: Submission, read: ReadCopy) -> SubmissionReceipt:
        await super().submit(submission, read)
        return SubmissionReceipt(reference=self.references.setdefault(submission.media_id, f"task-{uuid4().hex}"))

    def parse_callback(
        self, headers: Mapping[str, str], body: bytes, *, now: datetime, query: Mapping[str, str]
    ) -> list[VendorEvent]:
        """The events of the generic form; `media_id` there is read, and forgotten, where `reference` is given."""
        events = super().parse_callback(headers, body, now=now, query=query)
        return [
            event.model_copy(update={"media_id": "", "workflow_id": "", "reference": event.raw["reference"]})
            for event in events
        ]


def settings_of(vendor: MemoryVendor, **changes: Any) -> dict[str, dict[str, VendorSettings]]:
    """Settings with this vendor among `vendors`."""
    return {"vendors": {vendor.name: VendorSettings(kind=VendorKind.GENERIC, **changes)}}
