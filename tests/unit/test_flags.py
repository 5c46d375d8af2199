"""What a flag serves to whom; and asking through OpenFeature, where asking never fails."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent, ProviderEventDetails
from openfeature.exception import ErrorCode
from openfeature.provider import FeatureProvider
from pydantic import ValidationError

from mediagate import metrics
from mediagate.errors import InvalidRequest, SwitchedOff
from mediagate.flagging import Flags, Served
from mediagate.flags import BUCKETS, BUILT_IN, MEANING, Condition, Flag, Reason, Switch, bucket, document, flag_of
from mediagate.measuring import Counter, Nobody, recorded_by

SALTS = st.text(max_size=40)
KEYS = st.text(max_size=60)


def flag(*rules: dict[str, Any], **fields: Any) -> Flag:
    """A flag that is off but for its rules."""
    return flag_of("new-gallery", {"default": "off", "rules": rules, **fields})


def off(switch: Switch) -> Flag:
    """The flag of a switch that somebody disabled."""
    return BUILT_IN[switch].model_copy(update={"enabled": False})


class TestBuckets:
    @given(salt=SALTS, key=KEYS)
    def test_the_same_key_is_always_in_the_same_bucket(self, salt: str, key: str) -> None:
        assert 0 <= bucket(salt, key) < BUCKETS
        assert bucket(salt, key) == bucket(salt, key)

    def test_a_bucket_is_the_same_in_every_release(self) -> None:
        assert [bucket("new-gallery", key) for key in ("", "a", "b")] == [5919, 1551, 3683]  # by sha256sum

    @given(key=KEYS.filter(bool), percentages=st.lists(st.floats(0, 100), min_size=2, max_size=5))
    def test_a_percentage_that_grows_keeps_who_is_in(self, key: str, percentages: list[float]) -> None:
        served = [
            flag({"percentage": one, "variant": "on"}).evaluate(key, {}).value is True for one in sorted(percentages)
        ]
        assert served == sorted(served)

    @pytest.mark.parametrize("percentage", [0, 0.5, 10, 50, 99])
    def test_a_percentage_is_that_of_many_keys(self, percentage: float) -> None:
        tried = flag({"percentage": percentage, "variant": "on"})
        served = sum(tried.evaluate(f"media-{number}", {}).value is True for number in range(20_000))
        assert served / 200 == pytest.approx(percentage, abs=1)

    def test_two_flags_draw_independently(self) -> None:
        """Of those who are in one half, half are in the other's; a shared salt would take all of them, or none."""
        keys = [f"{random.Random(number).random()}" for number in range(20_000)]
        first, second = [{key for key in keys if bucket(salt, key) < BUCKETS // 2} for salt in ("one", "two")]
        assert len(first & second) / len(first) == pytest.approx(0.5, abs=0.02)

    def test_another_salt_draws_anew_and_the_same_one_does_not(self) -> None:
        half = {"percentage": 50, "variant": "on"}
        one, renamed, salted = flag(half), flag_of("renamed", {"salt": "new-gallery", "rules": [half]}), flag(half)
        salted = salted.model_copy(update={"salt": "again"})
        keys = [str(number) for number in range(200)]
        drawn = [[tried.evaluate(key, {}).bucket for key in keys] for tried in (one, renamed, salted)]
        assert drawn[0] == drawn[1] != drawn[2]


class TestRules:
    @pytest.mark.parametrize(
        ("condition", "known", "holds"),
        [
            ({"attribute": "library", "op": "eq", "value": "a"}, {"library": "a"}, True),
            ({"attribute": "library", "op": "eq", "value": "a"}, {"library": "b"}, False),
            ({"attribute": "library", "op": "eq", "value": "a"}, {}, False),
            ({"attribute": "library", "op": "in", "value": ["a", "b"]}, {"library": "b"}, True),
            ({"attribute": "library", "op": "in", "value": ["a", "b"]}, {"library": "c"}, False),
            ({"attribute": "reputation", "op": "gte", "value": 10}, {"reputation": 10}, True),
            ({"attribute": "reputation", "op": "gte", "value": 10}, {"reputation": 9}, False),
            ({"attribute": "reputation", "op": "lte", "value": 10}, {"reputation": 10}, True),
            ({"attribute": "reputation", "op": "lte", "value": 10}, {"reputation": 11}, False),
            ({"attribute": "reputation", "op": "gte", "value": 1}, {"reputation": "50"}, False),
            ({"attribute": "reputation", "op": "lte", "value": 1}, {"reputation": True}, False),
            ({"attribute": "reputation", "op": "eq", "value": 1}, {"reputation": True}, False),
            ({"attribute": "role", "op": "in", "value": [True]}, {"role": True}, True),
        ],
    )
    def test_conditions(self, condition: dict[str, Any], known: dict[str, Any], holds: bool) -> None:
        assert Condition.model_validate(condition).holds(known) is holds

    def test_the_first_rule_that_matches_serves(self) -> None:
        here = {"attribute": "environment", "op": "eq", "value": "staging"}
        trusted = {"attribute": "role", "op": "eq", "value": "trusted"}
        tried = flag({"conditions": [here, trusted], "variant": "on"}, {"conditions": [here], "variant": "off"})
        assert tried.evaluate("", {"environment": "staging", "role": "trusted"})[:4] == (
            "on",
            True,
            "TARGETING_MATCH",
            0,
        )
        found = tried.evaluate("", {"environment": "staging", "role": "uploader"})
        assert found[:4] == ("off", False, "TARGETING_MATCH", 1)
        assert found.passed == ("role eq 'trusted' does not hold for 'uploader'",)
        assert tried.evaluate("", {})[:4] == ("off", False, "DEFAULT", None)

    def test_nobody_without_a_key_is_in_a_percentage(self) -> None:
        found = flag({"percentage": 99.99, "variant": "on"}).evaluate("", {})
        assert (found.value, found.reason) == (False, Reason.DEFAULT)
        assert found.passed == ("without a targeting key nobody is in a percentage",)

    def test_a_flag_that_is_not_enabled_serves_its_off_variant_whatever_the_rules_say(self) -> None:
        found = flag({"variant": "on"}, enabled=False).evaluate("a", {})
        assert found[:3] == ("off", False, Reason.DISABLED)

    def test_texts_and_numbers(self) -> None:
        sizes = flag({"percentage": 100, "variant": "large"}, variants={"off": 5, "large": 9})
        assert sizes.evaluate("", {}).value == 9
        engines = flag(variants={"off": "pillow", "new": "other"})
        assert engines.evaluate("", {})[:3] == ("off", "pillow", Reason.STATIC)


class TestRefusals:
    @pytest.mark.parametrize(
        ("terms", "why"),
        [
            ({"default": "blue"}, "There is no variant 'blue'"),
            ({"rules": [{"variant": "blue"}]}, "There is no variant 'blue'"),
            ({"variants": {"on": True, "off": 0}}, "one type"),
            ({"variants": {}}, "variants"),
            ({"variants": {"on": 1.5, "off": 2.5}}, "variants"),
            ({"kind": "kill_switch", "off": "on"}, "serves false"),
            ({"kind": "kill_switch", "variants": {"on": 1, "off": 0}}, "serves false"),
            ({"kind": "whim"}, "kind"),
            ({"colour": "red"}, "colour"),
            ({"rules": [{"variant": "on", "percentage": 101}]}, "percentage"),
            (
                {"rules": [{"variant": "on", "conditions": [{"attribute": "librray", "op": "eq", "value": 1}]}]},
                "attrib",
            ),
            ({"rules": [{"variant": "on", "conditions": [{"attribute": "lane", "op": "in", "value": "a"}]}]}, "a list"),
            (
                {"rules": [{"variant": "on", "conditions": [{"attribute": "lane", "op": "eq", "value": ["a"]}]}]},
                "one v",
            ),
            ({"rules": [{"variant": "on", "conditions": [{"attribute": "lane", "op": "gte", "value": "a"}]}]}, "whole"),
            ({"rules": [{"variant": "on"}] * 51}, "rules"),
            ({"description": "x" * 501}, "description"),
            ({"description": "\x00"}, "description"),
        ],
    )
    def test_what_is_wrong_is_said(self, terms: dict[str, Any], why: str) -> None:
        with pytest.raises(InvalidRequest, match=why):
            flag_of("new-gallery", terms)

    @pytest.mark.parametrize("name", ["", "New", "-a", "a_b", "a" * 64, "a\n"])
    def test_names(self, name: str) -> None:
        with pytest.raises(InvalidRequest, match="name"):
            flag_of(name, {})

    def test_a_switch_of_the_gates_own_stays_one(self) -> None:
        with pytest.raises(InvalidRequest, match="kind must be kill_switch"):
            flag_of("renditions", {})

    def test_a_stored_flag_is_read_as_it_was(self) -> None:
        tried = flag({"conditions": [{"attribute": "lane", "op": "in", "value": ["a", 1, True]}], "variant": "on"})
        assert Flag.model_validate(document(tried)) == tried
        with pytest.raises(ValidationError):
            tried.model_copy().__setattr__("enabled", False)


class Recorded(Nobody):
    """Keeps what is counted."""

    def __init__(self) -> None:
        self.counts: list[tuple[str, ...]] = []

    def add(self, metric: Counter, amount: int, labels: Any) -> None:
        """One answer."""
        assert (metric, amount) == (metrics.FLAG_EVALUATIONS, 1)
        self.counts.append(tuple(labels.values()))


class TestAsking:
    def test_every_switch_is_on_and_says_what_it_means(self) -> None:
        flags = Flags()
        assert all(flags.on(switch) for switch in Switch)
        assert set(BUILT_IN) == {switch.value for switch in MEANING} == set(Switch)

    def test_a_switch_for_some(self) -> None:
        rule = {"conditions": [{"attribute": "library", "op": "eq", "value": "a"}], "variant": "off"}
        flags = Flags([flag_of("renditions", {"kind": "kill_switch", "rules": [rule]})])
        assert (flags.on(Switch.RENDITIONS, library="a"), flags.on(Switch.RENDITIONS, library="b")) == (False, True)

    def test_a_rule_about_the_environment_needs_nobody_to_name_it(self) -> None:
        rule = {"conditions": [{"attribute": "environment", "op": "eq", "value": "staging"}], "variant": "on"}
        for environment, value in (("staging", True), ("production", False)):
            flags = Flags([flag(rule)], environment=environment)
            assert flags.client.get_boolean_value("new-gallery", False) is value

    def test_a_switch_acts_at_once(self) -> None:
        flags = Flags()
        flags.require(Switch.UPLOADS)
        flags.provider.replace([off(Switch.UPLOADS)])
        with pytest.raises(SwitchedOff, match=r"Uploads are switched off for maintenance\.") as refused:
            flags.require(Switch.UPLOADS)
        assert (refused.value.status, refused.value.retry_after) == (503, 60)
        flags.provider.replace([])
        flags.require(Switch.UPLOADS)

    def test_what_nobody_knows_is_the_codes_default(self) -> None:
        found = Flags().client.get_string_details("engine", "pillow")
        assert (found.value, found.reason, found.error_code) == ("pillow", "ERROR", ErrorCode.FLAG_NOT_FOUND)

    def test_another_type_is_the_codes_default(self) -> None:
        client = Flags([flag(variants={"off": 5})]).client
        assert client.get_integer_value("new-gallery", 1) == 5
        for found in (
            client.get_boolean_details("new-gallery", True),
            client.get_string_details("new-gallery", "a"),
            client.get_float_details("new-gallery", 1.5),
            client.get_object_details("new-gallery", {"a": 1}),
        ):
            assert found.error_code is ErrorCode.TYPE_MISMATCH
            assert found.value in (True, "a", 1.5, {"a": 1})

    def test_what_is_served_is_counted(self) -> None:
        flags, recorded = Flags([flag({"percentage": 50, "variant": "on"})]), Recorded()
        context = EvaluationContext(next(key for key in map(str, range(99)) if bucket("new-gallery", key) < 5000))
        with recorded_by(recorded):
            for _ in range(2):
                flags.client.get_boolean_value("new-gallery", False, context)
            flags.client.get_boolean_value("new-gallery", False)
            flags.client.get_boolean_value("unknown", False)
        served = [("new-gallery", "on", "SPLIT")] * 2 + [("new-gallery", "off", "DEFAULT"), ("unknown", "", "ERROR")]
        assert recorded.counts == served
        counts = flags.tally.take()
        assert counts == {Served(*served[0]): 2, Served(*served[2]): 1, Served(*served[3]): 1}
        assert flags.tally.take() == {}
        flags.tally.give_back(counts)
        flags.tally.give_back(counts)
        assert flags.tally.take()[Served(*served[0])] == 4


class TestEvents:
    def test_changes_and_staleness_are_told_once(self) -> None:
        flags, told = Flags(), list[tuple[str, list[str] | None]]()

        def tell(_: FeatureProvider, event: ProviderEvent, details: ProviderEventDetails) -> None:
            told.append((event.name, details.flags_changed))

        flags.provider.attach(tell)
        for given_ in ([], [flag()], [flag()], [flag(), off(Switch.UPLOADS)], []):
            flags.provider.replace(given_)
        for stale in (False, True, True, False):
            flags.provider.mark(stale=stale)
        changed = "PROVIDER_CONFIGURATION_CHANGED"
        assert told == [
            (changed, ["new-gallery"]),
            (changed, ["uploads"]),
            (changed, ["new-gallery", "uploads"]),
            ("PROVIDER_STALE", None),
            ("PROVIDER_READY", None),
        ]

    def test_what_may_be_out_of_date_is_served_and_says_so(self) -> None:
        flags = Flags([off(Switch.UPLOADS)])
        flags.provider.mark(stale=True)
        found = flags.client.get_boolean_details("uploads", True)
        assert (found.value, found.reason, found.error_code) == (False, "STALE", None)
