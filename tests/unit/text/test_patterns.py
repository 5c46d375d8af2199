"""Patterns of callers: checked when they are set, bounded when they run."""

import pytest

from mediagate.text import patterns
from mediagate.text.normalise import MOST_CHARACTERS, clean
from mediagate.text.policy import MOST_PATTERNS, TextRegex
from tests.unit.text.texts import seconds


def regex(pattern: str, **fields: object) -> TextRegex:
    return TextRegex.model_validate({"pattern": pattern, "category": "spam", **fields})


class TestChecking:
    @pytest.mark.parametrize(
        ("pattern", "told"),
        [
            (r"sale (now", "regexes.bad.pattern: missing ): sale (now (at character 1)"),
            (r"buy (?=now)", "regexes.bad.pattern: invalid perl operator: (?= (at character 5)"),
            (r"(a)\1", r"regexes.bad.pattern: invalid escape sequence: \1 (at character 4)"),
            (r"x{1,5000}", "regexes.bad.pattern: invalid repetition size: {1,5000} (at character 2)"),
            (r"(?:x{900}){900}", "regexes.bad.pattern: "),
            (r"[\pL]{1,900}", "regexes.bad.pattern: "),
            (r"(?:[^a][^b]){300}", "instructions; at most"),
            (r"a*", "regexes.bad.pattern: it matches an empty text"),
        ],
    )
    def test_what_is_wrong_is_told(self, pattern: str, told: str) -> None:
        (objection,) = patterns.objections({"bad": regex(pattern)})
        assert told in objection

    def test_what_is_right_is_not(self) -> None:
        assert patterns.objections({"a": regex(r"\bcall\s+now\b"), "b": regex("акция")}) == []

    def test_many_that_are_large_together(self) -> None:
        large = {f"r{number}": regex(rf"{number}\pL{{20}}x") for number in range(MOST_PATTERNS)}
        assert "together they take" in patterns.objections(large)[-1]


class TestFinding:
    def test_matches_have_places_in_the_original(self) -> None:
        text = "ＣＡＬＬ\u200b now, call NOW"
        found = list(patterns.find({"call": regex(r"call now")}, clean(text)))
        assert [text[hit.start : hit.end] for hit in found] == ["ＣＡＬＬ\u200b now", "call NOW"]
        assert {hit.label for hit in found} == {"text:call"}

    def test_case_counts_if_it_is_said(self) -> None:
        rules = {"a": regex("Sale", case_sensitive=True)}
        assert len(list(patterns.find(rules, clean("SALE sale Sale")))) == 1

    def test_no_more_than_asked_for(self) -> None:
        assert len(list(patterns.find({"a": regex("a", most=3)}, clean("a" * 100)))) == 3

    @pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+b", r"(.*)*x", r"a.*a.*a.*a.*b"])
    def test_patterns_that_explode_elsewhere(self, pattern: str) -> None:
        text = clean("a" * (MOST_CHARACTERS - 1) + "!")
        assert seconds(lambda: list(patterns.find({"a": regex(pattern)}, text))) < 1.0
