"""Feature flags: what they say, and what follows from it for one caller. Pure.

A flag has named variants. One that is enabled serves the variant of its first rule that matches, else its default; one
that is not serves its off variant. Words and reasons are those of OpenFeature (https://openfeature.dev/specification/).
"""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError, model_validator

from mediagate.errors import InvalidRequest

NAME = r"^[a-z][a-z0-9-]{0,62}$"
MOST_FLAGS = 500
"""That a deployment may have; each process keeps all of them in memory."""
BUCKETS = 10_000
"""A percentage has two decimal places."""

Name = Annotated[str, Field(pattern=NAME)]
Text = Annotated[str, Field(max_length=500, pattern="^[^\x00]*$")]
Value = StrictBool | StrictInt | Text
Attributes = Mapping[str, Value]


class FlagKind(StrEnum):
    """What a flag is for."""

    RELEASE = "release"
    KILL_SWITCH = "kill_switch"
    EXPERIMENT = "experiment"


class Attribute(StrEnum):
    """What a condition may ask about; a fixed set, so that a slip of the pen is refused and does not silently fail."""

    LIBRARY = "library"
    ENVIRONMENT = "environment"
    ROLE = "role"
    REPUTATION = "reputation"
    LANE = "lane"
    VENDOR = "vendor"


class Operator(StrEnum):
    """How a condition compares."""

    EQ = "eq"
    IN = "in"
    GTE = "gte"
    LTE = "lte"


class Reason(StrEnum):
    """Why a variant is served."""

    STATIC = "STATIC"
    """There are no rules."""
    TARGETING_MATCH = "TARGETING_MATCH"
    SPLIT = "SPLIT"
    """A rule matched by its percentage."""
    DEFAULT = "DEFAULT"
    """No rule matched."""
    DISABLED = "DISABLED"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(_Frozen):
    """One comparison; false for whoever has no such attribute, or one of another type."""

    attribute: Attribute
    op: Operator
    value: Value | Annotated[tuple[Value, ...], Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if isinstance(self.value, tuple) is not (self.op is Operator.IN):
            raise ValueError("`in` takes a list of values, every other operator takes one value.")
        if self.op in {Operator.GTE, Operator.LTE} and type(self.value) is not int:
            raise ValueError(f"`{self.op}` compares whole numbers.")
        return self

    def holds(self, attributes: Attributes) -> bool:
        """True if what is known of the caller satisfies it."""
        found = attributes.get(self.attribute)
        if isinstance(self.value, tuple):
            return any(_same(found, one) for one in self.value)
        if self.op is Operator.EQ:
            return _same(found, self.value)
        if type(found) is not int or type(self.value) is not int:
            return False
        return found >= self.value if self.op is Operator.GTE else found <= self.value

    def __str__(self) -> str:
        wanted = list(self.value) if isinstance(self.value, tuple) else self.value
        return f"{self.attribute} {self.op} {wanted!r}"


class Rule(_Frozen):
    """Serves a variant to those for whom all conditions hold and whose bucket is in the percentage."""

    conditions: Annotated[tuple[Condition, ...], Field(max_length=10)] = ()
    percentage: Annotated[float, Field(ge=0, le=100)] = 100
    """Two decimal places count."""
    variant: Name

    def unmet(self, attributes: Attributes, place: int | None) -> str:
        """Why it does not match; empty: it does."""
        for condition in self.conditions:
            if not condition.holds(attributes):
                return f"{condition} does not hold for {attributes.get(condition.attribute)!r}"
        if self.percentage < 100:
            if place is None:
                return "without a targeting key nobody is in a percentage"
            if place >= round(self.percentage * BUCKETS / 100):
                return f"bucket {place} of {BUCKETS} is not in {self.percentage:g} %"
        return ""


class Evaluation(NamedTuple):
    """What a flag serves, and why."""

    variant: str
    value: bool | int | str
    reason: Reason
    rule: int | None = None
    """Place of the rule that matched, from 0."""
    bucket: int | None = None
    passed: tuple[str, ...] = ()
    """Why each rule before it did not match."""


class FlagTerms(_Frozen):
    """What a flag says, whatever it is called. The variants of one flag have one type."""

    description: Text = ""
    kind: FlagKind = FlagKind.RELEASE
    enabled: bool = True
    variants: Annotated[dict[Name, Value], Field(min_length=1, max_length=20)] = {"on": True, "off": False}
    default: Name = "on"
    """Variant for those whom no rule matches."""
    off: Name = "off"
    """Variant while the flag is not enabled."""
    rules: Annotated[tuple[Rule, ...], Field(max_length=50)] = ()
    salt: Annotated[str, Field(max_length=100, pattern="^[^\x00]*$")] = ""
    """What buckets are made of; empty: the name. Another salt draws everybody anew."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for variant in (self.default, self.off, *(rule.variant for rule in self.rules)):
            if variant not in self.variants:
                raise ValueError(f"There is no variant {variant!r}; there are {', '.join(self.variants)}.")
        if len({type(value) for value in self.variants.values()}) > 1:
            raise ValueError("The variants of a flag have one type: all true or false, all whole numbers or all texts.")
        if self.kind is FlagKind.KILL_SWITCH and self.variants[self.off] is not False:
            raise ValueError("A kill switch has true and false as variants, and serves false while it is not enabled.")
        return self


class Flag(FlagTerms):
    """A flag as it is stored."""

    name: Name

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.name in list(Switch) and self.kind is not FlagKind.KILL_SWITCH:
            raise ValueError(f"{self.name} is a kill switch of the gate's own: its kind must be kill_switch.")
        return self

    def evaluate(self, targeting_key: str, attributes: Attributes) -> Evaluation:
        """What it serves. `targeting_key`: empty, if there is none."""
        if not self.enabled:
            return Evaluation(self.off, self.variants[self.off], Reason.DISABLED)
        place = bucket(self.salt or self.name, targeting_key) if targeting_key else None
        passed: list[str] = []
        for number, rule in enumerate(self.rules):
            if why := rule.unmet(attributes, place):
                passed.append(why)
                continue
            reason = Reason.SPLIT if rule.percentage < 100 else Reason.TARGETING_MATCH
            return Evaluation(rule.variant, self.variants[rule.variant], reason, number, place, tuple(passed))
        reason = Reason.DEFAULT if self.rules else Reason.STATIC
        return Evaluation(self.default, self.variants[self.default], reason, None, place, tuple(passed))


class Switch(StrEnum):
    """Kill switches: steps that the gate can do without. Each is on unless a flag of its name says otherwise."""

    UPLOADS = "uploads"
    IMPORTS = "imports"
    RENDITIONS = "renditions"
    HASH_BANKS = "hash-banks"
    TEXT_RULES = "text-rules"
    LINK_EXPANSION = "link-expansion"
    LOCAL_CLASSIFIER = "local-classifier"
    NEAR_DUPLICATES = "near-duplicates"
    VENDOR_RESULT_CACHE = "vendor-result-cache"
    NOTIFICATIONS_MAIL = "notifications-mail"


MEANING: Mapping[Switch, str] = {
    Switch.UPLOADS: "off: new uploads are refused with 503; what was announced can be completed",
    Switch.IMPORTS: "off: imports wait; nothing further of them is begun",
    Switch.RENDITIONS: "off: no further pictures are made; the JPEG stands in for them until they are asked for again",
    Switch.HASH_BANKS: "off: new items are not held against hash banks",
    Switch.TEXT_RULES: "off: captions, titles and tags of new items are not looked at",
    Switch.LINK_EXPANSION: "off: short links in texts are judged as they stand, and nobody follows them",
    Switch.LOCAL_CLASSIFIER: "off: the local model is not asked; where nobody else is, a person is",
    Switch.NEAR_DUPLICATES: "off: the search for similar pictures finds none, and says so",
    Switch.VENDOR_RESULT_CACHE: "off: vendors are asked about content that they have judged before",
    Switch.NOTIFICATIONS_MAIL: "off: notifications are written and not mailed; the sweep mails them once it is on",
}
"""What each means while it is off."""


def built_in(switch: Switch) -> Flag:
    """The flag of a kill switch that nobody has touched."""
    return Flag(name=switch.value, kind=FlagKind.KILL_SWITCH, description=MEANING[switch])


BUILT_IN: Mapping[str, Flag] = {switch.value: built_in(switch) for switch in Switch}


def bucket(salt: str, key: str) -> int:
    """0 to 9999, always the same for the same key, and independent between salts.

    A percentage takes the lowest buckets, so that whoever is in stays in when it grows.
    """
    digest = hashlib.sha256(f"{salt}\x00{key}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8]) % BUCKETS


def flag_of(name: str, terms: Mapping[str, Any]) -> Flag:
    """A flag of what somebody wrote. Raises InvalidRequest: naming what is wrong, and where."""
    try:
        return Flag.model_validate({**terms, "name": name})
    except ValidationError as error:
        found = [f"{'.'.join(map(str, one['loc'])) or 'flag'}: {one['msg']}" for one in error.errors()[:5]]
        raise InvalidRequest("; ".join(found)) from error


def document(flag: Flag) -> dict[str, Any]:
    """What JSON holds of a flag."""
    return flag.model_dump(mode="json")


def _same(found: object, wanted: object) -> bool:
    return type(found) is type(wanted) and found == wanted  # True is no 1
