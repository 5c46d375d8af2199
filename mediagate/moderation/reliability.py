"""How far a vendor's word is trusted, learnt from the verdicts of people.

A vendor starts with the weight 1. Once people have decided enough items on which it was sure, its weight follows from
how often it was right.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from math import log
from typing import NamedTuple

from pydantic import Field

from mediagate.media.values import Value, Verdict
from mediagate.moderation.categories import SEVERE
from mediagate.moderation.findings import RULE_DETECTORS, VERDICT, Finding, VendorVerdict
from mediagate.moderation.remoderation import PERSON

PRIOR_RIGHT, PRIOR_WRONG = 8.0, 2.0
"""The Beta prior of how often a vendor is right: as if it had been right in 8 of 10 cases."""

LEAST, MOST = 0.25, 2.0
"""Bounds of a weight: nobody is left unheard, and nobody outvotes eight others."""

PRIOR_WEIGHT = 1.0

SURE_OF_HARM, SURE_OF_NONE = 0.75, 0.25
"""From where on a probability is a statement that can be wrong. Who says 0.6 says that it does not know."""


class Outcome(Value):
    """How often a vendor was right and wrong; `tp`: it said harm and people agreed, `fn`: it did not and they did."""

    tp: int = Field(0, ge=0)
    fp: int = Field(0, ge=0)
    tn: int = Field(0, ge=0)
    fn: int = Field(0, ge=0)

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(tp=self.tp + other.tp, fp=self.fp + other.fp, tn=self.tn + other.tn, fn=self.fn + other.fn)

    @property
    def cases(self) -> int:
        """Statements that people looked at."""
        return self.tp + self.fp + self.tn + self.fn

    @property
    def agreed(self) -> int:
        """Those they agreed with."""
        return self.tp + self.tn

    @property
    def precision(self) -> float | None:
        """The share of alarms that were right; None: there was none."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float | None:
        """The share of harm that was seen; None: there was none. Of reviewed items only."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else None

    @property
    def accuracy(self) -> float:
        """Posterior mean of how often it is right, under the Beta prior."""
        return (PRIOR_RIGHT + self.agreed) / (PRIOR_RIGHT + PRIOR_WRONG + self.cases)

    @property
    def weight(self) -> float:
        """Log-odds of being right, in units of the prior's; between `LEAST` and `MOST`.

        Log-odds are the weights by which a vote of independent judges is best
        (Nitzan, Paroush: Optimal decision rules in uncertain dichotomous choice situations, 1982,
        https://doi.org/10.2307/2526438).
        """
        trust = _log_odds(self.accuracy) / _log_odds(PRIOR_RIGHT / (PRIOR_RIGHT + PRIOR_WRONG))
        return round(min(max(trust, LEAST), MOST), 4)


def _log_odds(p: float) -> float:
    return log(p / (1 - p))


class WeightSource(StrEnum):
    """What a weight was learnt from."""

    CATEGORY = "category"
    VENDOR = "vendor"
    PRIOR = "prior"
    """Nothing: there is too little data."""


class Weight(NamedTuple):
    """How much a vendor's word counts."""

    value: float
    source: WeightSource


class Reliability(Value):
    """What was learnt; nothing, to begin with."""

    counts: dict[str, dict[str, Outcome]] = Field(
        default_factory=dict, description="by vendor and category; `verdict` is the vendor's as a whole"
    )

    def weight(self, vendor: str, category: str, *, floor: int) -> Weight:
        """By the category's data, else by the vendor's, where there are at least `floor` cases; else the prior weight.

        For a severe category only its own data count: who errs about swimwear may well be right there.
        """
        own = self.counts.get(vendor, {})
        sources = [(category, WeightSource.CATEGORY if category != VERDICT else WeightSource.VENDOR)]
        if category not in SEVERE and category != VERDICT:
            sources.append((VERDICT, WeightSource.VENDOR))
        for name, source in sources:
            outcome = own.get(name)
            if outcome and outcome.cases >= max(floor, 1):
                return Weight(outcome.weight, source)
        return Weight(PRIOR_WEIGHT, WeightSource.PRIOR)

    def __add__(self, other: "Reliability") -> "Reliability":
        counts = {vendor: dict(by_category) for vendor, by_category in self.counts.items()}
        for vendor, category, outcome in other.rows():
            own = counts.setdefault(vendor, {})
            own[category] = own.get(category, Outcome()) + outcome
        return Reliability(counts=counts)

    def rows(self) -> Iterator[tuple[str, str, Outcome]]:
        """Vendor, category and counts, in the order of the names."""
        for vendor in sorted(self.counts):
            for category in sorted(self.counts[vendor]):
                yield vendor, category, self.counts[vendor][category]


def teaches(verdict: Verdict, decided_by: str, reason: str = "") -> bool:
    """True for a person's verdict on the content. An upload that was stopped says nothing about what it shows."""
    return decided_by.startswith(PERSON) and verdict is not Verdict.REVIEW and reason != "aborted"


def lesson(findings: Iterable[Finding], verdict: Verdict, *, decided_by: str, reason: str = "") -> Reliability:
    """What a decision teaches about the vendors whose findings it had; nothing, unless a person took it.

    `reason`: the code that the person gave; one that ends in the name of a category (`gore`, `takedown:gore`) says what
    the harm is. Right is a vendor that was sure of harm in an item that was withheld, or sure of none in one that was
    approved. Of a withheld item without a named category nobody knows which other harm it lacks, so what is sure of
    none there is not judged by category.
    """
    if not teaches(verdict, decided_by, reason):
        return Reliability()
    harmful, named = verdict is not Verdict.APPROVE, reason.rpartition(":")[2]
    known = list(findings)
    scored = {finding.category for finding in known}
    counts: dict[str, dict[str, Outcome]] = {}
    for finding in known:
        said = _statement(finding, known)
        if said is None or finding.vendor in RULE_DETECTORS or (finding.bounds and finding.bounds.off):
            continue
        if finding.category == VERDICT or not harmful or finding.category == named:
            truth = harmful
        elif named in scored:
            continue
        elif said:
            truth = True
        else:
            continue
        counts.setdefault(finding.vendor, {})[finding.category] = _outcome(said=said, truth=truth)
    return Reliability(counts=counts)


def learn(
    reliability: Reliability, findings: Iterable[Finding], verdict: Verdict, *, decided_by: str, reason: str = ""
) -> Reliability:
    """What is known with one decision more. Not idempotent: whoever stores it counts each decision once."""
    return reliability + lesson(findings, verdict, decided_by=decided_by, reason=reason)


def _outcome(*, said: bool, truth: bool) -> Outcome:
    if said:
        return Outcome(tp=1) if truth else Outcome(fp=1)
    return Outcome(fn=1) if truth else Outcome(tn=1)


def _statement(finding: Finding, findings: Iterable[Finding]) -> bool | None:
    """True: it is harmful, False: it is not; None: the vendor does not know, or not yet."""
    if not finding.settled:
        return None
    if finding.category != VERDICT:
        return _sure(finding.probability)
    if finding.verdict is VendorVerdict.REVIEW:
        # Vendors that only score never say reject: their highest score speaks for them.
        own = [f.probability or 0.0 for f in findings if f.vendor == finding.vendor and f.category != VERDICT]
        return True if own and max(own) >= SURE_OF_HARM else None
    return finding.verdict is VendorVerdict.REJECT


def _sure(probability: float | None) -> bool | None:
    if probability is None or SURE_OF_NONE < probability < SURE_OF_HARM:
        return None
    return probability >= SURE_OF_HARM
