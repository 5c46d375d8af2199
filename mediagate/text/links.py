"""Links in a text, also those that are written so that no filter sees them, and what a library's lists say of them."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mediagate.media.values import Verdict
from mediagate.moderation.categories import Category
from mediagate.text.findings import FindingKind, FoundLink, TextFinding
from mediagate.text.lookalikes import Protected, imitation
from mediagate.text.normalise import Mapped
from mediagate.text.patterns import compiled
from mediagate.text.policy import LinkPolicy
from mediagate.text.reputation import UrlOpinion
from mediagate.text.urls import AddressList, Url, has_public_suffix, normalised, registrable_domain

MOST_LINKS = 100
"""Of one text; the first are looked at."""

_SHORTENERS = """
    adf.ly amzn.to bit.do bit.ly bitly.com bl.ink buff.ly clck.ru cli.gs cutt.ly db.tt dlvr.it fb.me goo.gl goo.su is.gd
    j.mp kutt.it lnkd.in mcaf.ee ow.ly po.st qr.ae qr.net rb.gy rebrand.ly s.id shorte.st short.io shorturl.at snip.ly
    surl.li t.co t.ly t2m.io tiny.cc tiny.one tinyurl.com tr.im trib.al u.to urlz.fr v.gd vk.cc x.co
"""
SHORTENERS = frozenset(_SHORTENERS.split())
"""Services whose addresses say nothing about where they lead."""

_DOT = r"(?:\.|\[\.\]|\(\.\)|\{\.\}|\s?\[dot\]\s?|\s?\(dot\)\s?|。)"
_LABEL = r"[\pL\pN\pM](?:[\pL\pN\pM_\-]*[\pL\pN\pM])?"
_HOST = rf"{_LABEL}(?:{_DOT}{_LABEL})+"
_TAIL = r"(?:[/\\?#][^\s<>\"“”«»]*)?"
_SCHEME = r"(?:h(?:tt|xx)ps?|ftp|fxp)(?::|\[:\])(?://|\\\\)"
_WITH_SCHEME = rf"{_SCHEME}(?:[^\s/@<>\"]*@)?(?:\[[0-9a-f:.]+\]|{_HOST}|{_LABEL})(?::\d{{1,5}})?{_TAIL}"
_BARE = rf"{_HOST}(?::\d{{1,5}})?{_TAIL}"
_PATTERN = rf"{_WITH_SCHEME}|{_BARE}"
_DOTS = rf"{_DOT}"
_CLOSING = {")": "(", "]": "[", "}": "{"}
_TRAILING = ".,;:!?'’*_…"

ADDRESS_SCORE = 0.4
DISGUISED_SCORE = 0.8


class Placed(NamedTuple):
    """An address and where it stands in the original text."""

    url: Url
    start: int
    end: int


def placed_links(cleaned: Mapped, *, strip_tracking: bool = True) -> list[Placed]:
    """Every link of the text, at most 100; what follows an `@` is the host of a mail address and no link."""
    found: list[Placed] = []
    for match in compiled(_PATTERN).finditer(cleaned.text):
        start, end = match.start(), match.end()
        if (start and cleaned.text[start - 1] == "@") or cleaned.text[end : end + 1] == "@":
            continue
        end = start + len(_trimmed(cleaned.text[start:end]))
        url = _read(cleaned.text[start:end], strip_tracking)
        if url:
            found.append(Placed(url, *cleaned.span(start, end)))
        if len(found) == MOST_LINKS:
            break
    return found


def _trimmed(written: str) -> str:
    """Without what belongs to the sentence: points at the end, and brackets that were opened before the link."""
    while written:
        last = written[-1]
        if last in _TRAILING or (last in _CLOSING and written.count(last) > written.count(_CLOSING[last])):
            written = written[:-1]
        else:
            break
    return written


def _read(written: str, strip_tracking: bool) -> Url | None:
    plain = written.replace("[:]", ":").replace("\\", "/")
    has_scheme = compiled(f"^{_SCHEME}").search(written) is not None
    head, tail = _parted(plain, has_scheme)
    url = normalised(compiled(_DOTS).sub(".", head) + tail, strip_tracking=strip_tracking)
    if url is None or has_scheme:
        return url
    # Without a scheme nearly everything with a point in it would be a link, such as the end.Of a sentence.
    last = head.rpartition(".")[2]
    if not tail and last[:1].isupper() and not last.isupper():
        return None
    return url if has_public_suffix(url.host) or (url.is_address and tail.startswith("/")) else None


def _parted(written: str, has_scheme: bool) -> tuple[str, str]:
    """Up to the host's end, and from there on; only hosts are pulled apart by brackets."""
    begin = written.find("//") + 2 if has_scheme else 0
    end = next((place for place in range(begin, len(written)) if written[place] in "/?#"), len(written))
    return written[:end], written[end:]


class LinkRules:
    """A library's lists, ready to be asked."""

    def __init__(self, policy: LinkPolicy) -> None:
        self._policy = policy
        self._allow, self._block = AddressList(policy.allow), AddressList(policy.block)
        self._protected = [Protected.of(name) for name in policy.protected]

    def described(self, link: Placed, expanded: str) -> FoundLink:
        """The link as callers see it."""
        return FoundLink(
            url=str(link.url),
            host=link.url.host,
            domain=registrable_domain(link.url.host),
            start=link.start,
            end=link.end,
            shortener=is_shortener(link.url),
            expanded=expanded,
        )

    def find(self, link: Placed, expanded: str, opinions: Mapping[str, UrlOpinion]) -> Iterator[TextFinding]:
        """What is to be said of a link, and of where it leads, if that is known."""
        policy, target = self._policy, normalised(expanded) if expanded else None
        ways = [link.url, *([target] if target else [])]

        def finding(rule: str, category: str, score: float, action: Verdict | None) -> TextFinding:
            return TextFinding(
                kind=FindingKind.LINK,
                rule=rule,
                category=category,
                score=score,
                start=link.start,
                end=link.end,
                action=action,
            )

        if all(self._allow.names(url) for url in ways):
            return
        if any(self._block.names(url) for url in ways):
            yield finding("blocked", Category.SPAM.value, 1.0, policy.block_action)
        elif policy.others:
            yield finding("not_allowed", Category.SPAM.value, 0.5, policy.others)
        for url in ways:
            yield from (
                finding(rule, Category.SCAM.value, score, policy.lookalikes) for rule, score in self._imitations(url)
            )
            if opinion := opinions.get(str(url)):
                yield finding("reputation", opinion.category, opinion.score, None)
            if url.disguised:
                yield finding("userinfo", Category.SCAM.value, DISGUISED_SCORE, None)
            if url.is_address:
                yield finding("address", Category.SPAM.value, ADDRESS_SCORE, None)
        if target is None and is_shortener(link.url) and policy.shorteners:
            yield finding("shortener", Category.SPAM.value, 0.5, policy.shorteners)

    def _imitations(self, url: Url) -> Iterator[tuple[str, float]]:
        if url.is_address or any(protected.owns(url.host) for protected in self._protected):
            return
        for protected in self._protected:
            if found := imitation(url.host, protected):
                yield found


def is_shortener(url: Url) -> bool:
    """True if the host is a known shortener with a path: its front page leads nowhere."""
    return url.host.removeprefix("www.") in SHORTENERS and url.path != "/"
