"""Policies as documents: read from YAML or JSON and checked, written in one canonical form, compared.

What a document may say is what `Policy` has; `docs/how-a-decision-is-made.md` has one with everything in it.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError

from mediagate.errors import InvalidRequest, TooLarge
from mediagate.media.values import Value
from mediagate.moderation.policy import Policy
from mediagate.moderation.policy_checks import Remark, near, remarks
from mediagate.moderation.policy_text import Parsed, Path, read

MOST_TOLD = 5
"""Errors that one refusal names."""


class Problem(Value):
    """Something about a document that is wrong, or that is probably not meant."""

    message: str
    path: str = Field("", description="in the document: `rules[0].then.verdict`; empty: the whole of it")
    line: int | None = Field(None, description="in the text, from 1; None: it is JSON, or was no text")
    warning: bool = Field(False, description="the document is valid all the same")

    def __str__(self) -> str:
        line = f" (line {self.line})" if self.line else ""
        where = f"{self.path}{line}: " if self.path else ""
        return f"{where}{self.message}"


class Checked(Value):
    """What became of a document."""

    policy: Policy | None = Field(None, description="None: there are errors")
    problems: tuple[Problem, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What makes it invalid."""
        return tuple(problem for problem in self.problems if not problem.warning)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is valid but looks like a mistake."""
        return tuple(problem for problem in self.problems if problem.warning)


def parse(document: str | Mapping[str, Any], *, vendors: Collection[str] | None = None) -> Policy:
    """The policy in a document, YAML or JSON text or data. `vendors`: names that it may ask; None: any.

    Raises:
        TooLarge: it has more than 64 KiB.
        InvalidRequest: it is not valid; the message names the first errors, with path and line.
    """
    checked = check(document, vendors=vendors)
    if checked.policy is not None:
        return checked.policy
    told = [str(problem) for problem in checked.errors[:MOST_TOLD]]
    more = len(checked.errors) - len(told)
    raise InvalidRequest(" ".join(told) + (f" And {more} more." if more else ""))


def check(document: str | Mapping[str, Any], *, vendors: Collection[str] | None = None) -> Checked:
    """As `parse`, but telling all errors, and warnings as well.

    Raises:
        TooLarge: it has more than 64 KiB.
    """
    try:
        parsed = read(document if isinstance(document, str) else _as_json(document))
        as_json = json.dumps(parsed.data, ensure_ascii=False)
        if re.search(r"\\u0000|[\ud800-\udfff]", as_json):
            raise InvalidRequest("The document contains NUL or a lone surrogate.")
    except TooLarge:
        raise
    except InvalidRequest as error:
        return Checked(problems=(Problem(message=error.message),))
    if not isinstance(parsed.data, dict):
        return Checked(problems=(Problem(message="A policy is a mapping of names to values."),))
    wrong = [*_unknown(Policy, parsed.data, ())]
    try:
        policy = Policy.model_validate_json(as_json, strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False)
        wrong += [_refused(detail, parsed.data) for detail in details if detail["type"] != "extra_forbidden"]
        return Checked(problems=tuple(_problem(remark, parsed) for remark in wrong))
    wrong += remarks(policy, parsed.data, vendors)
    valid = all(remark.warning for remark in wrong)
    return Checked(policy=policy if valid else None, problems=tuple(_problem(remark, parsed) for remark in wrong))


def canonical(policy: Policy) -> dict[str, Any]:
    """Everything that the policy says, defaults included, as JSON data; `parse` makes the same policy of it."""
    return policy.model_dump(mode="json", by_alias=True) | {"rules": [_rule(rule) for rule in policy.rules]}


def digest(policy: Policy) -> str:
    """Hex SHA-256 of what the policy says, but for its name and version: what decides alike has the same one."""
    said = {key: value for key, value in canonical(policy).items() if key not in {"name", "version"}}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def diff(old: Policy, new: Policy) -> tuple[str, ...]:
    """What is different in the new one, a sentence each, for people; nothing if they say the same."""
    names = [[rule.name for rule in policy.rules] for policy in (old, new)]
    common = {*names[0]} & {*names[1]}
    before, after = dict(_flat(canonical(old), common)), dict(_flat(canonical(new), common))
    told = []
    for path in dict.fromkeys([*before, *after]):
        if path not in before:
            told.append(f"{path} is new: {_shown(after[path])}")
        elif path not in after:
            told.append(f"{path} is gone: {_shown(before[path])}")
        elif before[path] != after[path]:
            told.append(f"{path}: {_shown(before[path])} → {_shown(after[path])}")
    if [name for name in names[0] if name in common] != [name for name in names[1] if name in common]:
        told.append(f"rules: their order was {', '.join(names[0])}; it is {', '.join(names[1])}")
    return tuple(told)


def _as_json(document: Mapping[str, Any]) -> str:
    try:
        return json.dumps(document, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"The document is no JSON: {error}.") from error


def _rule(rule: BaseModel) -> dict[str, Any]:
    """Conditions have a dozen fields, of which two or three say something."""
    return rule.model_dump(mode="json", by_alias=True, exclude_none=True)


def _flat(value: Any, common: Collection[str], path: Path = ()) -> Iterator[tuple[str, Any]]:
    """Paths and values; rules by their names, in parts only where both policies have them."""
    if path == ("rules",):
        for rule in value:
            said = {key: part for key, part in rule.items() if key != "name"}
            yield from _flat(said, common, (*path, rule["name"]))
    elif isinstance(value, dict) and value and not _is_whole(path, common):
        for key, part in value.items():
            yield from _flat(part, common, (*path, key))
    else:
        yield _dotted(path), value


def _is_whole(path: Path, common: Collection[str]) -> bool:
    return path[:1] == ("rules",) and (path[-1] == "when" or (len(path) == 2 and path[1] not in common))


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _unknown(model: type[BaseModel], data: Any, path: Path) -> Iterator[Remark]:
    """Keys that the model does not have, here and below."""
    if not isinstance(data, dict):
        return
    fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    for key, value in data.items():
        if key in fields:
            yield from _unknown_inside(fields[key], value, (*path, key))
        else:
            allowed = f"use {', '.join(fields)}"
            yield Remark((*path, key), f"{_quoted(key)} is not known here{near(key, fields)}: {allowed}.")


def _unknown_inside(annotation: Any, value: Any, path: Path) -> Iterator[Remark]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _unknown(annotation, value, path)
    elif origin is Annotated:
        yield from _unknown_inside(inner[0], value, path)
    elif origin in (Union, UnionType):
        for one in inner:
            yield from _unknown_inside(one, value, path)
    elif origin is tuple and isinstance(value, list):
        for index, part in enumerate(value):
            yield from _unknown_inside(inner[0], part, (*path, index))
    elif origin is dict and isinstance(value, dict):
        for key, part in value.items():
            yield from _unknown_inside(inner[1], part, (*path, key))


def _refused(detail: Any, data: Any) -> Remark:
    """One of pydantic's errors in the words of the document."""
    path = _existing(detail["loc"], data, required=detail["type"] == "missing")
    given, message = detail["input"], detail["msg"]
    match detail["type"]:
        case "missing":
            message = "it is required"
        case "enum" | "literal_error":
            allowed = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
            message = f"{_quoted(given)} is not allowed{near(str(given), allowed)}: use {', '.join(allowed)}"
        case "string_type" if isinstance(given, int | float):
            message = f'it must be a text: write "{given}" in quotes'
        case "value_error":
            message = message.removeprefix("Value error, ")
        case _:
            message = message.replace("Input should", "it must").replace("should", "must")
            message = message.replace("a valid dictionary or object to extract fields from", "a mapping of names")
            message = message.replace("an object", "a mapping of names").replace("a valid array", "a list")
            message += f", not {_quoted(given)}" if isinstance(given, str | int | float | None) else ""
    return Remark(path, f"{message}.")


def _existing(loc: tuple[int | str, ...], data: Any, *, required: bool) -> Path:
    """The path as far as the document has it; pydantic adds names of types and the like."""
    path: list[int | str] = []
    for part in loc:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return (*path, part) if required else tuple(path)
        path.append(part)
    return tuple(path)


def _problem(remark: Remark, parsed: Parsed) -> Problem:
    known = (remark.path[:length] for length in range(len(remark.path), -1, -1))
    line = next((parsed.lines[path] for path in known if path in parsed.lines), None)
    return Problem(message=remark.message, path=_dotted(remark.path), line=line, warning=remark.warning)


def _dotted(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part[:64]}" for part in path).removeprefix(".")


def _quoted(value: Any) -> str:
    return repr(value)[:70]
