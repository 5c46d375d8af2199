"""Several vendors' scores of a category become one probability.

A weighted logarithmic pool: the log-odds of what vendors say are averaged by the vendors' weights; where those add up
to less than 1, the prior makes up for the rest.

    share(v)   = w(v) / max(1, Σ w)
    logit p    = logit(prior) + Σ share(v) · (logit p(v) - logit(prior))

Genest, Zidek: Combining probability distributions, a critique and an annotated bibliography, 1986
(https://doi.org/10.1214/ss/1177013825); a review is https://arxiv.org/abs/1502.04206. Weights that add up to one make
it externally Bayesian, and vendors that learnt from the same pictures do not make each other surer, as they would if
their evidence were added up. So one vendor with the prior weight is taken at its word exactly.

Not pooled: categories in `SEVERE`, where the highest score counts, and what the gate's own lists and rules found.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, fsum, log
from typing import NamedTuple

from pydantic import Field, field_validator

from mediagate.media.values import Value, Verdict
from mediagate.moderation.calibration import Curve, calibrated
from mediagate.moderation.categories import SEVERE
from mediagate.moderation.findings import RULE_DETECTORS, VERDICT, VendorEvent, standing
from mediagate.moderation.reliability import PRIOR_WEIGHT, Reliability, Weight, WeightSource

CLAMP = 0.01
"""Nobody is surer than 99 to 1: a score of 0 or 1 would outweigh everybody else."""

_DECIMALS = 9
"""To which a pool is rounded: equal scores pool to themselves, whatever the order of the sum."""


class Fusion(Value):
    """How a policy takes several vendors together."""

    prior: float = Field(0.05, ge=0.001, le=0.999, description="probability of harm before anybody spoke")
    disagreement: float = Field(
        0.35, gt=0, le=1, description="how far on the other side of a threshold one vendor must be to call a person"
    )
    quorum: int = Field(1, ge=1, le=20, description="vendors asked that must have answered for an approval")
    reliability_floor: int = Field(
        50, ge=1, le=1_000_000, description="cases decided by people before a weight departs from the prior's"
    )
    credible: float = Field(
        0.5, ge=0, le=1, description="weight from which one vendor's word alone can withhold an item; below: a person"
    )
    contradiction: Verdict = Field(
        Verdict.REJECT, description="when one vendor rejects and another one approves: reject or review"
    )

    @field_validator("contradiction")
    @classmethod
    def _no_milder(cls, value: Verdict) -> Verdict:
        if value not in {Verdict.REJECT, Verdict.REVIEW}:
            raise ValueError("reject or review is allowed")
        return value


class Opinion(NamedTuple):
    """One detector's score of one category."""

    vendor: str
    event_id: str
    score: float
    probability: float
    """Calibrated."""
    weight: Weight
    contribution: float = 0.0
    """To the log-odds of the category's value, beyond those of the prior."""

    @property
    def by_rule(self) -> bool:
        """True for what lists and rules of the gate's own found."""
        return self.vendor in RULE_DETECTORS


class Fused(NamedTuple):
    """Everybody's findings of one category, taken together."""

    category: str
    value: float
    opinions: tuple[Opinion, ...]
    """In the order of the vendors' names."""

    @property
    def by_rule(self) -> float:
        """The highest probability that a list or rule of the gate's own gave; 0 without one."""
        return max((o.probability for o in self.opinions if o.by_rule), default=0.0)


class Evidence(NamedTuple):
    """What is known of an item, as a policy weighs it."""

    standing: tuple[VendorEvent, ...]
    """The event of each vendor that counts."""
    fused: Mapping[str, Fused]
    """By category, in the order of the names."""
    words: Mapping[str, Weight]
    """The weight of each vendor's verdict."""

    @property
    def settled(self) -> list[VendorEvent]:
        """Events that are their vendor's last word; no others are weighed."""
        return [event for event in self.standing if event.settles]

    @property
    def judgements(self) -> list[VendorEvent]:
        """Those of who has an opinion on the content: vendors and the local classifier."""
        return [event for event in self.settled if event.vendor not in RULE_DETECTORS]

    def score(self, category: str, vendor: str = "") -> float | None:
        """The fused probability of a category, or one vendor's calibrated one; None if nobody said anything of it."""
        fused = self.fused.get(category)
        if fused is None or not vendor:
            return fused.value if fused else None
        return next((o.probability for o in fused.opinions if o.vendor == vendor), None)


def weigh(
    events: Iterable[VendorEvent],
    fusion: Fusion,
    *,
    calibration: Mapping[str, Mapping[str, Curve]],
    reliability: Reliability,
) -> Evidence:
    """Calibrate, weigh and pool. Neither the order of events nor their repetition makes a difference."""
    known = tuple(standing(events))
    said: dict[str, list[Opinion]] = {}
    for event in (event for event in known if event.settles):
        for category, score in event.scores.items():
            said.setdefault(category, []).append(
                Opinion(
                    vendor=event.vendor,
                    event_id=event.event_id,
                    score=score,
                    probability=calibrated(calibration, event.vendor, category, score),
                    weight=_weight(reliability, event.vendor, category, fusion),
                )
            )
    return Evidence(
        standing=known,
        fused={category: fuse(category, said[category], prior=fusion.prior) for category in sorted(said)},
        words={event.vendor: _weight(reliability, event.vendor, VERDICT, fusion) for event in known},
    )


def fuse(category: str, opinions: Sequence[Opinion], *, prior: float) -> Fused:
    """One probability from opinions, of which there is at least one."""
    voting = [opinion for opinion in opinions if not opinion.by_rule] if category not in SEVERE else []
    pool = _pool([(o.probability, o.weight.value) for o in voting], prior) if voting else 0.0
    alone = max((o for o in opinions if o not in voting), key=lambda o: o.probability, default=None)
    if alone and (not voting or alone.probability >= pool):
        return Fused(category, alone.probability, tuple(_told(o, float(o is alone), prior) for o in opinions))
    total = max(1.0, fsum(o.weight.value for o in voting))
    shares = [o.weight.value / total if o in voting else 0.0 for o in opinions]
    told = (_told(opinion, share, prior) for opinion, share in zip(opinions, shares, strict=True))
    return Fused(category, pool, tuple(told))


def log_odds(probability: float) -> float:
    """Natural logarithm of the odds, clamped to those of `CLAMP`."""
    clamped = min(max(probability, CLAMP), 1 - CLAMP)
    return log(clamped / (1 - clamped))


def _weight(reliability: Reliability, vendor: str, category: str, fusion: Fusion) -> Weight:
    if vendor in RULE_DETECTORS:
        return Weight(PRIOR_WEIGHT, WeightSource.PRIOR)
    return reliability.weight(vendor, category, floor=fusion.reliability_floor)


def _pool(said: Sequence[tuple[float, float]], prior: float) -> float:
    """The pool of probabilities with weights."""
    total = fsum(weight for _, weight in said)
    parts = [weight * (log_odds(p) - log_odds(prior)) for p, weight in said]
    value = 1 / (1 + exp(-log_odds(prior) - fsum(parts) / max(1.0, total)))
    # An average lies between its parts; the clamp and rounding must not lead out of them. So one voice of weight 1, or
    # several that say the same, are repeated to the last digit.
    among = [p for p, _ in said] + ([prior] if total < 1 else [])
    return min(max(round(value, _DECIMALS), min(among)), max(among))


def _told(opinion: Opinion, share: float, prior: float) -> Opinion:
    return opinion._replace(contribution=round(share * (log_odds(opinion.probability) - log_odds(prior)), 4))
