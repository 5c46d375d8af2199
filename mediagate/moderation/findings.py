"""What detectors say: the events of vendors, in the one shape that every vendor's answer is brought into."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from mediagate.media.values import Value, Verdict

LOCAL_VENDOR = "onnx"
"""The name under which the local classifier (`mediagate.classifier`) speaks."""

TEXT_DETECTOR = "text"
"""The name under which the rules for captions, titles and links (`mediagate.text`) speak."""

HASH_BANKS = "banks"
"""The name under which hash banks speak."""

DETECTORS = frozenset({LOCAL_VENDOR, TEXT_DETECTOR, HASH_BANKS})
"""Who speaks from inside the gate: heard with every upload, waited for by nobody, and no name for a vendor."""


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
    action: Verdict | None = Field(
        None, description="what a rule of the gate's own demands (a hash bank, a blocklist); never from outside"
    )
    reference: str = Field(
        "", description="the vendor's own id of the submission; names the item where media_id does not"
    )
    model_version: str = Field("", description="of the model that said it, where the vendor tells")
    raw: dict[str, Any] = Field(default_factory=dict, description="what the vendor sent, as parsed JSON")

    @property
    def overrides(self) -> bool:
        """True if nobody else need be asked: the gate's own rules demand a verdict that ends the upload."""
        return self.action is not None and self.action is not Verdict.REVIEW

    @property
    def settles(self) -> bool:
        """True if no further word of this vendor is waited for."""
        return self.final and self.verdict is not VendorVerdict.PENDING
