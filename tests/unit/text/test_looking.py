"""The look at whole texts, and what is said of them to the run."""

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from mediagate.errors import InvalidRequest
from mediagate.media.values import Verdict
from mediagate.moderation.findings import TEXT_DETECTOR, VendorEvent, VendorVerdict
from mediagate.text.events import event
from mediagate.text.examining import examine
from mediagate.text.expansion import Expander
from mediagate.text.language import language_of
from mediagate.text.looking import look, objections
from mediagate.text.normalise import MOST_CHARACTERS
from mediagate.text.policy import TextPolicy
from mediagate.text.reputation import MemoryReputation, UrlOpinion
from mediagate.text.tags import LONGEST_TAG, MOST_TAGS, normalised_tag, normalised_tags
from tests.unit.text.texts import TRICKY, seconds

NOW = datetime(2026, 7, 1, tzinfo=UTC)
MEDIA = "6f1c1c7e-0000-4000-8000-000000000001"


def policy(**fields: Any) -> TextPolicy:
    return TextPolicy.model_validate(fields)


STRICT = policy(
    blocklists={
        "swearing": {"category": "profanity", "entries": ["damn"], "action": "review"},
        "slurs": {"category": "hate", "entries": ["scum"], "action": "quarantine"},
        "shouting": {"category": "spam", "entries": ["sale"], "score": 0.55},
    },
    regexes={"codes": {"pattern": r"code \d{4}", "category": "spam", "action": "reject"}},
    pii={"region": "DE"},
    links={"protected": ["paypal.com"], "block": ["evil.com"]},
)


class TestLook:
    def test_everything_in_the_order_of_the_text(self) -> None:
        text = "Damn, code 1234, a@b.example, act now, https://sub.evil.com paypa1.com"
        found = look(text, STRICT)
        assert [finding.label for finding in found.findings] == [
            *("text:swearing", "text:codes", "text:pii:mail", "text:scam:urgency"),
            *("text:link:blocked", "text:link:lookalike"),
        ]
        assert [link.domain for link in found.links] == ["evil.com", "paypa1.com"]
        assert found.language == ""

    def test_the_findings_hold_nothing_of_the_text(self) -> None:
        said = "".join(
            one.model_dump_json() for one in look("Damn, me@secret.example 4111111111111111", STRICT).findings
        )
        assert not any(word in said for word in ("Damn", "damn", "secret", "4111"))

    def test_what_is_too_long_is_refused(self) -> None:
        with pytest.raises(InvalidRequest):
            look("x" * (MOST_CHARACTERS + 1), STRICT)

    def test_the_default_finds_fraud_and_people(self) -> None:
        found = look("Double your bitcoin, mail a@b.example", TextPolicy())
        assert {finding.category for finding in found.findings} == {"scam", "pii"}
        assert all(finding.action is None for finding in found.findings)

    @settings(derandomize=True, max_examples=100, deadline=None, database=None)
    @given(TRICKY)
    def test_no_text_breaks_it(self, text: str) -> None:
        found = look(text, STRICT)
        places = [(one.start, one.end) for one in found.findings] + [(one.start, one.end) for one in found.links]
        assert all(0 <= start < end <= len(text) for start, end in places)

    def test_the_time_of_a_long_text(self) -> None:
        text = ("Damn! Call +49 30 1234567 or see https://www.example.com/a, ｆｒее mоney. " * 400)[:MOST_CHARACTERS]
        assert seconds(lambda: look(text, STRICT)) < 1.0


class TestLanguages:
    @pytest.mark.parametrize(
        ("text", "declared", "language"),
        [
            ("Das ist ein längerer Satz über Boote und Schiffe auf dem See.", "", "de"),
            ("This is a somewhat longer sentence about boats on the lake.", "", "en"),
            ("Это длинное предложение про лодки и корабли на озере.", "", "ru"),
            ("boat", "", ""),
            ("boat", "pt-BR", "pt"),
        ],
    )
    def test_declared_or_detected(self, text: str, declared: str, language: str) -> None:
        assert language_of(text, declared) == language

    def test_lists_of_other_languages_are_left_out(self) -> None:
        rules = policy(blocklists={"de": {"category": "profanity", "entries": ["mist"], "language": "de"}})
        german, english = "So ein Mist, das Boot auf dem See ist weg.", "The mist over the lake hides all of the boats."
        assert [len(look(text, rules).findings) for text in (german, english)] == [1, 0]
        assert len(look(english, rules, language="de-AT").findings) == 1
        assert len(look("mist", rules).findings) == 1


def said(policy: TextPolicy = STRICT, **texts: str) -> VendorEvent | None:
    found = {name: look(text, policy) for name, text in texts.items()}
    return event(MEDIA, texts, found, policy, at=NOW)


class TestEvent:
    def test_nothing_found_is_silence(self) -> None:
        assert said(caption="A boat on the lake") is None

    @pytest.mark.parametrize(
        ("caption", "verdict", "action"),
        [
            ("damn", VendorVerdict.REVIEW, Verdict.REVIEW),
            ("code 1234", VendorVerdict.REJECT, Verdict.REJECT),
            ("scum, damn, code 1234", VendorVerdict.REJECT, Verdict.QUARANTINE),
            ("sale", VendorVerdict.REVIEW, None),
            ("a@b.example", VendorVerdict.APPROVE, None),
        ],
    )
    def test_the_strictest_rule_speaks(self, caption: str, verdict: VendorVerdict, action: Verdict | None) -> None:
        one = said(caption=caption)
        assert one
        assert (one.verdict, one.action, one.vendor) == (verdict, action, TEXT_DETECTOR)
        assert one.settles

    def test_scores_labels_and_detail_of_all_texts(self) -> None:
        one = said(caption="damn a@b.example", title="sale sale", tags="lake")
        assert one
        assert one.scores == {"profanity": 0.9, "pii": 0.294, "spam": 0.55}
        assert one.labels == ("text:swearing", "text:pii:mail", "text:shouting")
        assert one.raw == {"detail": "caption: pii:mail, swearing; title: shouting"}
        assert "a@b" not in one.model_dump_json()

    def test_the_id_is_that_of_item_texts_and_policy(self) -> None:
        first, again = said(caption="damn"), said(caption="damn")
        other, stricter = (
            said(caption="damn!"),
            said(policy(**{**STRICT.model_dump(), "redact": False}), caption="damn"),
        )
        assert first == again
        assert len({one.event_id for one in (first, other, stricter) if one}) == 3


class TestExamining:
    async def test_what_the_network_knows_is_asked_once(self) -> None:
        reputation = MemoryReputation({"evil.example/x": UrlOpinion(category="malware", score=0.9)})
        found = await examine({"title": "evil.example/x", "caption": "nothing"}, STRICT, reputation=reputation)
        assert [one.category for one in found["title"].findings] == ["malware"]
        assert found["caption"].findings == ()

    @pytest.mark.parametrize("expand", [True, False])
    async def test_short_links_are_followed_if_the_policy_says_so(self, expand: bool) -> None:
        class Known(Expander):
            async def expand(self, urls: Any) -> dict[str, str]:
                return dict.fromkeys(urls, "https://evil.com/")

        rules = policy(**{**STRICT.model_dump(), "expand_links": expand})
        found = (await examine({"caption": "bit.ly/x and example.com"}, rules, expander=Known()))["caption"]
        assert [one.rule for one in found.findings] == (["blocked"] if expand else [])
        assert [link.expanded for link in found.links] == ["https://evil.com/" if expand else "", ""]


class TestPolicy:
    @pytest.mark.parametrize(
        "fields",
        [
            {"blocklists": {"Bad Name": {"category": "spam", "entries": ["a"]}}},
            {"blocklists": {"a": {"category": "spam", "entries": ["a"], "action": "approve"}}},
            {"blocklists": {"a": {"category": "Not This", "entries": ["a"]}}},
            {"blocklists": {"a": {"category": "spam", "entries": ["x" * 101]}}},
            {"blocklists": {"a": {"category": "spam", "entries": ["x\x00"]}}},
            {"blocklists": {"a": {"category": "spam", "entries": ["a"], "match": "fuzzy"}}},
            {"blocklists": {n: {"category": "spam", "entries": ["a"] * 6000} for n in ("a", "b")}},
            {"regexes": {"a": {"pattern": "x" * 501, "category": "spam"}}},
            {"regexes": {f"r{n}": {"pattern": "x", "category": "spam"} for n in range(51)}},
            {"pii": {"region": "germany"}},
            {"pii": {"kinds": ["shoe_size"]}},
            {"pii": {"action": "approve"}},
        ],
    )
    def test_what_types_refuse(self, fields: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            policy(**fields)

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"regexes": {"a": {"pattern": "(", "category": "spam"}}}, "regexes.a.pattern: missing )"),
            ({"links": {"block": ["not a domain"]}}, "links.block: 'not a domain' is no domain and no URL"),
            ({"links": {"protected": ["http://"]}}, "links.protected: 'http://'"),
            ({"blocklists": {"a": {"category": "spam", "entries": ["a " * 21]}}}, "has 21 words; at most 20"),
        ],
    )
    def test_what_the_rules_cannot_use(self, fields: dict[str, Any], told: str) -> None:
        (objection,) = objections(policy(**fields))
        assert told in objection

    def test_the_default_is_usable(self) -> None:
        assert objections(TextPolicy()) == []
        assert objections(STRICT) == []


class TestTags:
    @pytest.mark.parametrize(
        ("written", "tag"),
        [("#Sunset", "sunset"), ("  Golden   Hour ", "golden hour"), ("ＬＡＫＥ\u200b", "lake"), ("Straße", "strasse")],
    )
    def test_one_spelling(self, written: str, tag: str) -> None:
        assert normalised_tag(written) == tag

    @pytest.mark.parametrize("written", ["", "  ", "#", "\u200b", "x" * (LONGEST_TAG + 1), "x" * 30_000])
    def test_what_is_none(self, written: str) -> None:
        with pytest.raises(ValueError, match="a tag"):
            normalised_tag(written)

    def test_each_once_and_not_too_many(self) -> None:
        assert normalised_tags(["Lake", "lake", "#boat"]) == ["lake", "boat"]
        with pytest.raises(ValueError, match="there are 21 tags"):
            normalised_tags([str(number) for number in range(MOST_TAGS + 1)])


class TestWeight:
    @pytest.mark.parametrize("module", ["db.tables", "api.models", "mediagate.text.policy", "mediagate.text.looking"])
    def test_nothing_heavy_is_loaded_before_a_text_is_looked_at(self, module: str) -> None:
        heavy = {
            "phonenumbers",
            "stdnum",
            "tldextract",
            "re2",
            "rapidfuzz",
            "py3langid",
            "numpy",
            "confusable_homoglyphs",
        }
        program = f"import sys, {module}; print(sorted({heavy!r} & sys.modules.keys()))"
        output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert output.stdout.strip() == "[]"
