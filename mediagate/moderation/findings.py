"""What detectors say: the events of vendors, in the one shape that every vendor's answer is brought into."""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from mediagate.media.values import Value, Verdict
from mediagate.moderation.thresholds import Threshold

LOCAL_VENDOR = "onnx"
"""The name under which the local classifier (`mediagate.classifier`) speaks."""

TEXT_DETECTOR = "text"
"""The name under which the rules for captions, titles and links (`mediagate.text`) speak."""

HASH_BANKS = "banks"
"""The name under which hash banks speak."""

DETECTORS = frozenset({LOCAL_VENDOR, TEXT_DETECTOR, HASH_BANKS})
"""Who speaks from inside the gate: heard with every upload, waited for by nobody, and no name for a vendor."""

RULE_DETECTORS = frozenset({TEXT_DETECTOR, HASH_BANKS})
"""Those that apply lists and rules. What they find is no opinion: vendors, who look at other things, do not outvote it,
and that they find nothing is no approval."""

VERDICT = "verdict"
"""The category of the finding that is a vendor's verdict."""


class VendorVerdict(StrEnum):
    """What a vendor thinks of a picture. `pending` says only that it is being worked on."""

    PENDING = "pending"
    APPROVE = "approve"
    REVIEW = "review"
    REJECT = "reject"
    SCORED = "scored"
    """It has no verdict of its own: what its scores lead to is the policy's to say."""


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


class Finding(Value):
    """One thing one detector said, as it was weighed."""

    vendor: str
    category: str
    score: float | None = None
    verdict: VendorVerdict | None = None
    event_id: str = ""
    settled: bool = Field(True, description="false: not the vendor's last word, and not weighed")
    labels: tuple[str, ...] = Field((), description="of the verdict: what the vendor calls what it sees")
    action: Verdict | None = Field(None, description="of the verdict: what a rule of the gate's own demands")
    calibrated: float | None = Field(None, description="the probability that the score stands for")
    weight: float | None = Field(None, description="reliability of the vendor; 1: nothing learnt yet")
    contribution: float | None = Field(None, description="to the log-odds of `fused`, beyond those of the prior")
    fused: float | None = Field(None, description="probability of the category, everybody's findings taken together")
    bounds: Threshold | None = Field(None, description="the thresholds that held for `fused`")

    @property
    def probability(self) -> float | None:
        """Calibrated, if it was; decisions from before there was calibration have the score."""
        return self.score if self.calibrated is None else self.calibrated


def standing(events: Iterable[VendorEvent]) -> list[VendorEvent]:
    """The event of each vendor that counts, in the order of the vendors' names.

    Verdicts are monotone: pending < not final < final, and of two of the same rank the one that happened later
    counts, so reordered and repeated deliveries lead to the same result.
    """
    best: dict[str, VendorEvent] = {}
    for event in sorted(events, key=_rank):
        best[event.vendor] = event
    return [best[vendor] for vendor in sorted(best)]


def _rank(event: VendorEvent) -> tuple[int, datetime, str, str]:
    level = 2 if event.settles else int(event.verdict is not VendorVerdict.PENDING)
    at = event.occurred_at if event.occurred_at.tzinfo else event.occurred_at.replace(tzinfo=UTC)
    # Two events under one id are the sender's mistake; also then the order of delivery must not matter.
    content = repr((event.verdict.value, sorted(event.scores.items()), event.labels, event.action))
    return level, at, event.event_id, content
