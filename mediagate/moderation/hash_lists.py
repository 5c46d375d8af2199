"""Lists of hashes as files: CSV of our own, and JSON as Meta's ThreatExchange has it. Pure.

**CSV**: UTF-8, a header, then a line for each entry (RFC 4180, but no line breaks inside of a cell). Columns, in any
order: `kind` (`sha256` or `phash`), `value` (hexadecimal), and if wanted `note` and `source`. A cell that a spreadsheet
would take for a formula is written with an apostrophe in front, which is taken away again when it is read
(https://owasp.org/www-community/attacks/CSV_Injection).

**ThreatExchange**: a list of ThreatDescriptor objects, or an object with such a list as `data`, as its API answers
(https://developers.facebook.com/docs/threat-exchange/reference/apis/threat-descriptor). Read are `raw_indicator` or
`indicator`, `type`, `status`, `description`, `owner.name`; also the form of `/threat_updates`, where the statuses are
in `descriptors.data` and `should_delete` marks what was withdrawn
(https://developers.facebook.com/docs/threat-exchange/reference/apis/threat-updates). Of the hashes there
(https://developers.facebook.com/docs/threat-exchange/reference/apis/indicator-type) only SHA-256 are the same as ours;
PDQ, TMK, MD5, SHA-1 and others are other functions of a file, and are left out with a reason.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from mediagate.errors import InvalidRequest
from mediagate.moderation.banks import MOST_NOTE, MOST_SOURCE, EntryKind, KnownHash, Polarity, known_hash

COLUMNS = ("kind", "value", "note", "source")
MOST_LINE = 8192
"""Characters of a line of CSV."""

OWN_TYPE = "MEDIAGATE_PHASH64"
"""Our fingerprints in ThreatExchange's form: a type that nobody else has, so that nobody else compares them."""

_TYPES = {EntryKind.SHA256: "HASH_SHA256", EntryKind.PHASH: OWN_TYPE}
_STATUSES = {Polarity.BAD: "MALICIOUS", Polarity.GOOD: "NON_MALICIOUS"}
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_SPACE = re.compile(r"[ \t\n\r]*")


class Line(NamedTuple):
    """What stands in a line: an entry, or why there is none."""

    number: int
    entry: KnownHash | None
    why: str = ""


class NotOurs(ValueError):
    """It is no entry for this bank; the message says why."""


def read_csv(lines: Iterable[str]) -> Iterator[Line]:
    """Entries and what is none, in order; empty lines are passed over.

    Raises:
        InvalidRequest: the first line is no header, before anything else is read.
    """
    numbered = enumerate(lines, 1)
    columns = _header(next(numbered, (1, ""))[1])
    for number, text in numbered:
        line = text.rstrip("\r\n")
        if line.strip():
            yield _line(number, partial(_of_row, line, columns))


def read_threat_exchange(text: str, polarity: Polarity) -> Iterator[Line]:
    """As `read_csv`; `number` is the line on which a descriptor begins. What stands behind broken JSON is not read.

    Raises:
        InvalidRequest: there is no list, before anything else is read.
    """
    for number, descriptor in _elements(text):
        if isinstance(descriptor, NotOurs):
            yield Line(number, None, str(descriptor))
        else:
            yield _line(number, partial(_of_descriptor, descriptor, polarity))


def write_csv(entries: Iterable[KnownHash], *, header: bool = True) -> str:
    """Lines that `read_csv` reads back, and that no spreadsheet takes for formulas."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    writer.writerows([f"'{cell}" if _FORMULA.match(cell) else cell for cell in entry] for entry in entries)
    return target.getvalue()


def threat_descriptor(entry: KnownHash, polarity: Polarity, category: str) -> str:
    """An entry as one line of ThreatExchange's JSON; as it stands, nobody but its owner would see it there."""
    return json.dumps(
        {
            "raw_indicator": entry.value,
            "type": _TYPES[entry.kind],
            "status": _STATUSES[polarity],
            "description": entry.note,
            "owner": {"name": entry.source},
            "tags": {"data": [{"text": category}] if category else []},
            "privacy_type": "HAS_WHITELIST",
            "share_level": "RED",
        },
        ensure_ascii=False,
    )


def _line(number: int, read: Callable[[], KnownHash]) -> Line:
    try:
        return Line(number, read())
    except ValueError as error:  # NotOurs, and what `known_hash` says
        return Line(number, None, str(error))


def _header(line: str) -> list[str]:
    try:
        columns = [cell.strip().lower() for cell in _cells(line.removeprefix("\ufeff").rstrip("\r\n"))]
    except NotOurs:
        columns = []
    if not {"kind", "value"} <= set(columns) or not set(columns) <= set(COLUMNS) or len(set(columns)) < len(columns):
        raise InvalidRequest(f"Line 1 must name the columns kind and value, and may name note and source: {_cut(line)}")
    return columns


def _of_row(line: str, columns: list[str]) -> KnownHash:
    if len(line) > MOST_LINE:
        raise NotOurs(f"the line has more than {MOST_LINE} characters")
    cells = [cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell for cell in _cells(line)]
    if len(cells) != len(columns):
        raise NotOurs(f"{len(cells)} cells where the header has {len(columns)}")
    row = dict(zip(columns, cells, strict=True))
    kind, value = _kind(row["kind"].strip().lower()), row["value"].strip()
    return known_hash(kind, value, row.get("note", ""), row.get("source", ""))


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise NotOurs(f"no line of CSV: {error}") from error


def _kind(name: str) -> EntryKind:
    try:
        return EntryKind(name)
    except ValueError:
        raise NotOurs(f"{_cut(name)} cannot be compared here: only sha256 and phash can") from None


def _of_descriptor(descriptor: Any, polarity: Polarity) -> KnownHash:
    if not isinstance(descriptor, Mapping):
        raise NotOurs("no descriptor: not an object")
    if descriptor.get("should_delete"):
        raise NotOurs("withdrawn there (should_delete)")
    indicator = descriptor.get("indicator")
    named: Mapping[str, Any] = indicator if isinstance(indicator, Mapping) else {"indicator": indicator}
    type_ = descriptor.get("type", named.get("type"))
    kind = next((kind for kind, name in _TYPES.items() if name == type_), None)
    if kind is None:
        raise NotOurs(f"{_cut(type_)} cannot be compared here: only {' and '.join(_TYPES.values())} can")
    statuses = _statuses(descriptor)
    if statuses != [_STATUSES[polarity]]:
        said = ", ".join(_cut(status) for status in statuses) or "nothing"
        raise NotOurs(f"its status is {said}, and this bank takes {_STATUSES[polarity]}")
    value = descriptor.get("raw_indicator", named.get("indicator"))
    owner = descriptor.get("owner")
    source = owner.get("name") if isinstance(owner, Mapping) else ""
    note = _text(descriptor.get("description"), MOST_NOTE)
    return known_hash(kind, value if isinstance(value, str) else "", note, _text(source, MOST_SOURCE))


def _statuses(descriptor: Mapping[str, Any]) -> list[Any]:
    """The opinions, each once."""
    inner = descriptor.get("descriptors")
    each = inner.get("data") if isinstance(inner, Mapping) else [descriptor]
    opinions = [one for one in each if isinstance(one, Mapping)] if isinstance(each, list) else []
    return [*dict.fromkeys(str(one.get("status")) for one in opinions)]


def _text(value: Any, most: int) -> str:
    """What somebody else wrote, brought into the form that is kept: it is no reason to leave the hash out."""
    if not isinstance(value, str):
        return ""
    return "".join(char if char.isprintable() else " " for char in value)[:most]


def _elements(text: str) -> Iterator[tuple[int, Any]]:
    """Each element of the list with the line on which it begins, decoded one by one."""
    decoder = json.JSONDecoder()
    place = _list_of(text, decoder)
    number, counted = 1, 0
    while text[place : place + 1] != "]":
        number, counted = number + text.count("\n", counted, place), place
        try:
            element, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            yield number, NotOurs("no JSON from here on; nothing of the rest was read")
            return
        yield number, element
        place = _past(text, place)
        if text[place : place + 1] == ",":
            place = _past(text, place + 1)
        elif text[place : place + 1] != "]":
            yield number, NotOurs("the list has no end; nothing of the rest was read")
            return


def _list_of(text: str, decoder: json.JSONDecoder) -> int:
    """Where the first element of the list begins."""
    place = _past(text, 1 if text.startswith("\ufeff") else 0)
    try:
        if text[place : place + 1] == "{":
            place = _data_of(text, _past(text, place + 1), decoder)
    except (ValueError, RecursionError, StopIteration):
        place = len(text)
    if text[place : place + 1] != "[":
        raise InvalidRequest("A JSON list of threat descriptors is needed, or an object with such a list as `data`.")
    return _past(text, place + 1)


def _data_of(text: str, place: int, decoder: json.JSONDecoder) -> int:
    """Where the value of the key `data` begins. Raises ValueError: there is none."""
    while True:
        key, place = decoder.raw_decode(text, place)
        place = _past(text, _past(text, place) + 1)  # the colon
        if key == "data":
            return place
        _, place = decoder.raw_decode(text, place)
        place = _past(text, _past(text, place) + 1)  # the comma


def _past(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _cut(value: Any) -> str:
    shown = str(value)
    visible = "".join(char if char.isprintable() else "?" for char in shown[:40])
    return visible if len(shown) <= 40 else f"{visible}…"
