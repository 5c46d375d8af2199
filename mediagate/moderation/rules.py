"""Rules of a policy: conditions on what is known of an item, and the verdict that follows if they hold.

    when: {all: [{category: alcohol, at_least: 0.4}, {not: {fact: trusted, equals: true}}]}
    then: {verdict: review, reason: alcohol_by_newcomer}

A condition is one thing: `all`, `any`, `not`, `category`, `verdict`, `label`, `detector` or `fact`, with what belongs
to it. Of what is not known nothing holds: a category that nobody scored is neither over nor below a bound.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mediagate.media.values import Value, Verdict
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.moderation.fusion import Evidence
from mediagate.moderation.lanes import Lane

MOST_RULES = 100
MOST_CONDITIONS = 50
"""Next to each other in one list."""
DEEPEST = 5
"""Conditions inside each other."""
ANY_CATEGORY = "*"
"""Stands for the category with the highest fused score."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Code = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.:-]{0,99}$")]
CategoryName = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9_./ -]{0,63})$")]
Text = Annotated[str, Field(min_length=1, max_length=128)]
FactValue = str | int | bool


class Subject(Value):
    """Facts of the item that is decided on. What is None or empty is not known, or there is none."""

    library: str = ""
    size: int | None = Field(None, description="bytes of the file")
    content_type: str = ""
    width: int | None = Field(None, description="pixels")
    height: int | None = Field(None, description="pixels")
    frames: int | None = Field(None, description="1: a still picture")
    tags: tuple[str, ...] = ()
    category: str = Field("", description="the uploader's, not a finding")
    lane: Lane | None = None
    trusted: bool | None = Field(None, description="uploaded with a trusted key")
    uploader: str = Field("", description="name of the key")


FACTS = frozenset(Subject.model_fields)


class Condition(BaseModel):
    """Something that holds of an item, or does not. Unlike other values it refuses fields that it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )

    all: tuple["Condition", ...] | None = Field(None, min_length=1, max_length=MOST_CONDITIONS)
    any: tuple["Condition", ...] | None = Field(None, min_length=1, max_length=MOST_CONDITIONS)
    not_: "Condition | None" = Field(None, alias="not")
    category: CategoryName | None = Field(None, description="with at_least, below; * is the highest of all")
    verdict: VendorVerdict | None = Field(None, description="a vendor's final word, anyone's or that of `vendor`")
    label: Text | None = Field(None, description="what a detector called it; with a * at its end, how that begins")
    detector: Text | None = Field(None, description="a vendor or detector that gave its final word")
    fact: str | None = Field(None, description="a field of `Subject`; with equals, one_of, at_least or below")
    vendor: Text | None = Field(None, description="with category, verdict or label: said by this one only")
    at_least: float | None = Field(None, ge=0, le=2**53)
    below: float | None = Field(None, ge=0, le=2**53)
    equals: FactValue | None = Field(None, description="of tags: is one of them")
    one_of: tuple[FactValue, ...] | None = Field(None, min_length=1, max_length=MOST_CONDITIONS)

    @property
    def kind(self) -> str:
        """Which of `KINDS` it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def parts(self) -> tuple["Condition", ...]:
        """The conditions inside."""
        return (*(self.all or ()), *(self.any or ()), *((self.not_,) if self.not_ else ()))

    def walk(self) -> Iterator["Condition"]:
        """This one and all inside."""
        yield self
        for part in self.parts:
            yield from part.walk()

    @model_validator(mode="after")
    def _one_thing(self) -> "Condition":
        kinds = [_written(kind) for kind in KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            found = f"this has {' and '.join(kinds)}" if kinds else "this has none of them"
            raise ValueError(f"a condition is one of {', '.join(map(_written, KINDS))}; {found}")
        given = {name for name in _DETAILS if getattr(self, name) is not None}
        allowed = KINDS[self.kind]
        if extra := sorted(given - allowed):
            raise ValueError(f"{extra[0]} does not go with {kinds[0]}")
        return self

    @model_validator(mode="after")
    def _complete(self) -> "Condition":
        bounds = self.at_least is not None or self.below is not None
        if self.category is not None:
            if not bounds:
                raise ValueError("category needs at_least or below")
            if max(self.at_least or 0, self.below or 0) > 1:
                raise ValueError("a score is between 0 and 1")
        if self.fact is not None:
            if self.fact not in FACTS:
                raise ValueError(f"there is no fact {self.fact!r}: use {', '.join(sorted(FACTS))}")
            if bounds + (self.equals is not None) + (self.one_of is not None) != 1:
                raise ValueError("fact needs one of equals, one_of, or at_least and below")
        if self.at_least is not None and self.below is not None and self.at_least >= self.below:
            raise ValueError("it never holds: at_least must be less than below")
        return self


KINDS: dict[str, frozenset[str]] = {
    "all": frozenset(),
    "any": frozenset(),
    "not_": frozenset(),
    "category": frozenset({"vendor", "at_least", "below"}),
    "verdict": frozenset({"vendor"}),
    "label": frozenset({"vendor"}),
    "detector": frozenset(),
    "fact": frozenset({"equals", "one_of", "at_least", "below"}),
}
"""What a condition can be about, and what goes with it."""

_DETAILS = ("vendor", "at_least", "below", "equals", "one_of")


def _written(kind: str) -> str:
    return kind.rstrip("_")


class Then(Value):
    """What follows."""

    verdict: Verdict
    reason: Code | None = Field(None, description="code of the reason; default: `rule:<name>`")
    detail: str = Field("", max_length=300, description="a sentence for people")


class Rule(Value):
    """Conditions and what follows from them. Without `when` it always holds."""

    name: Name
    when: Condition | None = None
    then: Then

    @model_validator(mode="after")
    def _bounded(self) -> "Rule":
        if self.when and _depth(self.when) > DEEPEST:
            raise ValueError(f"conditions are more than {DEEPEST} deep")
        return self


def first_match(rules: Iterable[Rule], evidence: Evidence, subject: Subject) -> Rule | None:
    """The first rule whose conditions hold."""
    return next((rule for rule in rules if rule.when is None or holds(rule.when, evidence, subject)), None)


def holds(condition: Condition, evidence: Evidence, subject: Subject) -> bool:
    """True if the condition holds of the item."""
    match condition.kind:
        case "all":
            return all(holds(part, evidence, subject) for part in condition.parts)
        case "any":
            return any(holds(part, evidence, subject) for part in condition.parts)
        case "not_":
            return not any(holds(part, evidence, subject) for part in condition.parts)
        case "category":
            return _within(condition, _score(condition, evidence))
        case "fact":
            return _is_so(condition, getattr(subject, condition.fact or ""))
        case _:
            return any(_says(condition, event) for event in evidence.settled)


def _depth(condition: Condition) -> int:
    return 1 + max((_depth(part) for part in condition.parts), default=0)


def _score(condition: Condition, evidence: Evidence) -> float | None:
    vendor = condition.vendor or ""
    if condition.category != ANY_CATEGORY:
        return evidence.score(condition.category or "", vendor)
    scores = (evidence.score(category, vendor) for category in evidence.fused)
    return max((score for score in scores if score is not None), default=None)


def _within(condition: Condition, number: float | None) -> bool:
    if number is None:
        return False
    return (condition.at_least is None or number >= condition.at_least) and (
        condition.below is None or number < condition.below
    )


def _is_so(condition: Condition, known: Any) -> bool:
    if known is None or known == "":
        return False
    if condition.at_least is not None or condition.below is not None:
        return isinstance(known, int) and not isinstance(known, bool) and _within(condition, known)
    wanted = condition.one_of if condition.one_of is not None else (condition.equals,)
    values = known if isinstance(known, tuple) else (known,)
    # 1 is no answer to a question for true.
    return any(
        value == want and isinstance(value, bool) == isinstance(want, bool) for value in values for want in wanted
    )


def _says(condition: Condition, event: VendorEvent) -> bool:
    """True for an event that a condition on verdict, label or detector is about."""
    if condition.vendor not in (None, event.vendor):
        return False
    if condition.verdict is not None:
        return event.verdict is condition.verdict
    if condition.label is not None:
        start, star, _ = condition.label.partition("*")
        return any(label.startswith(start) if star else label == start for label in event.labels)
    return event.vendor == condition.detector
