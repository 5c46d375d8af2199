"""Words that are not wanted, however they are written, and words that only look like them."""

import random
import string

import pytest
from hypothesis import given, settings

from mediagate.media.values import Verdict
from mediagate.text.blocklists import MOST_HITS, Blocklists
from mediagate.text.normalise import MOST_CHARACTERS, clean
from mediagate.text.policy import Blocklist, Match
from tests.unit.text.texts import TRICKY, seconds

WORDS = ("ass", "fuck", "shit", "dick", "cunt", "slut", "sex", "hell", "viagra", "free money", "エロ", "🍆", "сука")


def blocklist(*entries: str, match: Match = Match.NORMALISED, language: str | None = None) -> Blocklist:
    return Blocklist(category="profanity", entries=entries, match=match, language=language, action=Verdict.REVIEW)


def found(text: str, lists: Blocklists, language: str = "") -> list[str]:
    """What of the text was found."""
    return [text[hit.start : hit.end] for hit in lists.find(clean(text), language)]


NORMALISED = Blocklists({"bad": blocklist(*WORDS)}, ())


class TestNormalised:
    @pytest.mark.parametrize(
        ("text", "hits"),
        [
            ("what an ASS", ["ASS"]),
            ("a$$!", ["a$$"]),
            ("(@ss)", ["@ss"]),
            ("@$$", ["@$$"]),
            ("d1ck d|ck dick", ["d1ck", "d|ck", "dick"]),
            ("sh!t!!!", ["sh!t"]),
            ("5lut v1@gr@", ["5lut", "v1@gr@"]),
            ("FR33 M0N3Y", ["FR33 M0N3Y"]),
            ("free\nmoney", ["free\nmoney"]),
            ("f.u.c.k", ["f.u.c.k"]),
            ("say f u c k to them", ["f u c k"]),
            ("f - u - c - k", ["f - u - c - k"]),
            ("fu-ck and sh_it", ["fu-ck", "sh_it"]),
            ("f.r.e.e m.o.n.e.y", ["f.r.e.e m.o.n.e.y"]),
            ("fuuuuck", ["fuuuuck"]),
            ("Ｆ\u200bｕｃｋ", ["Ｆ\u200bｕｃｋ"]),
            ("fucк", ["fucк"]),
            ("fúçk", ["fúçk"]),
            ("これはエロい", ["エロ"]),
            ("nice 🍆!", ["🍆"]),
            ("ну и сука же", ["сука"]),
        ],
    )
    def test_disguises_are_seen_through(self, text: str, hits: list[str]) -> None:
        assert found(text, NORMALISED) == hits

    @pytest.mark.parametrize(
        "text",
        [
            "Scunthorpe, Essex and Penistone",
            "a class of assassins passes the grass",
            "Shih-Tzu, a shitake, Dickens, slutty",
            "he'll and she'll go",
            "room 455, $455, 4.55",
            "Samsung Galaxy A55",
            "dlck",
            "s e v e n",
            "cockpit, title, analysis",
            "👍 🙂",
            "",
        ],
    )
    def test_other_words_are_left_alone(self, text: str) -> None:
        assert found(text, NORMALISED) == []

    def test_one_letter_more_or_less_is_another_word(self) -> None:
        lists = Blocklists({"bad": blocklist("coon", "god")}, ())
        assert found("con good cooon", lists) == ["cooon"]


class TestMatching:
    @pytest.mark.parametrize(
        ("match", "hits"),
        [
            (Match.EXACT, ["Schwul"]),
            (Match.WORD, ["Schwul", "SCHWUL", "ｓｃｈｗｕｌ"]),
            (Match.NORMALISED, ["Schwul", "SCHWUL", "ｓｃｈｗｕｌ", "schwül", "s.c.h.w.u.l", "5chwu1"]),
        ],
    )
    def test_each_kind_sees_more_than_the_one_before(self, match: Match, hits: list[str]) -> None:
        lists = Blocklists({"bad": blocklist("Schwul", match=match)}, ())
        assert found("Schwul SCHWUL ｓｃｈｗｕｌ schwül s.c.h.w.u.l 5chwu1 schwule", lists) == hits

    def test_words_that_are_allowed_cover_what_is_in_them(self) -> None:
        lists = Blocklists({"bad": blocklist("dick", "schwul")}, ("Dick van Dyke", "schwül"))
        assert found("dick van dyke on a schwül day, dick", lists) == ["dick"]

    def test_the_finding_names_list_and_action(self) -> None:
        (hit,) = NORMALISED.find(clean("oh shit"))
        assert (hit.rule, hit.category, hit.score, hit.action) == ("bad", "profanity", 0.9, Verdict.REVIEW)
        assert hit.label == "text:bad"
        assert "shit" not in hit.model_dump_json()

    def test_an_entry_in_two_lists_is_two_findings(self) -> None:
        lists = Blocklists({"a": blocklist("bad"), "b": blocklist("bad", match=Match.WORD)}, ())
        assert [hit.rule for hit in lists.find(clean("bad"))] == ["a", "b"]

    @pytest.mark.parametrize(("language", "hits"), [("", ["Gift", "mist"]), ("de", ["mist"]), ("en", ["Gift"])])
    def test_lists_are_for_languages(self, language: str, hits: list[str]) -> None:
        lists = Blocklists({"de": blocklist("mist", language="de"), "en": blocklist("gift", language="en")}, ())
        assert lists.languages
        assert found("Gift, mist", lists, language) == hits


class TestBounds:
    @settings(derandomize=True, max_examples=150, deadline=None, database=None)
    @given(TRICKY)
    def test_no_text_breaks_it(self, text: str) -> None:
        lists = Blocklists(
            {
                "bad": blocklist("a", "f r", "fre", "漢", "👍", "1a", "$"),
                "odd": blocklist(clean(text).text[:50] or "x"),
            },
            (),
        )
        for hit in lists.find(clean(text)):
            assert 0 <= hit.start < hit.end <= len(text)

    def test_ten_thousand_entries(self) -> None:
        dice = random.Random(5)
        letters = string.ascii_lowercase + "1$"
        entries = tuple("".join(dice.choices(letters, k=dice.randint(3, 10))) for _ in range(10_000))
        text = " ".join(dice.choices(entries, k=2_000))[: MOST_CHARACTERS - 10]
        lists = Blocklists({"many": blocklist(*entries)}, ())
        assert len(lists.find(clean(text))) == MOST_HITS
        assert seconds(lambda: Blocklists({"many": blocklist(*entries)}, ())) < 1.5
        assert seconds(lambda: lists.find(clean(text))) < 0.5

    @pytest.mark.parametrize("unit", ["a ", "a.", "a1!", "!", "漢", "aa-"])
    def test_the_time_grows_with_the_length(self, unit: str) -> None:
        text = (unit * 5_000)[:5_000]
        lists = Blocklists({"bad": blocklist("a " * 20, "aaa", "漢" * 20)}, ())
        assert seconds(lambda: lists.find(clean(text))) < 1.0
