"""Why a decision is what it is, from what is stored of it alone; and what is different between two decisions."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from pydantic import Field

from mediagate.media.values import Value, Verdict
from mediagate.moderation.findings import VERDICT, Finding
from mediagate.moderation.policy import Decision, Reason
from mediagate.moderation.remoderation import stricter
from mediagate.moderation.thresholds import Threshold


class CardLine(Value):
    """What one detector says of one category, and how that was weighed."""

    vendor: str
    score: float
    calibrated: float = Field(description="the probability that the score stands for")
    weight: float = Field(description="1: nothing is learnt of the vendor yet")
    contribution: float = Field(description="to the log-odds, beyond those of the prior; 0: it did not count")


class CardCategory(Value):
    """One category: everybody's findings taken together, and the thresholds next to that."""

    category: str
    fused: float
    reached: Verdict | None = Field(None, description="the strictest threshold that it is at or over")
    reached_at: float | None = None
    next: Verdict | None = Field(None, description="the threshold above it")
    next_at: float | None = None
    lines: tuple[CardLine, ...] = ()


class CardWord(Value):
    """A vendor's verdict, or what a detector of the gate's own demands."""

    vendor: str
    verdict: str
    weight: float | None = Field(None, description="None: it is not the vendor's last word, and does not count")
    labels: tuple[str, ...] = ()
    action: Verdict | None = None


class Card(Value):
    """A decision, explained."""

    verdict: Verdict
    rule: str = Field(description="what decided: `rule:<name>`, or the code of the leading reason")
    policy_version: str
    risk: float
    reasons: tuple[Reason, ...]
    words: tuple[CardWord, ...] = ()
    categories: tuple[CardCategory, ...] = Field((), description="the highest probability first")
    otherwise: str = Field("", description="what would have had to be different, by the nearest threshold")


def explain(decision: Decision) -> Card:
    """The card of a decision; of one from before weights were stored, without them."""
    return Card(
        verdict=decision.verdict,
        rule=decision.rule or next((reason.code for reason in decision.reasons), ""),
        policy_version=decision.policy_version,
        risk=decision.risk,
        reasons=decision.reasons,
        words=tuple(_word(finding) for finding in decision.findings if finding.category == VERDICT),
        categories=(categories := _categories(decision.findings)),
        otherwise=_otherwise(decision, categories),
    )


def card_text(card: Card) -> str:
    """The card for a terminal or a mail, in plain text."""
    lines = [f"{card.verdict.value} by {card.rule} (policy {card.policy_version}, risk {card.risk:.2f})"]
    lines += [f"  because {reason.code}: {reason.detail}".rstrip(": ") for reason in card.reasons]
    for word in card.words:
        weight = "does not count" if word.weight is None else f"weight {word.weight:.2f}"
        demands = f", demands {word.action.value}" if word.action else ""
        labels = f" [{', '.join(word.labels)}]" if word.labels else ""
        lines.append(f"{word.vendor} says {word.verdict} ({weight}{demands}){labels}")
    for category in card.categories:
        lines.append(f"{category.category} {category.fused:.3f}{_place(category)}")
        lines += [
            f"  {line.vendor}: score {line.score:.3f}, probability {line.calibrated:.3f}, weight {line.weight:.2f},"
            f" contributes {line.contribution:+.2f}"
            for line in category.lines
        ]
    if card.otherwise:
        lines.append(card.otherwise)
    return "\n".join(lines) + "\n"


class Change(StrEnum):
    """How a new decision differs from the one before."""

    SAME = "same"
    STRICTER = "stricter"
    MILDER = "milder"


class Comparison(Value):
    """Two decisions of the same item: by two policies, or at two times."""

    change: Change
    old: Verdict
    new: Verdict
    risk: float = Field(description="by how much the new one's is higher; -1..1")
    why: tuple[str, ...] = Field((), description="sentences; the leading reason of the new one first")


def compare(old: Decision, new: Decision) -> Comparison:
    """The new decision against the old one. Same verdicts are the same, whatever led to them; `why` tells that."""
    change = Change.SAME
    if old.verdict is not new.verdict:
        change = Change.STRICTER if stricter(new.verdict, old.verdict) else Change.MILDER
    gone = [reason for reason in old.reasons if reason.code not in {r.code for r in new.reasons}]
    come = [reason for reason in new.reasons if reason.code not in {r.code for r in old.reasons}]
    return Comparison(
        change=change,
        old=old.verdict,
        new=new.verdict,
        risk=round(new.risk - old.risk, 6),
        why=(
            *(f"now {reason.code}: {reason.detail}" for reason in come),
            *(f"no longer {reason.code}: {reason.detail}" for reason in gone),
            *_moved(old.findings, new.findings),
        ),
    )


def _moved(old: Iterable[Finding], new: Iterable[Finding]) -> list[str]:
    before, after = ({c.category: c for c in _categories(findings)} for findings in (old, new))
    return [
        f"{name} {_fused(before.get(name))} → {_fused(after.get(name))}"
        for name in sorted({*before, *after})
        if _fused(before.get(name)) != _fused(after.get(name))
    ]


def _fused(category: CardCategory | None) -> str:
    return f"{category.fused:.2f}" if category else "unknown"


def _word(finding: Finding) -> CardWord:
    return CardWord(
        vendor=finding.vendor,
        verdict=finding.verdict.value if finding.verdict else "nothing",
        weight=(finding.weight if finding.weight is not None else 1.0) if finding.settled else None,
        labels=finding.labels,
        action=finding.action,
    )


def _categories(findings: Iterable[Finding]) -> tuple[CardCategory, ...]:
    by_name: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.category != VERDICT and finding.settled and finding.score is not None:
            by_name.setdefault(finding.category, []).append(finding)
    found = [_category(name, said) for name, said in by_name.items()]
    return tuple(sorted(found, key=lambda category: (-category.fused, category.category)))


def _category(name: str, said: Sequence[Finding]) -> CardCategory:
    stored = said[0].fused
    fused = max(f.probability or 0.0 for f in said) if stored is None else stored
    steps = list((said[0].bounds or Threshold(review_at=None, reject_at=None)).steps)
    reached = next(((step, bound) for step, bound in reversed(steps) if fused >= bound), (None, None))
    above = next(((step, bound) for step, bound in steps if fused < bound), (None, None))
    return CardCategory(
        category=name,
        fused=fused,
        reached=reached[0],
        reached_at=reached[1],
        next=above[0],
        next_at=above[1],
        lines=tuple(
            CardLine(
                vendor=finding.vendor,
                score=finding.score or 0.0,
                calibrated=finding.probability or 0.0,
                weight=1.0 if finding.weight is None else finding.weight,
                contribution=finding.contribution or 0.0,
            )
            for finding in said
        ),
    )


def _place(category: CardCategory) -> str:
    told = []
    if category.reached:
        told.append(f"at or over {category.reached.value} {category.reached_at:.2f}")
    if category.next:
        told.append(f"below {category.next.value} {category.next_at:.2f}")
    return f" ({', '.join(told)})" if told else ""


def _otherwise(decision: Decision, categories: Sequence[CardCategory]) -> str:
    """The smallest change of one score that would lead somewhere else, as far as thresholds decide."""
    if decision.rule.startswith("rule:"):
        return f"Without {decision.rule} the next rules of the policy and its thresholds would have decided."
    if decision.verdict is Verdict.APPROVE:
        short = [(c.next_at - c.fused, c) for c in categories if c.next_at is not None and c.reached is None]
        if not short:
            return ""
        by, first = min(short, key=lambda pair: pair[0])
        return f"{first.category} is {by:.2f} short of {first.next_at:.2f}, from where on it leads elsewhere."
    for category in categories:
        if decision.rule == f"{decision.verdict.value}:{category.category}" and category.reached_at is not None:
            over, others = category.fused - category.reached_at, [reason.code for reason in decision.reasons[1:]]
            besides = f"; besides there is {', '.join(others)}" if others else ""
            leads = f"below {category.reached_at:.2f} it would not lead to {decision.verdict.value}"
            return f"{category.category} is {over:.2f} over: {leads}{besides}."
    return f"No score alone decides here, but {decision.rule} does." if decision.rule else ""
