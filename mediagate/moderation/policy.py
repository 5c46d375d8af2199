"""From findings to a decision: a library's policy and the one function that applies it.

A policy is data with a version; the version is stored with every decision, so that it can be explained later. How one
is written down is in `mediagate.moderation.documents`, what a decision tells in `mediagate.moderation.explain`.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field, field_validator

from mediagate.media.values import Value, Verdict
from mediagate.moderation.calibration import Curve
from mediagate.moderation.findings import RULE_DETECTORS, VERDICT, Finding, VendorEvent, VendorVerdict, standing
from mediagate.moderation.fusion import Evidence, Fusion, weigh
from mediagate.moderation.lanes import Lane, LanePolicy
from mediagate.moderation.reliability import Reliability
from mediagate.moderation.rules import MOST_RULES, CategoryName, Rule, Subject, Text, first_match
from mediagate.moderation.thresholds import BUILT_IN, Threshold
from mediagate.moderation.verdicts import Outcome, Reason, at_least, by_thresholds, demands, floor

__all__ = ["Decision", "Finding", "Policy", "Reason", "Subject", "Threshold", "decide", "standing"]

MOST_VENDORS = 20
MOST_CATEGORIES = 200

Names = Annotated[tuple[Text, ...], Field(max_length=MOST_VENDORS)]


class Policy(Value):
    """A library's rules."""

    version: str = Field("thresholds-1", min_length=1, max_length=64)
    name: str = Field("", max_length=64, description="for people")
    default: Threshold = Threshold()
    categories: dict[CategoryName, Threshold] = Field(
        default_factory=lambda: dict(BUILT_IN),
        max_length=MOST_CATEGORIES,
        description="what holds for some; severe ones that are not named keep what is built in",
    )
    rules: tuple[Rule, ...] = Field((), max_length=MOST_RULES, description="the first that holds decides")
    fusion: Fusion = Fusion()
    calibration: dict[Text, dict[CategoryName, Curve]] = Field(
        default_factory=dict, description="by vendor and category, * for the others: what a score means"
    )
    ask: Names = Field((), description="vendors that are asked; none named: the deployment's own")
    lanes: LanePolicy = LanePolicy()
    after_deadline: Verdict = Field(Verdict.QUARANTINE, description="when no person answered a review in time")

    @field_validator("categories")
    @classmethod
    def _with_severe(cls, value: dict[str, Threshold]) -> dict[str, Threshold]:
        return {**BUILT_IN, **value}

    def threshold(self, category: str) -> Threshold:
        """The thresholds that hold for a category."""
        return self.categories.get(category, self.default)

    def asked(self, lane: Lane | None) -> tuple[str, ...]:
        """The vendors asked in a lane; none: the deployment's own."""
        return (self.lanes.fast_ask if lane is Lane.FAST else ()) or self.ask


class Decision(Value):
    """The outcome of a policy over findings."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    policy_version: str
    findings: tuple[Finding, ...] = ()
    risk: float = Field(0.0, description="0..1; the highest fused probability of a category that can lead to something")
    rule: str = Field("", description="what decided: `rule:<name>`, or the code of the leading reason")


def decide(
    policy: Policy,
    events: Sequence[VendorEvent],
    *,
    reliability: Reliability | None = None,
    subject: Subject | None = None,
) -> Decision:
    """Decide by what vendors and the gate's own detectors say.

    The first rule of the policy that holds decides, else a file known to be good is approved, else the thresholds
    decide. None of these goes below the floor: what severe categories and the gate's own lists demand. Nobody's silence
    approves: without enough final answers a person is asked. `docs/how-a-decision-is-made.md` has an example.

    `reliability`: what was learnt of the vendors; None: nothing. `subject`: facts for rules; None: none is known.
    """
    reliability, subject = reliability or Reliability(), subject or Subject()
    evidence = weigh(events, policy.fusion, calibration=policy.calibration, reliability=reliability)
    outcome = _by_rule(policy, evidence, subject)
    good = demands(evidence, Verdict.APPROVE)
    if outcome is None and good:
        # Known to be good is the picture; what texts and lists say of the item besides holds all the same.
        own = [event for event in events if event.vendor in RULE_DETECTORS]
        by_rules = weigh(own, policy.fusion, calibration=policy.calibration, reliability=reliability)
        outcome = by_thresholds(by_rules, policy.threshold, policy.fusion)
        outcome = Outcome(Verdict.APPROVE, good) if outcome.verdict is Verdict.APPROVE else outcome
    else:
        outcome = outcome or by_thresholds(evidence, policy.threshold, policy.fusion)
        silence = _silence(policy, evidence, subject) if outcome.verdict is Verdict.APPROVE else None
        outcome = Outcome(Verdict.REVIEW, (silence,)) if silence else outcome
    outcome = at_least(outcome, floor(evidence, policy.threshold, policy.fusion))
    return Decision(
        verdict=outcome.verdict,
        reasons=outcome.reasons,
        policy_version=policy.version,
        findings=tuple(_findings(policy, evidence)),
        risk=_risk(policy, evidence),
        rule=outcome.rule or outcome.reasons[0].code,
    )


def _by_rule(policy: Policy, evidence: Evidence, subject: Subject) -> Outcome | None:
    rule = first_match(policy.rules, evidence, subject)
    if rule is None:
        return None
    code = rule.then.reason or f"rule:{rule.name}"
    detail = rule.then.detail or f"The rule {rule.name} of the policy says {rule.then.verdict.value}."
    return Outcome(rule.then.verdict, (Reason(code=code, detail=detail),), f"rule:{rule.name}")


def _silence(policy: Policy, evidence: Evidence, subject: Subject) -> Reason | None:
    """Why there are not enough final answers for an approval, if so."""
    answered = {event.vendor for event in evidence.judgements}
    if not answered:
        return Reason(code="vendor_silent", detail="No vendor gave a final answer.")
    asked = dict.fromkeys(policy.asked(subject.lane))
    silent = [name for name in asked if name not in answered]
    needed = min(policy.fusion.quorum, len(asked))
    if len(asked) - len(silent) >= needed:
        return None
    detail = f"{len(asked) - len(silent)} of {len(asked)} vendors answered, {needed} must; silent: {', '.join(silent)}."
    return Reason(code="quorum" if len(silent) < len(asked) else "vendor_silent", detail=detail)


def _risk(policy: Policy, evidence: Evidence) -> float:
    """A bare word counts as the threshold that it stands for, a demand of the gate's own as certainty."""
    if demands(evidence, Verdict.QUARANTINE) or demands(evidence, Verdict.REJECT):
        return 1.0
    meant = {VendorVerdict.REVIEW: policy.default.review_at, VendorVerdict.REJECT: policy.default.reject_at}
    words = [meant.get(event.verdict) or 0.0 for event in evidence.judgements]
    scores = [fused.value for name, fused in evidence.fused.items() if not policy.threshold(name).off]
    return max([*words, *scores], default=0.0)


def _findings(policy: Policy, evidence: Evidence) -> Iterator[Finding]:
    """Every verdict and score, with how it was weighed."""
    opinions = {(o.vendor, fused.category): (fused, o) for fused in evidence.fused.values() for o in fused.opinions}
    for event in evidence.standing:
        yield Finding(
            vendor=event.vendor,
            category=VERDICT,
            verdict=event.verdict,
            event_id=event.event_id,
            settled=event.settles,
            labels=event.labels,
            action=event.action,
            weight=evidence.words[event.vendor].value if event.settles else None,
        )
        for name, score in sorted(event.scores.items()):
            finding = Finding(
                vendor=event.vendor, category=name, score=score, event_id=event.event_id, settled=event.settles
            )
            if weighed := opinions.get((event.vendor, name)):
                fused, opinion = weighed
                finding = finding.model_copy(
                    update={
                        "calibrated": opinion.probability,
                        "weight": opinion.weight.value,
                        "contribution": opinion.contribution,
                        "fused": fused.value,
                        "bounds": policy.threshold(name),
                    }
                )
            yield finding
