"""The one look at a text: every rule of a library's policy, in time linear in the text."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice

from mediagate.text import language as languages
from mediagate.text import patterns, pii, scam
from mediagate.text.blocklists import Blocklists
from mediagate.text.findings import TextFinding, TextFindings
from mediagate.text.links import LinkRules, placed_links
from mediagate.text.normalise import clean, fold
from mediagate.text.policy import TextPolicy
from mediagate.text.reputation import UrlOpinion
from mediagate.text.urls import normalised
from mediagate.text.words import cut

MOST_WORDS = 20
"""Of an entry of a blocklist; in scripts without spaces each character is one."""
MOST_PERSONAL = 200
"""Findings of one text; all are redacted."""


def version(policy: TextPolicy) -> str:
    """Names a policy by what it says: SHA-256 in hex."""
    return hashlib.sha256(policy.model_dump_json().encode()).hexdigest()


@dataclass(frozen=True)
class _Versioned:
    """A policy as a key: equal if its version is."""

    version: str
    policy: TextPolicy = field(compare=False)


@dataclass(frozen=True)
class _Rules:
    """What is made of a policy once."""

    blocklists: Blocklists
    links: LinkRules


@lru_cache(maxsize=32)
def _rules(versioned: _Versioned) -> _Rules:
    policy = versioned.policy
    return _Rules(Blocklists(policy.blocklists, policy.allow), LinkRules(policy.links))


def objections(policy: TextPolicy) -> list[str]:
    """What types cannot say is wrong with a policy, by its place in the settings; empty if it can be used."""
    found = [
        f"blocklists.{name}.entries: {entry!r} has {words} words; at most {MOST_WORDS} are looked for"
        for name, one in policy.blocklists.items()
        for entry in one.entries
        if (words := len(cut(entry))) > MOST_WORDS
    ]
    found += patterns.objections(policy.regexes)
    for name in ("allow", "block", "protected"):
        for entry in getattr(policy.links, name):
            if normalised(entry) is None:
                found.append(f"links.{name}: {entry!r} is no domain and no URL")
    return found


def links_in(text: str, policy: TextPolicy) -> list[str]:
    """Every address in the text, normalised, as `look` will ask for it."""
    links = placed_links(clean(text), strip_tracking=policy.links.strip_tracking)
    return list(dict.fromkeys(str(link.url) for link in links))


def look(
    text: str,
    policy: TextPolicy,
    *,
    language: str = "",
    expanded: Mapping[str, str] | None = None,
    opinions: Mapping[str, UrlOpinion] | None = None,
) -> TextFindings:
    """What the policy's rules find, in the order of the text. The values that are found are not in the answer.

    Args:
        text: as it was given, at most 20,000 characters.
        policy: checked by `objections` when it was set.
        language: BCP 47, as declared; without one it is detected, where lists are for some languages only.
        expanded: where short links lead, by normalised URL.
        opinions: what others say of addresses, by normalised URL.

    Raises:
        InvalidRequest: the text is too long.
    """
    rules = _rules(_Versioned(version(policy), policy))
    cleaned = clean(text)
    tongue = languages.language_of(cleaned.text, language) if language or rules.blocklists.languages else ""
    links = placed_links(cleaned, strip_tracking=policy.links.strip_tracking)
    ends = expanded or {}
    found = chain(
        rules.blocklists.find(cleaned, tongue),
        patterns.find(policy.regexes, cleaned),
        islice(pii.findings(pii.personal(cleaned, policy.pii), policy.pii), MOST_PERSONAL),
        scam.find(fold(cleaned), policy.scam_action) if policy.scam else (),
        chain.from_iterable(rules.links.find(link, ends.get(str(link.url), ""), opinions or {}) for link in links),
    )
    return TextFindings(
        findings=tuple(sorted(found, key=_place)),
        links=tuple(rules.links.described(link, ends.get(str(link.url), "")) for link in links),
        language=tongue,
    )


def _place(finding: TextFinding) -> tuple[int, int, str]:
    return finding.start, finding.end, finding.label
