"""Blocklists compiled into tries of words: looking through a text costs the same for ten entries and ten thousand."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import NamedTuple

from mediagate.text.findings import FindingKind, TextFinding
from mediagate.text.normalise import Mapped, clean, fold
from mediagate.text.policy import Blocklist, Match
from mediagate.text.words import cut, joined, key, reads_as, trimmed

MOST_HITS = 200
"""Findings of one text; who writes more is found out by these."""


@dataclass(slots=True)
class _Node:
    """A place in a trie: what may follow, by key and then by the word of the entry, and the lists that end here."""

    follow: dict[str, dict[str, "_Node"]] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Kind:
    """How one kind of matching sees a text."""

    layers: tuple[Callable[[Mapped], Mapped], ...]
    """Readings of the text; entries have the first."""
    spell: Callable[[str], str]
    key: Callable[[str], str]
    same: Callable[[str, str], bool]
    joins: bool = False


def _itself(mapped: Mapped) -> Mapped:
    return mapped


def _same(word: str, entry: str) -> bool:
    return word == entry


_KINDS = {
    Match.EXACT: _Kind(layers=(_itself,), spell=str, key=str, same=_same),
    Match.WORD: _Kind(layers=(_itself,), spell=str.casefold, key=str, same=_same),
    # A word whose letters all look Latin is either what it is or what it looks like.
    Match.NORMALISED: _Kind(
        layers=(partial(fold, whole_words=False), fold), spell=str, key=key, same=reads_as, joins=True
    ),
}
_ALLOWED = ""
"""The name under which exceptions stand in the tries; no list can have it."""


class Blocklists:
    """All lists of a library, ready to be looked for; takes some 50 ms to make for 10,000 entries."""

    def __init__(self, lists: Mapping[str, Blocklist], allow: Collection[str]) -> None:
        """`allow`: words and phrases in which nothing is found, compared as `Match.WORD` does."""
        self._lists = dict(lists)
        self._tries = {kind: _Node() for kind in Match}
        for name, one in lists.items():
            for entry in one.entries:
                self._put(one.match, entry, name)
        for entry in allow:
            self._put(Match.WORD, entry, _ALLOWED)

    @property
    def languages(self) -> bool:
        """True if it matters which language a text is in."""
        return any(one.language for one in self._lists.values())

    def _put(self, match: Match, entry: str, name: str) -> None:
        kind, node = _KINDS[match], self._tries[match]
        words = [kind.spell(word.text) for word in cut(kind.layers[0](clean(entry)).text)]
        for word in words:
            node = node.follow.setdefault(kind.key(word), {}).setdefault(word, _Node())
        if words:
            node.lists.add(name)

    def find(self, cleaned: Mapped, language: str = "") -> list[TextFinding]:
        """Every hit of lists that are for this language, or for all; every list, if the language is not known."""
        hits = {
            (start, end, name)
            for match, trie in self._tries.items()
            if trie.follow
            for layer in _differing(_KINDS[match], cleaned)
            for start, end, name in _hits(_KINDS[match], trie, layer)
        }
        excused = _Spans((start, end) for start, end, name in hits if name == _ALLOWED)
        found = [
            self._finding(name, start, end)
            for start, end, name in sorted(hits)
            if name != _ALLOWED and self._applies(name, language) and not excused.cover(start, end)
        ]
        return found[:MOST_HITS]

    def _applies(self, name: str, language: str) -> bool:
        own = self._lists[name].language
        return not own or not language or own == language

    def _finding(self, name: str, start: int, end: int) -> TextFinding:
        one = self._lists[name]
        return TextFinding(
            kind=FindingKind.BLOCKLIST,
            rule=name,
            category=one.category,
            score=one.score,
            start=start,
            end=end,
            action=one.action,
        )


class _Spans:
    """Answers whether one of many spans covers another."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(spans)
        self._starts = [start for start, _ in ordered]
        self._reach = list(accumulate((end for _, end in ordered), max))

    def cover(self, start: int, end: int) -> bool:
        number = bisect_right(self._starts, start)
        return number > 0 and self._reach[number - 1] >= end


def _differing(kind: _Kind, cleaned: Mapped) -> Iterable[Mapped]:
    """The readings of a text, each once."""
    return {layer.text: layer for layer in (read(cleaned) for read in kind.layers)}.values()


class _Step(NamedTuple):
    """One way to read the word at some place: its key, how it is spelled, where it stands, and what comes after."""

    key: str
    text: str
    start: int
    end: int
    after: int


def _steps(kind: _Kind, layer: Mapped) -> list[list[_Step]]:
    words = cut(layer.text)
    together = joined(layer.text, words) if kind.joins else {}
    steps = []
    for number, word in enumerate(words):
        readings = [(one, number + 1) for one in trimmed(word)]
        if number in together:
            whole, after = together[number]
            readings += [(one, after) for one in trimmed(whole)]
        spelled = ((kind.spell(one.text), one, after) for one, after in readings)
        steps.append([_Step(kind.key(text), text, one.start, one.end, after) for text, one, after in spelled])
    return steps


def _hits(kind: _Kind, trie: _Node, layer: Mapped) -> Iterator[tuple[int, int, str]]:
    steps = _steps(kind, layer)
    for first in range(len(steps)):
        # What is reached of the trie, at which place of the text, and where that began.
        reached = {(id(trie), first): (trie, first, -1)}
        while reached:
            further: dict[tuple[int, int], tuple[_Node, int, int]] = {}
            for node, number, begun in reached.values():
                for step in steps[number] if number < len(steps) else ():
                    begin = begun if begun >= 0 else step.start
                    for child in _children(kind, node, step):
                        for name in child.lists:
                            yield *layer.span(begin, step.end), name
                        further[id(child), step.after] = child, step.after, begin
            reached = further


def _children(kind: _Kind, node: _Node, step: _Step) -> Iterator[_Node]:
    follow = node.follow.get(step.key)
    if follow:
        yield from (child for entry, child in follow.items() if kind.same(step.text, entry))
