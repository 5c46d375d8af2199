"""What may be wrong with a policy whose every value is right by itself."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, NamedTuple

from mediagate.media.values import Verdict
from mediagate.moderation.categories import SEVERE, Category
from mediagate.moderation.findings import DETECTORS
from mediagate.moderation.lanes import Lane
from mediagate.moderation.policy import Policy
from mediagate.moderation.policy_text import Path
from mediagate.moderation.rules import ANY_CATEGORY, Condition, Rule
from mediagate.moderation.thresholds import Threshold

_NUMBERS = frozenset({"size", "width", "height", "frames"})
_TRUTHS = frozenset({"trusted"})


class Remark(NamedTuple):
    """What is wrong, and where in the document."""

    path: Path
    message: str
    warning: bool = False


def remarks(policy: Policy, document: Mapping[str, Any], vendors: Collection[str] | None) -> Iterator[Remark]:
    """Everything that stands out. `vendors`: those that may be asked; None: any."""
    yield from _thresholds(policy, document)
    yield from _asking(policy)
    yield from _rules(policy)
    yield from _deadline(policy)
    if vendors is not None:
        yield from _vendors(policy, vendors)


def near(name: str, known: Collection[str]) -> str:
    """` (did you mean approve?)` where a known name is spelt almost like it; else nothing."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f" (did you mean {close[0]}?)" if close else ""


def _thresholds(policy: Policy, document: Mapping[str, Any]) -> Iterator[Remark]:
    yield from _ordered(policy.default, ("default",))
    for name in document.get("categories") or ():
        path, bounds = ("categories", name), policy.categories[name]
        yield from _ordered(bounds, path)
        yield from _spelling(name, path)
        if name in SEVERE and bounds.quarantine_at is None:
            yield Remark(path, f"{name} is severe, but nothing of it is quarantined: set quarantine_at.", warning=True)


def _ordered(bounds: Threshold, path: Path) -> Iterator[Remark]:
    steps = list(bounds.steps)
    for (mild, low), (strict, high) in pairwise(steps):
        if low > high:
            yield Remark(
                (*path, f"{mild.value}_at"), f"{mild.value}_at {low} is above {strict.value}_at {high}: it comes first."
            )


def _spelling(name: str, path: Path) -> Iterator[Remark]:
    known = [category.value for category in Category]
    if name not in known and (suggestion := near(name, known)):
        yield Remark(path, f"{name} is no category that is known here{suggestion}.", warning=True)


def _asking(policy: Policy) -> Iterator[Remark]:
    for path, names in ((("ask",), policy.ask), (("lanes", "fast_ask"), policy.lanes.fast_ask)):
        for index, name in enumerate(names):
            if name in names[:index]:
                yield Remark((*path, index), f"{name} is asked twice.")
    quorum = policy.fusion.quorum
    if quorum > max(len(set(policy.ask)), 1):
        asked = f"only {len(set(policy.ask))} asked" if policy.ask else "ask names none"
        yield Remark(("fusion", "quorum"), f"{quorum} vendors must answer, but {asked}: name more, or lower it.")


def _deadline(policy: Policy) -> Iterator[Remark]:
    if policy.after_deadline is Verdict.REVIEW:
        yield Remark(("after_deadline",), "a review that nobody answered must end: use quarantine, reject or approve.")
    if policy.after_deadline is Verdict.APPROVE:
        yield Remark(("after_deadline",), "what nobody looked at in time becomes public.", warning=True)


def _rules(policy: Policy) -> Iterator[Remark]:
    for index, rule in enumerate(policy.rules):
        path = ("rules", index)
        earlier = policy.rules[:index]
        if any(other.name == rule.name for other in earlier):
            yield Remark((*path, "name"), f"there is a rule {rule.name} already.")
        shadow = next((o for o in earlier if o.when is None or o.when == rule.when), None)
        if shadow:
            why = "holds always" if shadow.when is None else "has the same conditions"
            yield Remark(path, f"it is never reached: the rule {shadow.name} before it {why}.")
        if rule.when:
            yield from _condition(rule.when, (*path, "when"))
        yield from _without_effect(rule, policy, path)


def _without_effect(rule: Rule, policy: Policy, path: Path) -> Iterator[Remark]:
    if rule.then.verdict is not Verdict.APPROVE or rule.when is None:
        return
    needed = rule.when.all or (rule.when,)
    for part in needed:
        bounds = [b for _, b in policy.threshold(part.category).steps] if part.category in SEVERE else []
        if bounds and (part.at_least or 0) >= min(bounds):
            yield Remark(
                path, f"it has no effect: {part.category} is severe, and no rule approves it from {bounds[0]}."
            )


def _condition(condition: Condition, path: Path) -> Iterator[Remark]:
    if condition.category and condition.category != ANY_CATEGORY:
        yield from _spelling(condition.category, (*path, "category"))
    if condition.fact:
        yield from _fact(condition, path)
    for kind in ("all", "any"):
        for index, part in enumerate(getattr(condition, kind) or ()):
            yield from _condition(part, (*path, kind, index))
    if condition.not_:
        yield from _condition(condition.not_, (*path, "not"))
    ranges: dict[tuple[str | None, ...], tuple[float, float]] = {}
    for part in condition.all or ():
        if part.category or part.fact:
            about = (part.category, part.fact, part.vendor)
            low, high = ranges.get(about, (0.0, float("inf")))
            low = max(low, part.at_least or 0.0)
            high = high if part.below is None else min(high, part.below)
            ranges[about] = low, high
            if low >= high:
                yield Remark(path, f"it never holds: {part.category or part.fact} cannot be both of that.")


def _fact(condition: Condition, path: Path) -> Iterator[Remark]:
    fact = condition.fact or ""
    wanted = condition.one_of if condition.one_of is not None else (condition.equals,)
    compared = condition.at_least is not None or condition.below is not None
    if compared:
        if fact not in _NUMBERS:
            yield Remark(path, f"it never holds: {fact} is no number; use equals or one_of.")
        return
    kind: type = bool if fact in _TRUTHS else int if fact in _NUMBERS else str
    named = {bool: "true or false", int: "a number", str: "a text"}[kind]
    for value in wanted:
        if type(value) is not kind:
            yield Remark(path, f"it never holds: {fact} is {named}, never {value!r}.")
        elif fact == "lane" and value not in set(Lane):
            lanes = [lane.value for lane in Lane]
            yield Remark(
                path, f"it never holds: {value!r} is no lane{near(str(value), lanes)}: use {', '.join(lanes)}."
            )


def _vendors(policy: Policy, vendors: Collection[str]) -> Iterator[Remark]:
    def unknown(name: str, path: Path, known: Collection[str]) -> Iterator[Remark]:
        if name not in known:
            allowed = ", ".join(sorted(known)) or "none is configured"
            yield Remark(path, f"no vendor is named {name!r} here{near(name, known)}: {allowed}.")

    for path, names in ((("ask",), policy.ask), (("lanes", "fast_ask"), policy.lanes.fast_ask)):
        for index, name in enumerate(names):
            yield from unknown(name, (*path, index), vendors)
    heard = {*vendors, *DETECTORS}
    for name in policy.calibration:
        yield from unknown(name, ("calibration", name), heard)
    for index, rule in enumerate(policy.rules):
        for part in rule.when.walk() if rule.when else ():
            for key in ("vendor", "detector"):
                if named := getattr(part, key):
                    yield from unknown(named, ("rules", index, "when"), heard)
