"""Which verdict follows from weighed evidence: what the gate's own lists demand, severe categories, thresholds."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mediagate.media.values import Value, Verdict
from mediagate.moderation.categories import SEVERE
from mediagate.moderation.findings import DETECTORS, VendorEvent, VendorVerdict
from mediagate.moderation.fusion import Evidence, Fused, Fusion, Opinion
from mediagate.moderation.remoderation import stricter
from mediagate.moderation.thresholds import Threshold

LONGEST_DETAIL = 300
"""Characters of a sentence that a detector gives with what it demands."""

Bounds = Callable[[str], Threshold]
"""The thresholds of each category."""


class Reason(Value):
    """Why a decision was taken: a stable code and a sentence for people."""

    code: str
    detail: str = ""


class Outcome(NamedTuple):
    """A verdict and why."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    rule: str = ""


def demands(evidence: Evidence, verdict: Verdict) -> tuple[Reason, ...]:
    """Reasons of the gate's own detectors that demand this verdict; nobody else may demand anything."""
    return tuple(_demand(event) for event in evidence.settled if event.action is verdict and event.vendor in DETECTORS)


def _demand(event: VendorEvent) -> Reason:
    action = event.action.value if event.action else ""
    code = event.labels[0] if event.labels else f"{event.vendor}:{action}"
    detail = event.raw.get("detail")
    told = isinstance(detail, str) and 0 < len(detail) <= LONGEST_DETAIL
    return Reason(code=code, detail=str(detail) if told else f"{event.vendor} demands {action}.")


def floor(evidence: Evidence, bounds_of: Bounds, fusion: Fusion) -> Outcome | None:
    """The strictest of what lists demand, and of what severe categories lead to by anybody's score."""
    review = [*demands(evidence, Verdict.REVIEW)]
    quarantine = [*demands(evidence, Verdict.QUARANTINE)]
    for name, fused in evidence.fused.items():
        bounds = bounds_of(name)
        over = [o for o in fused.opinions if bounds.quarantine_at is not None and o.probability >= bounds.quarantine_at]
        if any(o.by_rule or o.weight.value >= fusion.credible for o in over):
            worst = max(o.probability for o in over)
            quarantine += _over(name, worst, bounds.quarantine_at, Verdict.QUARANTINE)
        elif over:
            who = ", ".join(f"{o.vendor} ({o.probability:.2f}, weight {o.weight.value:.2f})" for o in over)
            review.append(Reason(code=f"review:{name}", detail=f"Only vendors that often err say {name}: {who}."))
        elif name in SEVERE:
            review += _over(name, fused.value, bounds.review_at, Verdict.REVIEW)
    for verdict, reasons in (
        (Verdict.QUARANTINE, quarantine),
        (Verdict.REJECT, demands(evidence, Verdict.REJECT)),
        (Verdict.REVIEW, review),
    ):
        if reasons:
            return Outcome(verdict, tuple(reasons))
    return None


def at_least(outcome: Outcome, least: Outcome | None) -> Outcome:
    """The stricter one; the reasons of both, if they agree."""
    if least is None or stricter(outcome.verdict, least.verdict):
        return outcome
    if stricter(least.verdict, outcome.verdict):
        return least
    codes = {reason.code for reason in least.reasons}
    return least._replace(reasons=(*least.reasons, *(r for r in outcome.reasons if r.code not in codes)))


def by_thresholds(evidence: Evidence, bounds_of: Bounds, fusion: Fusion) -> Outcome:
    """By the vendors' verdicts, and by the fused scores where nobody credible contradicts them."""
    words = evidence.judgements
    trusted = {e.vendor for e in words if evidence.words[e.vendor].value >= fusion.credible}
    rejecting = [e for e in words if e.verdict is VendorVerdict.REJECT and e.vendor in trusted]
    approving = [e for e in words if e.verdict is VendorVerdict.APPROVE and e.vendor in trusted]
    content = (VendorVerdict.APPROVE, VendorVerdict.SCORED)
    unsure = [_said(e) for e in words if e.verdict not in content and e not in rejecting]
    unanimous = bool(words) and all(event.verdict is VendorVerdict.APPROVE for event in words)

    high: list[Reason] = []
    middling: list[Reason] = []
    disputed: list[Reason] = []
    stands = False
    for name, fused in evidence.fused.items():
        bounds = bounds_of(name)
        middling += _over(name, fused.value, bounds.review_at, Verdict.REVIEW)
        above = _over(name, fused.value, bounds.reject_at, Verdict.REJECT)
        high += above
        disputed += (dispute := _dispute(fused, bounds, fusion))
        by_rule = bounds.reject_at is not None and fused.by_rule >= bounds.reject_at
        stands = stands or by_rule or bool(above and not dispute and not unanimous)

    if rejecting and not (approving and fusion.contradiction is Verdict.REVIEW):
        return Outcome(Verdict.REJECT, (*high, *map(_said, rejecting)))
    if rejecting:
        return Outcome(Verdict.REVIEW, (_contradiction([*rejecting, *approving]), *high))
    if stands:
        return Outcome(Verdict.REJECT, tuple(high))
    if high:
        told = "The vendor approved what the policy's scores reject."
        return Outcome(Verdict.REVIEW, (*(disputed or [Reason(code="disagreement", detail=told)]), *high))
    if disputed or middling or unsure:
        return Outcome(Verdict.REVIEW, (*disputed, *middling, *unsure))
    return Outcome(Verdict.APPROVE, (Reason(code="clean", detail="No score reached a threshold."),))


def _dispute(fused: Fused, bounds: Threshold, fusion: Fusion) -> list[Reason]:
    """Credible vendors that are far on the other side of a threshold than everybody's scores taken together.

    Measured from the threshold, not from the other vendors' scores: so no score that rises turns a rejection into a
    dispute.
    """
    voices = [o for o in fused.opinions if not o.by_rule and o.weight.value >= fusion.credible]
    review, reject = bounds.review_at, bounds.reject_at
    if reject is not None and fused.value >= reject:
        dissent = [o for o in voices if o.probability < round(reject - fusion.disagreement, 9)]
    elif review is None or fused.value < review:
        limits = [] if review is None else [round(review + fusion.disagreement, 9)]
        limits += [] if reject is None else [reject]
        dissent = [o for o in voices if limits and o.probability >= min(limits)]
    else:
        return []
    return [_disagreement(fused, dissent)] if dissent else []


def _disagreement(fused: Fused, dissent: Sequence[Opinion]) -> Reason:
    said = ", ".join(f"{o.vendor} {o.probability:.2f}" for o in fused.opinions)
    who = " and ".join(o.vendor for o in dissent)
    return Reason(code="disagreement", detail=f"{who} differs on {fused.category}: {said}; together {fused.value:.2f}.")


def _contradiction(events: Sequence[VendorEvent]) -> Reason:
    return Reason(code="disagreement", detail=", ".join(f"{e.vendor} says {e.verdict.value}" for e in events) + ".")


def _over(category: str, score: float, bound: float | None, step: Verdict) -> list[Reason]:
    if bound is None or score < bound:
        return []
    return [Reason(code=f"{step.value}:{category}", detail=f"{category} {score:.2f} is at or over {bound:.2f}.")]


def _said(event: VendorEvent) -> Reason:
    labels = f" ({', '.join(event.labels)})" if event.labels else ""
    return Reason(code=f"vendor:{event.verdict.value}", detail=f"{event.vendor} says {event.verdict.value}{labels}.")
