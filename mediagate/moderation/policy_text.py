"""The text of a policy document, YAML or JSON, as plain data that remembers the lines it came from.

The YAML is that of JSON's types: nothing is taken for a date, a set or an object, and `no` and `on` are words. Anchors
and aliases are refused, because a few lines of them unfold to gigabytes; so are keys that come twice.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from mediagate.errors import InvalidRequest, TooLarge

MAX_BYTES = 64 * 1024
DEEPEST = 24
"""Levels of lists and mappings inside each other: those of a policy, with room for being told what is wrong."""
MOST_NODES = 10_000

Path = tuple[str | int, ...]


class Parsed(NamedTuple):
    """Data, and the lines on which its parts begin; JSON has none."""

    data: Any
    lines: Mapping[Path, int]


def read(text: str) -> Parsed:
    """The data of a document.

    Raises:
        TooLarge: it has more than 64 KiB.
        InvalidRequest: it is neither JSON nor YAML of JSON's types; the message says where.
    """
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise TooLarge(f"A policy document has at most {MAX_BYTES // 1024} KiB.")
    if text.lstrip().startswith("{"):
        try:
            return Parsed(json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number), {})
        except json.JSONDecodeError:
            pass  # YAML in flow style begins like that as well, and says where it is wrong
        except RecursionError:
            raise InvalidRequest(f"The document cannot be read: it is more than {DEEPEST} levels deep.") from None
        except ValueError as error:
            raise InvalidRequest(f"The document cannot be read: {error}.") from error
    try:
        return _read_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise InvalidRequest(f"The document cannot be read: {error.problem or error.context}{where}.") from error
    except yaml.YAMLError as error:  # a character that no document may have
        raise InvalidRequest(f"The document cannot be read: {str(error).splitlines()[0]}.") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:64]!r} comes twice")
        found[key] = value
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not allowed")


def _read_yaml(text: str) -> Parsed:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise InvalidRequest("The document is empty.")
        lines: dict[Path, int] = {}
        return Parsed(_plain(loader, node, (), lines), lines)
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses what is not JSON's before anything is built of it."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  (as in the base class)
    depth = nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _wrong("anchors and aliases are not allowed: write it out", event.start_mark)
        if self.depth >= DEEPEST:
            raise _wrong(f"it is more than {DEEPEST} levels deep", event.start_mark)
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise _wrong(f"it has more than {MOST_NODES} values", event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), ["t", "f"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(0|[1-9][0-9]{0,17})$"), list("-0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^-?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]{1,3})?$"),
    list("-.0123456789"),
)

_SCALARS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "null", "bool", "int", "float"))


def _plain(loader: _Loader, node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in _SCALARS:
                raise _wrong("a key must be a word", key_node.start_mark)
            if key == "<<":
                raise _wrong("merging by << is not allowed: write it out", key_node.start_mark)
            if key in found:
                raise _wrong(f"the key {key[:64]!r} comes twice", key_node.start_mark)
            lines[(*path, key)] = key_node.start_mark.line + 1
            found[key] = _plain(loader, value_node, (*path, key), lines)
        return found
    if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
        return [_plain(loader, item, (*path, index), lines) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
        try:
            return loader.construct_object(node)
        except (ValueError, KeyError):  # a tag that does not fit, such as `!!int word`
            raise _wrong(f"{node.value[:64]!r} is no {node.tag.rpartition(':')[2]}", node.start_mark) from None
    raise _wrong(f"the tag {node.tag} is not allowed", node.start_mark)


def _wrong(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, problem, mark)
