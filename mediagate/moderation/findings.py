"""What detectors say: the events of vendors, in the one shape that every vendor's answer is brought into."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from mediagate.media.values import Value

LOCAL_VENDOR = "onnx"
"""The name under which the local classifier (`mediagate.classifier`) speaks; nobody outside can have it."""


class VendorVerdict(StrEnum):
    """What a vendor thinks of a picture. `pending` says only that it is being worked on."""

    PENDING = "pending"
    APPROVE = "approve"
    REVIEW = "review"
    REJECT = "reject"


class VendorEvent(Value):
    """One result of one vendor for one media item.

    Travels inside signals, so every field has a default: a payload that did not fit would be dropped by the SDK with no
    more than a log line. What arrives from outside is checked strictly by the vendor's `parse_callback` before.
    """

    event_id: str = ""
    vendor: str = ""
    media_id: str = ""
    workflow_id: str = ""
    occurred_at: datetime = datetime.fromtimestamp(0, UTC)
    verdict: VendorVerdict = VendorVerdict.PENDING
    scores: dict[str, float] = Field(default_factory=dict, description="probability 0..1 by category")
    labels: tuple[str, ...] = ()
    final: bool = True
    raw: dict[str, Any] = Field(default_factory=dict, description="what the vendor sent, as parsed JSON")

    @property
    def settles(self) -> bool:
        """True if no further word of this vendor is waited for."""
        return self.final and self.verdict is not VendorVerdict.PENDING
