"""Links: how they are written, what they are, and whom they imitate."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediagate.media.values import Verdict
from mediagate.text.findings import TextFinding
from mediagate.text.links import MOST_LINKS, LinkRules, placed_links
from mediagate.text.lookalikes import Protected, imitation
from mediagate.text.normalise import MOST_CHARACTERS, clean
from mediagate.text.policy import LinkPolicy
from mediagate.text.reputation import MemoryReputation, UrlOpinion
from mediagate.text.urls import AddressList, normalised, registrable_domain
from tests.unit.text.texts import TRICKY, seconds


def urls(text: str) -> list[str]:
    return [str(link.url) for link in placed_links(clean(text))]


class TestExtraction:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("see https://www.example.com/a?b=1).", ["https://www.example.com/a?b=1"]),
            ("(http://example.com/foo_(bar))", ["http://example.com/foo_(bar)"]),
            ("«example.com», [example.org/x]!", ["http://example.com/", "http://example.org/x"]),
            ("evil[.]com/x and evil(dot)org", ["http://evil.com/x", "http://evil.org/"]),
            ("hxxps://evil[.]com hxxp[:]//evil.org", ["https://evil.com/", "http://evil.org/"]),
            ("ｅｘａｍｐｌｅ．ｃｏｍ and exam\u200bple.org", ["http://example.com/", "http://example.org/"]),
            ("пример.рф", ["http://xn--e1afmkfd.xn--p1ai/"]),
            ("paypal.com.evil.test", ["http://paypal.com.evil.test/"]),
            ("https:\\\\evil.com\\x", ["https://evil.com/x"]),
            ("http://127.1/ 10.0.0.1/x", ["http://127.0.0.1/", "http://10.0.0.1/x"]),
            ("the end.Next one, e.g. this, 1.2.3, ok...", []),
            ("me@example.com", []),
            ("photo.jpg", []),
        ],
    )
    def test_how_they_are_written(self, text: str, found: list[str]) -> None:
        assert urls(text) == found

    def test_places_are_those_of_the_original(self) -> None:
        text = "so: ｈxxp://evil[.]com/a, yes"
        (link,) = placed_links(clean(text))
        assert text[link.start : link.end] == "ｈxxp://evil[.]com/a"

    def test_no_more_than_a_hundred(self) -> None:
        assert len(urls("a.com " * 500)) == MOST_LINKS


class TestNormalising:
    @pytest.mark.parametrize(
        ("written", "url"),
        [
            ("HTTP://EXAMPLE.com:80", "http://example.com/"),
            ("https://example.com:443/#top", "https://example.com/"),
            ("https://example.com:8443/", "https://example.com:8443/"),
            ("example.com/a/../b/./c/%2e%2E/d", "http://example.com/b/d"),
            ("example.com/../..", "http://example.com/"),
            ("https://me:pw@example.com/", "https://example.com/"),
            ("https://paypal.com@evil.test/x", "https://evil.test/x"),
            ("http://2130706433", "http://127.0.0.1/"),
            ("http://0x7f.1", "http://127.0.0.1/"),
            ("http://0177.0.0.1", "http://127.0.0.1/"),
            ("http://[::FFFF:7f00:1]:80/", "http://[::ffff:7f00:1]/"),
            ("http://faß.de", "http://xn--fa-hia.de/"),
            ("http://ex%61mple.com./", "http://example.com/"),
            ("http://a_b.example", "http://a_b.example/"),
            ("example.com/ü?q=ä b", "http://example.com/%C3%BC?q=%C3%A4%20b"),
            ("example.com/?utm_source=x&b=1&fbclid=2", "http://example.com/?b=1"),
            ("http://a\tb.com", "http://ab.com/"),
        ],
    )
    def test_one_form(self, written: str, url: str) -> None:
        assert str(normalised(written)) == url

    @pytest.mark.parametrize(
        "written", ["", "http://", "javascript://x", "http://a b/", "http://a..b", "http://x:99999/", "mailto:a@b.c"]
    )
    def test_what_nothing_could_open(self, written: str) -> None:
        assert normalised(written) is None

    def test_tracking_stays_if_it_is_wished(self) -> None:
        assert str(normalised("example.com/?utm_source=x", strip_tracking=False)) == "http://example.com/?utm_source=x"

    @settings(derandomize=True, max_examples=150, deadline=None, database=None)
    @given(TRICKY | st.text(st.sampled_from("ab.:/@?#%[]x0\\é"), max_size=40))
    def test_a_second_time_changes_nothing(self, written: str) -> None:
        url = normalised(written)
        assert url is None or str(normalised(str(url))) == str(url)

    @pytest.mark.parametrize(
        ("host", "domain"),
        [
            ("www.example.co.uk", "example.co.uk"),
            ("a.b.example.com", "example.com"),
            ("x.github.io", "github.io"),
            ("a.evil.test", "evil.test"),
            ("10.0.0.1", "10.0.0.1"),
            ("localhost", "localhost"),
        ],
    )
    def test_what_was_registered(self, host: str, domain: str) -> None:
        assert registrable_domain(host) == domain


class TestLists:
    @pytest.mark.parametrize(
        ("url", "named"),
        [
            ("evil.com", True),
            ("https://a.b.evil.com/x", True),
            ("notevil.com", False),
            ("host.com/bad", True),
            ("host.com/bad/worse?x=1", True),
            ("host.com/badly", False),
            ("www.host.com/bad", True),
            ("host.com/", False),
            ("http://10.0.0.1/x", True),
        ],
    )
    def test_domains_and_prefixes(self, url: str, named: bool) -> None:
        parsed = normalised(url)
        assert parsed
        assert AddressList(("evil.com", "host.com/bad", "10.0.0.1")).names(parsed) is named


class TestLookalikes:
    @pytest.mark.parametrize(
        ("host", "found"),
        [
            ("xn--pypal-4ve.com", ("lookalike", 0.95)),
            ("paypa1.com", ("lookalike", 0.95)),
            ("pаypаl.example", ("lookalike", 0.95)),
            ("páypal.com", ("lookalike", 0.95)),
            ("p4yp4l.com", ("lookalike", 0.9)),
            ("paypal.com.evil.test", ("lookalike_subdomain", 0.9)),
            ("www.paypal.com.evil.test", ("lookalike_subdomain", 0.9)),
            ("payapl.com", ("lookalike", 0.7)),
            ("paypall.com", ("lookalike", 0.7)),
            ("paypal.net", ("lookalike_name", 0.6)),
            ("secure-paypal.com", ("lookalike_name", 0.6)),
            ("paypal.evil.test", ("lookalike_name", 0.6)),
            ("paypa1-login.evil.test", ("lookalike_name", 0.6)),
            ("payday.com", None),
            ("papal.org.uk.test", None),
            ("example.com", None),
        ],
    )
    def test_who_imitates(self, host: str, found: tuple[str, float] | None) -> None:
        assert imitation(host, Protected.of("paypal.com")) == found

    def test_short_names_are_not_taken_for_typing_errors(self) -> None:
        assert imitation("abay.com", Protected.of("ebay.com")) is None
        assert imitation("еbay.com", Protected.of("ebay.com")) == ("lookalike", 0.95)

    def test_long_names_may_differ_in_two_letters(self) -> None:
        assert imitation("mediamarktt-.de", Protected.of("mediamarkt.de")) == ("lookalike", 0.7)

    def test_the_owner_does_not(self) -> None:
        assert list(findings("https://www.paypal.com/login", protected=("paypal.com", "paypal.de"))) == []
        assert list(findings("paypal.de", protected=("paypal.com", "paypal.de"))) == []


def findings(
    text: str, *, expanded: str = "", opinions: dict[str, UrlOpinion] | None = None, **policy: object
) -> list[TextFinding]:
    rules = LinkRules(LinkPolicy.model_validate(policy))
    return [one for link in placed_links(clean(text)) for one in rules.find(link, expanded, opinions or {})]


class TestRules:
    def test_a_blocked_domain_is_rejected(self) -> None:
        (finding,) = findings("go to sub.evil.com", block=("evil.com",))
        assert (finding.label, finding.score, finding.action) == ("text:link:blocked", 1.0, Verdict.REJECT)

    def test_allowing_wins(self) -> None:
        assert findings("good.evil.com", block=("evil.com",), allow=("good.evil.com",)) == []

    def test_everything_else_may_be_unwanted(self) -> None:
        text = "shop.example and other.example"
        (finding,) = findings(text, allow=("shop.example",), others=Verdict.REVIEW)
        assert (text[finding.start : finding.end], finding.rule) == ("other.example", "not_allowed")

    def test_where_a_short_link_leads_counts(self) -> None:
        (finding,) = findings("bit.ly/x", expanded="https://evil.com/", block=("evil.com",), allow=("bit.ly",))
        assert finding.rule == "blocked"

    def test_a_short_link_that_nobody_followed(self) -> None:
        assert findings("bit.ly/x") == []
        (finding,) = findings("bit.ly/x", shorteners=Verdict.REVIEW)
        assert (finding.rule, finding.action) == ("shortener", Verdict.REVIEW)
        assert findings("bit.ly/x", expanded="https://example.com/", shorteners=Verdict.REVIEW) == []

    def test_an_imitation_demands_what_the_library_says(self) -> None:
        (finding,) = findings("paypa1.com", protected=("paypal.com",), lookalikes=Verdict.QUARANTINE)
        assert (finding.category, finding.action) == ("scam", Verdict.QUARANTINE)

    @pytest.mark.parametrize(
        ("text", "rule"), [("https://paypal.com@evil.test/", "userinfo"), ("http://0x7f.1/", "address")]
    )
    def test_addresses_that_hide_something(self, text: str, rule: str) -> None:
        assert [finding.rule for finding in findings(text)] == [rule]

    async def test_what_others_say(self) -> None:
        opinion = UrlOpinion(category="malware", score=0.97, source="twin")
        known = await MemoryReputation({"EVIL.com/x": opinion}).opinions(["http://evil.com/x", "http://evil.com/"])
        assert known == {"http://evil.com/x": opinion}
        (finding,) = findings("evil.com/x evil.com", opinions=dict(known))
        assert (finding.rule, finding.category, finding.score) == ("reputation", "malware", 0.97)


class TestBounds:
    @settings(derandomize=True, max_examples=150, deadline=None, database=None)
    @given(TRICKY | st.text(st.sampled_from("htps:/.[]()@acom1 \\"), max_size=80))
    def test_no_text_breaks_it(self, text: str) -> None:
        for finding in findings(text, protected=("paypal.com",), others=Verdict.REVIEW):
            assert 0 <= finding.start < finding.end <= len(text)

    @pytest.mark.parametrize(
        "unit", ["a.", "http://", "a.com ", "[", "hxxp[:]//", "a[.]", "1.1.1.1/", "@a.com", "((a.com"]
    )
    def test_the_time_grows_with_the_length(self, unit: str) -> None:
        text = (unit * MOST_CHARACTERS)[:MOST_CHARACTERS]
        assert seconds(lambda: findings(text, protected=("paypal.com",) * 20)) < 1.0
