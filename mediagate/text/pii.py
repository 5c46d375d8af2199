"""Personal data in a text: mail addresses, telephone numbers, payment cards, IBANs, national ids, IP addresses.

A finding says where and what kind; the value itself goes nowhere.
"""

import ipaddress
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice

from mediagate.moderation.categories import Category
from mediagate.text.findings import FindingKind, TextFinding
from mediagate.text.national_ids import Personal, national_ids
from mediagate.text.normalise import Mapped, clean
from mediagate.text.patterns import compiled
from mediagate.text.policy import PiiKind, PiiPolicy

MOST_PHONES = 200
_MOST_WINDOWS = 2_000
"""Runs of digit groups of one text that are looked at for cards."""
_LONGEST_IBAN = 34
_TRIES = 2_000
"""Candidates for telephone numbers that are tried, each some 50 µs."""

_AT = r"\s?(?:\(at\)|\[at\]|\{at\}|\(@\)|\[@\])\s?"
_DOT = r"\s?(?:\.|\(dot\)|\[dot\]|\{dot\}|\(\.\)|\[\.\])\s?"
_MAIL = r"[\pL\pN._%+\-]+@(?:[\pL\pN\-]+\.)+\pL\pL+"
_HIDDEN_MAIL = rf"[\pL\pN._%+\-]+{_AT}[\pL\pN\-]+(?:{_DOT}[\pL\pN\-]+)*{_DOT}\pL\pL+"
_DIGITS = r"\d(?:[ .\-]?\d){11,}"
_IBAN_START = r"\b[A-Z]{2}\d{2}"
_IPV4 = r"\b(?:\d{1,3}\.){3}\d{1,3}\b"
_IPV6 = r"(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}"

_ISSUERS: tuple[tuple[range, int, frozenset[int]], ...] = (
    (range(4, 5), 1, frozenset({13, 16, 19})),  # Visa
    (range(51, 56), 2, frozenset({16})),  # Mastercard
    (range(2221, 2721), 4, frozenset({16})),  # Mastercard
    (range(34, 35), 2, frozenset({15})),  # American Express
    (range(37, 38), 2, frozenset({15})),  # American Express
    (range(300, 306), 3, frozenset({14, 16})),  # Diners Club
    (range(36, 37), 2, frozenset({14, 16})),  # Diners Club
    (range(38, 40), 2, frozenset({14, 16})),  # Diners Club
    (range(6011, 6012), 4, frozenset({16, 19})),  # Discover
    (range(644, 660), 3, frozenset({16, 19})),  # Discover
    (range(3528, 3590), 4, frozenset({16, 17, 18, 19})),  # JCB
    (range(62, 63), 2, frozenset({16, 17, 18, 19})),  # UnionPay
    (range(50, 51), 2, frozenset({12, 13, 14, 15, 16, 17, 18, 19})),  # Maestro
    (range(56, 59), 2, frozenset({12, 13, 14, 15, 16, 17, 18, 19})),  # Maestro
    (range(67, 68), 2, frozenset({12, 13, 14, 15, 16, 17, 18, 19})),  # Maestro
    (range(2200, 2205), 4, frozenset({16, 17, 18, 19})),  # Mir
    (range(60, 61), 2, frozenset({16})),  # RuPay
)
"""Leading digits, how many of them, and lengths (https://en.wikipedia.org/wiki/Payment_card_number)."""


def personal(text: str | Mapped, policy: PiiPolicy) -> list[Personal]:
    """What is found, in order and without overlaps: of two in one place the surer one, then the longer."""
    cleaned = clean(text) if isinstance(text, str) else text
    wanted = set(policy.kinds)
    found = [
        Personal(one.kind, *cleaned.span(one.start, one.end), one.confidence)
        for one in _candidates(cleaned.text, policy)
        if one.kind in wanted
    ]
    return _apart(found)


def findings(people: Iterable[Personal], policy: PiiPolicy) -> Iterator[TextFinding]:
    """The same for the policy: all are of the category `pii`, and weigh what the policy says, by how sure they are."""
    for one in people:
        yield TextFinding(
            kind=FindingKind.PII,
            rule=one.kind.value,
            category=Category.PII.value,
            score=round(policy.score * one.confidence, 3),
            start=one.start,
            end=one.end,
            action=policy.action,
        )


def redact(text: str, people: Iterable[Personal]) -> str:
    """The text with `[mail]`, `[card]`, … in place of what was found."""
    parts, place = [], 0
    for one in sorted(people, key=lambda found: found.start):
        parts += [text[place : one.start], one.kind.placeholder]
        place = one.end
    return "".join([*parts, text[place:]])


def redacted(text: str, policy: PiiPolicy) -> str:
    """The text as readers may see it. Raises InvalidRequest for one that is longer than is looked at."""
    if not _may_hold_any(text):
        return text
    return redact(text, personal(text, policy))


def _may_hold_any(text: str) -> bool:
    """False for nearly all captions, quickly: everything that is looked for has digits, or an at sign."""
    return any(char.isnumeric() or char in "@＠﹫" for char in text) or "at" in text.casefold()


def _apart(found: list[Personal]) -> list[Personal]:
    taken: list[Personal] = []
    for one in sorted(found, key=lambda p: (-p.confidence, p.start - p.end, p.start, p.kind)):
        place = bisect_left(taken, one.start, key=lambda p: p.start)
        free_before = place == 0 or taken[place - 1].end <= one.start
        if free_before and (place == len(taken) or one.end <= taken[place].start):
            taken.insert(place, one)
    return taken


def _candidates(text: str, policy: PiiPolicy) -> Iterator[Personal]:
    """Places here are those of the cleaned text."""
    if "@" in text:
        yield from _matches(PiiKind.MAIL, _MAIL, text, 0.98)
    if "at" in text.casefold() or "@" in text:
        yield from _matches(PiiKind.MAIL, _HIDDEN_MAIL, text, 0.85)
    if not any(char.isdigit() for char in text):
        return
    if PiiKind.PHONE in policy.kinds:
        yield from _phones(text, policy.region)
    yield from _cards(text)
    yield from _ibans(text)
    yield from national_ids(text)
    if PiiKind.IP in policy.kinds:
        yield from _addresses(text)


def _matches(kind: PiiKind, pattern: str, text: str, confidence: float) -> Iterator[Personal]:
    for match in compiled(pattern).finditer(text):
        yield Personal(kind, match.start(), match.end(), confidence)


def _phones(text: str, region: str | None) -> Iterator[Personal]:
    import phonenumbers

    matcher = phonenumbers.PhoneNumberMatcher(text, region, max_tries=_TRIES)
    for count, match in enumerate(matcher):
        if count == MOST_PHONES:
            return
        yield Personal(PiiKind.PHONE, match.start, match.end, 0.9 if "+" in match.raw_string else 0.75)


def _cards(text: str) -> Iterator[Personal]:
    for match in compiled(_DIGITS).finditer(text):
        yield from _cards_among(match.group(), match.start())


def _cards_among(digits: str, offset: int) -> Iterator[Personal]:
    """Whole groups of digits side by side that are a card's number: others may stand right before or after it."""
    from stdnum import luhn

    groups = list(re.finditer("[0-9]+", digits))
    windows = 0
    for first, group in enumerate(groups):
        number = ""
        for last in islice(groups, first, first + 19):
            number += last.group()
            windows += 1
            if len(number) > 19 or windows > _MOST_WINDOWS:
                break
            if len(number) >= 12 and _is_issued(number) and luhn.is_valid(number):
                yield Personal(PiiKind.CARD, offset + group.start(), offset + last.end(), 0.95)
        if windows > _MOST_WINDOWS:
            return


def _is_issued(number: str) -> bool:
    return any(len(number) in lengths and int(number[:digits]) in prefixes for prefixes, digits, lengths in _ISSUERS)


def _ibans(text: str) -> Iterator[Personal]:
    """Valid ones; words may follow right behind, so the country says how long each is."""
    from stdnum import iban

    for match in compiled(_IBAN_START).finditer(text):
        compact, ends = "", []
        for place in range(match.start(), min(len(text), match.start() + 2 * _LONGEST_IBAN)):
            char = text[place]
            if char.isascii() and char.isalnum() and len(compact) < _LONGEST_IBAN:
                compact += char.upper()
                ends.append(place + 1)
            elif char not in " -":
                break
        length = _iban_length(compact[:2])
        if length and length <= len(compact) and iban.is_valid(compact[:length]):
            yield Personal(PiiKind.IBAN, match.start(), ends[length - 1], 0.98)


@cache
def _iban_length(country: str) -> int:
    """Of a country's IBANs; 0 if it has none. `stdnum` knows the form of what follows the first four characters."""
    from stdnum import numdb

    info: dict[str, str] = numdb.get("iban").info(country)[0][1]
    parts = re.findall("[0-9]+", info.get("bban", ""))
    return 4 + sum(int(part) for part in parts) if parts else 0


def _addresses(text: str) -> Iterator[Personal]:
    for pattern in (_IPV4, _IPV6):
        for match in compiled(pattern).finditer(text):
            try:
                ipaddress.ip_address(match.group())
            except ValueError:
                continue
            yield Personal(PiiKind.IP, match.start(), match.end(), 0.8)
