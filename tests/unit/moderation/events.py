"""Events as vendors and detectors send them, for the tests beside this module."""

from datetime import UTC, datetime, timedelta
from typing import Any

from mediagate.media.values import Verdict
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.moderation.reliability import Outcome, Reliability

START = datetime(2026, 1, 1, tzinfo=UTC)


def said(vendor: str = "a", verdict: str = "approve", *, minute: int = 0, **scores: float) -> VendorEvent:
    """A vendor's final word."""
    return VendorEvent(
        event_id=f"{vendor}-{minute}",
        vendor=vendor,
        verdict=VendorVerdict(verdict),
        scores=scores,
        occurred_at=START + timedelta(minutes=minute),
    )


def demanded(action: Verdict, label: str = "bank:known", *, vendor: str = "banks", **fields: Any) -> VendorEvent:
    """What a detector of the gate's own demands."""
    words = {Verdict.APPROVE: "approve", Verdict.REVIEW: "review"}
    event = said(vendor, words.get(action, "reject"))
    return event.model_copy(update={"action": action, "labels": (label,), **fields})


def known(vendor: str, category: str, *, right: int, wrong: int) -> Reliability:
    """What people's verdicts taught of one vendor."""
    return Reliability(counts={vendor: {category: Outcome(tp=right, fp=wrong)}})
