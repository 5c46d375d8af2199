"""Regular expressions on RE2, whose time is linear in the text whatever the pattern: callers' and the gate's own."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from mediagate.text.findings import FindingKind, TextFinding
from mediagate.text.normalise import Mapped
from mediagate.text.policy import TextRegex

MOST_PROGRAM = 4_000
"""RE2 instructions of one pattern; where the fast automaton gives up, time grows with them."""
MOST_PROGRAMS = 40_000
"""Of all patterns of a library together."""
_MEMORY = 2 * 1024 * 1024


@lru_cache(maxsize=512)
def compiled(pattern: str, case_sensitive: bool = False) -> Any:
    """The pattern, ready; `re2._Regexp` has no types.

    Raises:
        ValueError: RE2 does not take it; the message says what is wrong and where.
    """
    import re2

    options = re2.Options()
    options.case_sensitive = case_sensitive
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(_complaint(pattern, error.args[0])) from None


def _complaint(pattern: str, said: bytes | str) -> str:
    """RE2 repeats the part of the pattern that it stopped at."""
    message = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    _, _, part = message.partition(": ")
    place = pattern.find(part) if part else -1
    return f"{message} (at character {place + 1})" if place >= 0 else message


def objections(regexes: Mapping[str, TextRegex]) -> list[str]:
    """What is wrong with patterns, by their place in the settings; empty if nothing is."""
    found, total = [], 0
    for name, regex in regexes.items():
        try:
            program = compiled(regex.pattern, regex.case_sensitive)
        except ValueError as error:
            found.append(f"regexes.{name}.pattern: {error}")
            continue
        if program.fullmatch("") is not None or program.search("") is not None:
            found.append(f"regexes.{name}.pattern: it matches an empty text, so it would match everywhere")
        if program.programsize > MOST_PROGRAM:
            found.append(
                f"regexes.{name}.pattern: it takes {program.programsize} instructions; at most {MOST_PROGRAM} are run:"
                " use smaller repetitions"
            )
        total += program.programsize
    if total > MOST_PROGRAMS:
        found.append(f"regexes: together they take {total} instructions; at most {MOST_PROGRAMS} are run")
    return found


def find(regexes: Mapping[str, TextRegex], cleaned: Mapped) -> Iterator[TextFinding]:
    """The first matches of each pattern, `most` of them at most; empty matches do not count."""
    for name, regex in regexes.items():
        for start, end in spans(compiled(regex.pattern, regex.case_sensitive), cleaned, most=regex.most):
            yield TextFinding(
                kind=FindingKind.REGEX,
                rule=name,
                category=regex.category,
                score=regex.score,
                start=start,
                end=end,
                action=regex.action,
            )


def spans(program: Any, mapped: Mapped, *, most: int) -> Iterator[tuple[int, int]]:
    """Where it matches, as places in the original."""
    for match in islice(program.finditer(mapped.text), most):
        if match.end() > match.start():
            yield mapped.span(match.start(), match.end())
