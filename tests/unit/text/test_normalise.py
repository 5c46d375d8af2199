"""Forms of a text, and the way back to the places of the original."""

import pytest
from hypothesis import given, settings

from mediagate.errors import InvalidRequest
from mediagate.text import homoglyphs
from mediagate.text.normalise import MOST_CHARACTERS, clean, fold
from tests.unit.text.texts import TRICKY, seconds


class TestClean:
    @pytest.mark.parametrize(
        ("written", "seen"),
        [
            ("plain", "plain"),
            ("Ｆｕｌｌ　ｗｉｄｔｈ", "Full width"),
            ("f\u200br\u2060e\ufeffe", "free"),
            ("soft\u00adhyphen", "softhyphen"),
            ("\u202eright to left\u202c", "right to left"),
            ("tag\U000e0061s", "tags"),
            ("\U0001d4ef\U0001d4fb\U0001d4ee\U0001d4ee", "free"),
            ("ﬁne", "fine"),
            ("e\u0301", "é"),
            ("ᄀ\u1161", "가"),
            ("blank\u3164\u2800s", "blanks"),
            ("a\tb\r\nc\u2028d", "a b\n\nc\nd"),
            ("a\x00b\ud800c", "abc"),
            ("", ""),
        ],
    )
    def test_what_cannot_be_seen_is_gone(self, written: str, seen: str) -> None:
        assert clean(written).text == seen

    def test_places_lead_back(self) -> None:
        cleaned = clean("so ﬁne\u200b, e\u0301!")
        place = cleaned.text.index("fine")
        assert cleaned.original[slice(*cleaned.span(place, place + 4))] == "ﬁne"
        place = cleaned.text.index("é")
        assert cleaned.original[slice(*cleaned.span(place, place + 1))] == "e\u0301"

    def test_what_is_too_long_is_refused(self) -> None:
        assert len(clean("x" * MOST_CHARACTERS).text) == MOST_CHARACTERS
        with pytest.raises(InvalidRequest, match="20001 characters; at most 20000"):
            clean("x" * (MOST_CHARACTERS + 1))


class TestFold:
    @pytest.mark.parametrize(
        ("written", "read"),
        [
            ("Straße", "strasse"),
            ("crème brûlée", "creme brulee"),
            ("z\u0351\u036ba\u0315l\u0334go", "zalgo"),
            ("раураl", "paypal"),
            ("Frее Ｍоnеу", "free money"),
            ("ᖴᖇEE", "free"),
            ("🅵🆁🅴🅴", "free"),
            ("сосо", "coco"),
            ("рот это часть лица", "рот это часть лица"),
            ("это fасеbook", "это facebook"),
            ("한국어", "한국어"),
            ("हिन्दी में", "हिन्दी में"),
            ("が か", "が か"),
            ("שָׁלוֹם", "שלום"),
        ],
    )
    def test_as_a_reader_takes_it(self, written: str, read: str) -> None:
        assert fold(clean(written)).text == read


class TestSkeletons:
    @pytest.mark.parametrize(
        ("one", "other"), [("paypal", "раураl"), ("paypal", "paypa1"), ("google", "g00gle"), ("modern", "rnodern")]
    )
    def test_what_looks_the_same_shares_one(self, one: str, other: str) -> None:
        assert homoglyphs.skeleton(one) == homoglyphs.skeleton(other)

    def test_what_looks_different_does_not(self) -> None:
        assert homoglyphs.skeleton("paypal") != homoglyphs.skeleton("paypol")


class TestBounds:
    @settings(derandomize=True, max_examples=150, deadline=None, database=None)
    @given(TRICKY)
    def test_every_span_is_one_of_the_original(self, text: str) -> None:
        cleaned = clean(text)
        for layer in (cleaned, fold(cleaned)):
            assert len(layer.text) == len(layer.starts) == len(layer.ends)
            assert all(0 <= start < end <= len(text) for start, end in zip(layer.starts, layer.ends, strict=True))
            assert list(layer.starts) == sorted(layer.starts)

    @pytest.mark.parametrize("unit", ["e" + "\u0301" * 99, "\ufdfa", "аf", "가", "\u200b"])
    def test_the_time_grows_with_the_length(self, unit: str) -> None:
        text = (unit * MOST_CHARACTERS)[:MOST_CHARACTERS]
        assert seconds(lambda: fold(clean(text))) < 1.5
