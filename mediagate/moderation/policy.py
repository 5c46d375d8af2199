"""From findings to a decision: the threshold policy and the one function that applies it.

A policy is data with a version; the version is stored with every decision, so that it can be explained later.
"""

from collections.abc import Iterable, Sequence

from pydantic import Field

from mediagate.media.values import Value, Verdict
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.moderation.lanes import LanePolicy


class Threshold(Value):
    """What scores of one category lead to; `None` switches a step off. Scores are probabilities 0..1."""

    review_at: float | None = Field(0.5, ge=0, le=1)
    reject_at: float | None = Field(0.85, ge=0, le=1)
    quarantine_at: float | None = Field(None, ge=0, le=1)


_SEVERE = Threshold(review_at=0.2, reject_at=None, quarantine_at=0.5)


class Policy(Value):
    """A library's rules."""

    version: str = "thresholds-1"
    default: Threshold = Threshold()
    categories: dict[str, Threshold] = Field(
        default_factory=lambda: {
            "csam": _SEVERE,
            "sexual_minors": _SEVERE,
            "terrorism": _SEVERE,
            "extremism": _SEVERE,
            "malware": _SEVERE,
        }
    )
    ask: tuple[str, ...] = Field((), description="vendors that are asked; none named: the deployment's own")
    lanes: LanePolicy = LanePolicy()
    after_deadline: Verdict = Field(Verdict.QUARANTINE, description="when no person answered a review in time")

    def threshold(self, category: str) -> Threshold:
        """The thresholds that hold for a category."""
        return self.categories.get(category, self.default)


class Reason(Value):
    """Why a decision was taken: a stable code and a sentence for people."""

    code: str
    detail: str = ""


class Finding(Value):
    """One thing one detector said, as it was weighed."""

    vendor: str
    category: str
    score: float | None = None
    verdict: VendorVerdict | None = None
    event_id: str = ""


class Decision(Value):
    """The outcome of a policy over findings."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    policy_version: str
    findings: tuple[Finding, ...] = ()


def standing(events: Iterable[VendorEvent]) -> list[VendorEvent]:
    """The event of each vendor that counts, in the order of the vendors' names.

    Verdicts are monotone: pending < not final < final, and of two of the same rank the one that happened later
    counts, so reordered and repeated deliveries lead to the same result.
    """
    best: dict[str, VendorEvent] = {}
    for event in sorted(events, key=_rank):
        best[event.vendor] = event
    return [best[vendor] for vendor in sorted(best)]


def _rank(event: VendorEvent) -> tuple[int, str, str]:
    level = 2 if event.settles else int(event.verdict is not VendorVerdict.PENDING)
    return level, event.occurred_at.isoformat(), event.event_id


def decide(policy: Policy, events: Sequence[VendorEvent]) -> Decision:
    """Decide by what the vendors say.

    Most severe first: a severe category quarantines; a vendor's rejection rejects; a high score rejects unless the
    vendor approved (they disagree: a person decides); a middling score or a vendor that is unsure goes to review.
    Nothing final at all goes to review, never to approval.
    """
    standing_events = standing(events)
    settled = [event for event in standing_events if event.settles]
    scores = [(event, name, score) for event in settled for name, score in sorted(event.scores.items())]
    approved = bool(settled) and all(event.verdict is VendorVerdict.APPROVE for event in settled)

    quarantine = [r for _, n, s in scores if (r := _over(n, s, policy.threshold(n).quarantine_at, "quarantine"))]
    reject = [_said(event) for event in settled if event.verdict is VendorVerdict.REJECT]
    high = [r for _, n, s in scores if (r := _over(n, s, policy.threshold(n).reject_at, "reject"))]
    middling = [r for _, n, s in scores if (r := _over(n, s, policy.threshold(n).review_at, "review"))]
    unsure = [_said(event) for event in settled if event.verdict is VendorVerdict.REVIEW]

    if quarantine:
        verdict, reasons = Verdict.QUARANTINE, quarantine
    elif reject:
        verdict, reasons = Verdict.REJECT, [*high, *reject]
    elif high and not approved:
        verdict, reasons = Verdict.REJECT, high
    elif high:
        verdict = Verdict.REVIEW
        reasons = [Reason(code="disagreement", detail="The vendor approved what the policy's scores reject."), *high]
    elif middling or unsure:
        verdict, reasons = Verdict.REVIEW, [*middling, *unsure]
    elif settled:
        verdict, reasons = Verdict.APPROVE, [Reason(code="clean", detail="No score reached a threshold.")]
    else:
        verdict, reasons = Verdict.REVIEW, [Reason(code="vendor_silent", detail="No vendor gave a final answer.")]
    return Decision(
        verdict=verdict, reasons=tuple(reasons), policy_version=policy.version, findings=_findings(standing_events)
    )


def _over(category: str, score: float, bound: float | None, step: str) -> Reason | None:
    if bound is None or score < bound:
        return None
    return Reason(code=f"{step}:{category}", detail=f"{category} {score:.2f} is at or over {bound:.2f}.")


def _said(event: VendorEvent) -> Reason:
    labels = f" ({', '.join(event.labels)})" if event.labels else ""
    return Reason(code=f"vendor:{event.verdict.value}", detail=f"{event.vendor} says {event.verdict.value}{labels}.")


def _findings(events: Iterable[VendorEvent]) -> tuple[Finding, ...]:
    return tuple(
        finding
        for event in events
        for finding in (
            Finding(vendor=event.vendor, category="verdict", verdict=event.verdict, event_id=event.event_id),
            *(
                Finding(vendor=event.vendor, category=name, score=score, event_id=event.event_id)
                for name, score in sorted(event.scores.items())
            ),
        )
    )
