"""Policies over time: their modes, and what a policy would make of items that are decided already.

A run of a policy looks at decided items again, says what would change, and, if somebody confirms that, changes it. What
people decided is theirs: a run leaves it alone unless it is told otherwise, and a verdict that came after a run looked
is never overwritten.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum

from pydantic import Field, computed_field

from mediagate.media.values import Value, Verdict
from mediagate.moderation.policy import Decision
from mediagate.moderation.remoderation import PERSON

MOST_DRY_RUN = 5_000
"""Items that a dry-run looks at."""
MOST_LAST = 1_000_000_000
"""Items to which a run may be limited."""
MOST_AT_ONCE = 500
"""Items of a dry-run that is answered at once."""
MOST_RUN_AT_ONCE = 50
"""Items that a run decides anew at the same time."""

GATE = "gate"
"""Who refuses files at the door."""
ABORTED = "aborted"
"""The reason of an upload that a person stopped, whatever it showed."""


class PolicyMode(StrEnum):
    """What a stored policy does."""

    DRAFT = "draft"
    SHADOW = "shadow"
    """It decides beside the live one; nobody acts on that. One per library."""
    LIVE = "live"
    """It decides. One per library; without one the library's settings or the built-in default do."""
    RETIRED = "retired"


MODES: Mapping[PolicyMode, frozenset[PolicyMode]] = {
    PolicyMode.DRAFT: frozenset({PolicyMode.SHADOW, PolicyMode.LIVE, PolicyMode.RETIRED}),
    PolicyMode.SHADOW: frozenset({PolicyMode.DRAFT, PolicyMode.LIVE, PolicyMode.RETIRED}),
    PolicyMode.LIVE: frozenset({PolicyMode.RETIRED}),
    PolicyMode.RETIRED: frozenset({PolicyMode.SHADOW, PolicyMode.LIVE}),
}
"""Which mode may follow which."""


class RunMode(StrEnum):
    """What a run does with what it finds."""

    DRY_RUN = "dry_run"
    APPLY = "apply"
    UNDO = "undo"


class RunState(StrEnum):
    """How far a run is."""

    PREVIEWING = "previewing"
    PREVIEWED = "previewed"
    """It waits for somebody to confirm."""
    APPLYING = "applying"
    PAUSED = "paused"
    DONE = "done"
    NOT_APPLIED = "not_applied"
    """Nobody confirmed in time."""
    CANCELLED = "cancelled"
    FAILED = "failed"


ENDED = frozenset({RunState.DONE, RunState.NOT_APPLIED, RunState.CANCELLED, RunState.FAILED})
WORKING = frozenset({RunState.PREVIEWING, RunState.APPLYING})


class ItemState(StrEnum):
    """What became of an item that a policy would decide otherwise."""

    FOUND = "found"
    LEFT = "left"
    """A run does not change it: `left_alone` says why."""
    APPLIED = "applied"
    SKIPPED = "skipped"
    """When its turn came, somebody had decided it anew."""
    FAILED = "failed"
    UNDONE = "undone"


Matrix = dict[str, dict[str, int]]


class Comparison(Value):
    """How often a policy decides as it was decided, and as people did."""

    looked_at: int = 0
    changed: int = Field(0, description="items whose verdict would be another one")
    applicable: int = Field(0, description="of these, those that applying the policy would change")
    matrix: Matrix = Field(default_factory=dict, description="items by the verdict that stands and the policy's")
    reasons: dict[str, int] = Field(
        default_factory=dict, description="changed items by what led to the policy's verdict"
    )
    people: Matrix = Field(default_factory=dict, description="items by a person's verdict and the policy's")

    def __add__(self, other: "Comparison") -> "Comparison":
        return Comparison(
            looked_at=self.looked_at + other.looked_at,
            changed=self.changed + other.changed,
            applicable=self.applicable + other.applicable,
            matrix=_added(self.matrix, other.matrix),
            reasons=dict(Counter(self.reasons) + Counter(other.reasons)),
            people=_added(self.people, other.people),
        )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def agreement(self) -> float | None:
        """The share of items that keep their verdict; None: there is no item."""
        return (self.looked_at - self.changed) / self.looked_at if self.looked_at else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def agreement_with_people(self) -> float | None:
        """Of the items that people decided and the policy would too, the share where both withhold or both do not."""
        pairs = [(old, new, n) for old, row in self.people.items() for new, n in row.items() if new != Verdict.REVIEW]
        total = sum(n for _, _, n in pairs)
        same = sum(n for old, new, n in pairs if (old == Verdict.APPROVE) is (new == Verdict.APPROVE))
        return same / total if total else None


def compared(standing: Verdict, wanted: Decision, *, person: Verdict | None, applicable: bool) -> Comparison:
    """One item. `person`: what a person decided of it, if one did."""
    changed = standing is not wanted.verdict
    return Comparison(
        looked_at=1,
        changed=int(changed),
        applicable=int(applicable),
        matrix={standing.value: {wanted.verdict.value: 1}},
        reasons={wanted.rule: 1} if changed else {},
        people={person.value: {wanted.verdict.value: 1}} if person else {},
    )


def total(comparisons: Iterable[Comparison]) -> Comparison:
    """Of many items."""
    return sum(comparisons, Comparison())


def left_alone(standing: Verdict, decided_by: str, wanted: Verdict, *, include_human: bool) -> str | None:
    """Why a run does not bring an item to the policy's verdict; None: it does."""
    if standing is wanted:
        return "nothing changes"
    if decided_by.startswith(PERSON) and not include_human:
        return "a person decided"
    if wanted is Verdict.REVIEW and standing is not Verdict.APPROVE:
        return "it is withheld already: nobody is asked"
    return None


def _added(one: Matrix, other: Matrix) -> Matrix:
    rows = [*dict.fromkeys([*one, *other])]
    return {row: dict(Counter(one.get(row, {})) + Counter(other.get(row, {}))) for row in rows}
