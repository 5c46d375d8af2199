from typing import Any

import pytest
from pydantic import ValidationError

from mediagate.moderation.findings import VendorEvent
from mediagate.moderation.fusion import Fusion, weigh
from mediagate.moderation.lanes import Lane
from mediagate.moderation.reliability import Reliability
from mediagate.moderation.rules import DEEPEST, MOST_CONDITIONS, Condition, Rule, Subject, first_match, holds
from tests.unit.moderation.events import said

HEARD = [
    said("a", "review", nudity=0.7, gore=0.1).model_copy(update={"labels": ("bikini", "bank:known-bad")}),
    said("b", nudity=0.3),
    said("c", "reject", alcohol=0.99).model_copy(update={"final": False}),
]
ITEM = Subject(
    library="demo",
    size=2_000_000,
    content_type="image/gif",
    frames=12,
    tags=("beach", "2026"),
    lane=Lane.FAST,
    trusted=True,
)


def is_so(condition: dict[str, Any], *, heard: list[VendorEvent] | None = None, subject: Subject = ITEM) -> bool:
    evidence = weigh(HEARD if heard is None else heard, Fusion(), calibration={}, reliability=Reliability())
    return holds(Condition.model_validate(condition), evidence, subject)


class TestHolds:
    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ({"category": "nudity", "at_least": 0.5}, True),
            ({"category": "nudity", "at_least": 0.51}, False),
            ({"category": "nudity", "below": 0.5}, False),
            ({"category": "nudity", "at_least": 0.4, "below": 0.6}, True),
            ({"category": "nudity", "vendor": "a", "at_least": 0.7}, True),
            ({"category": "nudity", "vendor": "b", "at_least": 0.7}, False),
            ({"category": "gore", "vendor": "b", "below": 0.7}, False),
            ({"category": "drugs", "below": 0.5}, False),
            ({"category": "drugs", "at_least": 0}, False),
            ({"category": "alcohol", "at_least": 0.9}, False),
            ({"category": "*", "at_least": 0.5}, True),
            ({"category": "*", "below": 0.5}, False),
            ({"category": "*", "vendor": "b", "below": 0.5}, True),
            ({"verdict": "review"}, True),
            ({"verdict": "review", "vendor": "b"}, False),
            ({"verdict": "reject"}, False),
            ({"label": "bikini"}, True),
            ({"label": "bik"}, False),
            ({"label": "bank:*"}, True),
            ({"label": "bank:*", "vendor": "b"}, False),
            ({"detector": "a"}, True),
            ({"detector": "c"}, False),
            ({"detector": "d"}, False),
        ],
    )
    def test_of_what_was_said(self, condition: dict[str, Any], expected: bool) -> None:
        assert is_so(condition) is expected

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ({"fact": "size", "at_least": 2_000_000}, True),
            ({"fact": "size", "below": 2_000_000}, False),
            ({"fact": "frames", "at_least": 2, "below": 13}, True),
            ({"fact": "frames", "equals": 12}, True),
            ({"fact": "content_type", "one_of": ["image/png", "image/gif"]}, True),
            ({"fact": "tags", "equals": "beach"}, True),
            ({"fact": "tags", "one_of": ["snow", "2026"]}, True),
            ({"fact": "tags", "equals": "snow"}, False),
            ({"fact": "lane", "equals": "fast"}, True),
            ({"fact": "trusted", "equals": True}, True),
            ({"fact": "trusted", "equals": False}, False),
            ({"fact": "trusted", "equals": 1}, False),
            ({"fact": "width", "below": 100}, False),
            ({"fact": "uploader", "equals": ""}, False),
        ],
    )
    def test_of_facts(self, condition: dict[str, Any], expected: bool) -> None:
        assert is_so(condition) is expected

    @pytest.mark.parametrize("fact", sorted(Subject.model_fields))
    def test_of_what_is_not_known_nothing(self, fact: str) -> None:
        assert not is_so({"fact": fact, "one_of": ["", 0, False]}, subject=Subject())
        assert not is_so({"fact": fact, "below": 1}, subject=Subject())

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ({"all": [{"detector": "a"}, {"detector": "b"}]}, True),
            ({"all": [{"detector": "a"}, {"detector": "d"}]}, False),
            ({"any": [{"detector": "d"}, {"detector": "b"}]}, True),
            ({"any": [{"detector": "d"}, {"detector": "e"}]}, False),
            ({"not": {"detector": "d"}}, True),
            ({"not": {"not": {"all": [{"any": [{"detector": "a"}]}]}}}, True),
        ],
    )
    def test_of_conditions_inside(self, condition: dict[str, Any], expected: bool) -> None:
        assert is_so(condition) is expected


class TestCondition:
    @pytest.mark.parametrize(
        ("condition", "told"),
        [
            ({}, "this has none of them"),
            ({"category": "a", "at_least": 0.1, "verdict": "reject"}, "this has category and verdict"),
            ({"category": "a"}, "category needs at_least or below"),
            ({"category": "a", "at_least": 1.1}, "between 0 and 1"),
            ({"category": "a", "at_least": 0.5, "below": 0.5}, "never holds"),
            ({"category": "a", "at_least": 0.5, "equals": 1}, "equals does not go with category"),
            ({"detector": "a", "vendor": "b"}, "vendor does not go with detector"),
            ({"not": {"detector": "a"}, "vendor": "b"}, "vendor does not go with not"),
            ({"fact": "colour", "equals": "red"}, "there is no fact 'colour'"),
            ({"fact": "size"}, "fact needs one of"),
            ({"fact": "size", "equals": 1, "below": 2}, "fact needs one of"),
            ({"all": []}, "at least 1"),
            ({"any": [{"detector": "a"}] * (MOST_CONDITIONS + 1)}, "at most 50"),
            ({"detector": "a", "colour": "red"}, "Extra inputs"),
            ({"label": "x" * 129}, "at most 128"),
        ],
    )
    def test_what_is_none(self, condition: dict[str, Any], told: str) -> None:
        with pytest.raises(ValidationError, match=told):
            Condition.model_validate(condition)

    def test_depth_is_bounded(self) -> None:
        condition: dict[str, Any] = {"detector": "a"}
        for _ in range(DEEPEST - 1):
            condition = {"not": condition}
        then = {"verdict": "review"}
        assert Rule.model_validate({"name": "deep", "when": condition, "then": then})
        with pytest.raises(ValidationError, match="more than 5 deep"):
            Rule.model_validate({"name": "deeper", "when": {"not": condition}, "then": then})


def test_the_first_rule_that_holds_is_found() -> None:
    then = {"verdict": "review"}
    rules = [
        Rule.model_validate({"name": name, "then": then} | when)
        for name, when in (("no", {"when": {"detector": "d"}}), ("yes", {"when": {"detector": "a"}}), ("always", {}))
    ]
    evidence = weigh(HEARD, Fusion(), calibration={}, reliability=Reliability())
    assert [
        found.name if (found := first_match(some, evidence, ITEM)) else "" for some in (rules, rules[2:], rules[:1])
    ] == [
        "yes",
        "always",
        "",
    ]
