import json
from typing import Any

import pytest

from mediagate.errors import InvalidRequest, TooLarge
from mediagate.media.values import Verdict
from mediagate.moderation.documents import canonical, check, diff, digest, parse
from mediagate.moderation.policy import Policy

VENDORS = ("hive", "sightengine")

FULL = """\
version: strict-7
categories:
  gore: {review_at: 0.3, reject_at: 0.7}
rules:
  - name: newcomers
    when:
      all:
        - not: {fact: trusted, equals: true}
        - any:
            - {category: alcohol, at_least: 0.4}
            - {fact: size, at_least: 500}
    then: {verdict: review}
fusion: {quorum: 2}
calibration:
  hive: {"*": [[0, 0], [1, 0.9]]}
ask: [hive, sightengine]
"""


def told(document: str | dict[str, Any]) -> list[str]:
    return [str(problem) for problem in check(document, vendors=VENDORS).problems]


def rule(when: str, then: str = "{verdict: review}") -> str:
    return f"rules:\n  - name: one\n    when: {when}\n    then: {then}\n"


class TestParse:
    def test_a_document(self) -> None:
        policy = parse(FULL, vendors=VENDORS)
        assert (policy.version, policy.ask, policy.fusion.quorum) == ("strict-7", VENDORS, 2)
        assert policy.threshold("gore").review_at == 0.3
        assert policy.threshold("csam").quarantine_at == 0.5
        assert policy.rules[0].then.verdict is Verdict.REVIEW

    def test_nothing_at_all_is_the_default(self) -> None:
        assert parse({}) == parse("{}") == Policy.model_validate({}) == Policy()
        assert Policy().version == "thresholds-1"

    def test_data_and_json_are_read_alike(self) -> None:
        data = canonical(parse(FULL))
        assert parse(data) == parse(json.dumps(data)) == parse(FULL)

    def test_a_refusal_names_the_first_errors(self) -> None:
        with pytest.raises(InvalidRequest) as refused:
            parse("\n".join(f"a{n}: 1" for n in range(9)))
        assert refused.value.message.startswith("a0 (line 1): 'a0' is not known here: use version, name, ")
        assert refused.value.message.endswith(" And 4 more.")

    def test_what_is_too_large(self) -> None:
        with pytest.raises(TooLarge):
            parse({"name": "x" * 70_000})


class TestErrors:
    @pytest.mark.parametrize(
        ("document", "problem"),
        [
            ("defalt: {}", "defalt (line 1): 'defalt' is not known here (did you mean default?): use version, "),
            ("version: 7", 'version (line 1): it must be a text: write "7" in quotes.'),
            ("version: ''", "version (line 1): String must have at least 1 character, not ''."),
            ("default:\n  reject_at: 2", "default.reject_at (line 2): it must be less than or equal to 1, not 2."),
            ("default: {reject_at: true}", "default.reject_at (line 1): it must be a valid number, not True."),
            ("default: {reject_at: '0.5'}", "default.reject_at (line 1): it must be a valid number, not '0.5'."),
            ("default: []", "default (line 1): it must be a mapping of names."),
            ("default: {reject: 0.5}", "default.reject (line 1): 'reject' is not known here (did you mean reject_at?)"),
            ("categories: {'no!': {}}", "categories.no! (line 1): String must match pattern"),
            (
                "after_deadline: aprove",
                "after_deadline (line 1): 'aprove' is not allowed (did you mean approve?): use approve, reject, ",
            ),
            (
                rule("{category: nudity, at_leest: 0.4}"),
                "rules[0].when.at_leest (line 3): 'at_leest' is not known here",
            ),
            (rule("{category: nudity}"), "rules[0].when (line 3): category needs at_least or below."),
            (rule("{detector: hive}", "{}"), "rules[0].then.verdict (line 4): it is required."),
            (rule("{not: {any: []}}"), "rules[0].when.not.any (line 3): Tuple must have at least 1 item"),
            (rule("{fact: lane, equals: {a: b}}"), "rules[0].when.equals (line 3): "),
            ("fusion: {prior: 0}", "fusion.prior (line 1): it must be greater than or equal to 0.001, not 0."),
            ("fusion: {contradiction: approve}", "fusion.contradiction (line 1): reject or review is allowed."),
            (
                "calibration:\n  hive:\n    gore: [[0, 0], [0.5, 0.6], [0.4, 1]]",
                "calibration.hive.gore (line 3): scores must rise from point to point: 0.4 comes after 0.5.",
            ),
            ("a: [1", "The document cannot be read: "),
            ("just words", "A policy is a mapping of names to values."),
            ("[1]", "A policy is a mapping of names to values."),
            ({"name": "\x00"}, "The document contains NUL or a lone surrogate."),
            ({"name": "\ud800"}, "The document contains NUL or a lone surrogate."),
            ({"name": {1, 2}}, "The document is no JSON: "),
            ({"fusion": {"prior": float("nan")}}, "The document is no JSON: "),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_each_names_its_place_and_what_is_allowed(self, document: str | dict[str, Any], problem: str) -> None:
        checked = check(document, vendors=VENDORS)
        assert checked.policy is None
        assert any(str(error).startswith(problem) for error in checked.errors), told(document)

    @pytest.mark.parametrize(
        ("document", "problem"),
        [
            (
                "default: {review_at: 0.9, reject_at: 0.5}",
                "default.review_at (line 1): review_at 0.9 is above reject_at 0.5: it comes first.",
            ),
            (
                "categories:\n  gore: {reject_at: 0.9, quarantine_at: 0.8}",
                "categories.gore.reject_at (line 2): reject_at 0.9 is above quarantine_at 0.8: it comes first.",
            ),
            ("ask: [hive, hive]", "ask[1] (line 1): hive is asked twice."),
            (
                "ask: [hvie]",
                "ask[0] (line 1): no vendor is named 'hvie' here (did you mean hive?): hive, sightengine.",
            ),
            ("lanes: {fast_ask: [none]}", "lanes.fast_ask[0] (line 1): no vendor is named 'none' here"),
            ("calibration: {acme: {}}", "calibration.acme (line 1): no vendor is named 'acme' here: banks, hive, onnx"),
            (rule("{detector: acme}"), "rules[0].when (line 3): no vendor is named 'acme' here"),
            (rule("{not: {verdict: reject, vendor: acme}}"), "rules[0].when (line 3): no vendor is named 'acme' here"),
            (
                "ask: [hive]\nfusion: {quorum: 2}",
                "fusion.quorum (line 2): 2 vendors must answer, but only 1 asked: name more, or lower it.",
            ),
            ("fusion: {quorum: 2}", "fusion.quorum (line 1): 2 vendors must answer, but ask names none"),
            ("after_deadline: review", "after_deadline (line 1): a review that nobody answered must end"),
            (
                rule("{all: [{category: gore, at_least: 0.5}, {category: gore, below: 0.5}]}"),
                "rules[0].when (line 3): it never holds: gore cannot be both of that.",
            ),
            (
                rule("{fact: lane, equals: fats}"),
                "rules[0].when (line 3): it never holds: 'fats' is no lane (did you mean fast?): use fast, slow, bulk.",
            ),
            (
                rule("{fact: trusted, equals: yes}"),
                "rules[0].when (line 3): it never holds: trusted is true or false, never 'yes'.",
            ),
            (
                rule("{fact: size, equals: big}"),
                "rules[0].when (line 3): it never holds: size is a number, never 'big'.",
            ),
            (
                rule("{any: [{fact: tags, below: 1}]}"),
                "rules[0].when.any[0] (line 3): it never holds: tags is no number",
            ),
            (
                rule("{category: csam, at_least: 0.5}", "{verdict: approve}"),
                "rules[0] (line 2): it has no effect: csam is severe, and no rule approves it from 0.2.",
            ),
            (
                rule("null") + "  - {name: two, when: {detector: hive}, then: {verdict: reject}}",
                "rules[1] (line 5): it is never reached: the rule one before it holds always.",
            ),
            (
                rule("{detector: hive}") + "  - {name: two, when: {detector: hive}, then: {verdict: reject}}",
                "rules[1] (line 5): it is never reached: the rule one before it has the same conditions.",
            ),
            (
                rule("{detector: hive}") + "  - {name: one, when: {detector: text}, then: {verdict: reject}}",
                "rules[1].name (line 5): there is a rule one already.",
            ),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_values_that_are_right_by_themselves(self, document: str, problem: str) -> None:
        checked = check(document, vendors=VENDORS)
        assert checked.policy is None
        assert [str(error)[: len(problem)] for error in checked.errors] == [problem]

    def test_vendors_are_not_checked_where_they_are_not_known(self) -> None:
        assert check("ask: [anyone]").problems == ()


class TestWarnings:
    @pytest.mark.parametrize(
        ("document", "problem"),
        [
            (
                "categories:\n  nuditty: {}",
                "categories.nuditty (line 2): nuditty is no category that is known here (did you mean nudity?).",
            ),
            (
                rule("{category: gorey, below: 1}"),
                "rules[0].when.category (line 3): gorey is no category that is known here (did you mean gore?).",
            ),
            (
                "categories: {csam: {review_at: 0.1}}",
                "categories.csam (line 1): csam is severe, but nothing of it is quarantined: set quarantine_at.",
            ),
            ("after_deadline: approve", "after_deadline (line 1): what nobody looked at in time becomes public."),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_what_is_valid_but_looks_like_a_mistake(self, document: str, problem: str) -> None:
        checked = check(document, vendors=VENDORS)
        assert checked.policy is not None
        assert [str(warning) for warning in checked.warnings] == [problem]

    def test_a_category_of_a_vendors_own_is_none(self) -> None:
        assert check("categories: {hot-dog: {review_at: 0.4}}").problems == ()


class TestCanonical:
    @pytest.mark.parametrize("text", ["{}", FULL])
    def test_it_is_json_and_reads_back(self, text: str) -> None:
        policy = parse(text)
        assert parse(json.loads(json.dumps(canonical(policy)))) == policy
        assert canonical(parse(canonical(policy))) == canonical(policy)

    def test_what_a_row_holds_reads_back_however_it_was_dumped(self) -> None:
        policy = parse(FULL)
        assert Policy.model_validate(policy.model_dump(mode="json")) == policy
        assert Policy.model_validate_json(policy.model_dump_json(by_alias=False)) == policy

    def test_the_digest_is_that_of_what_decides(self) -> None:
        policy = parse(FULL)
        assert digest(parse(FULL.replace("strict-7", "strict-8"))) == digest(policy)
        assert digest(parse(FULL.replace("0.3", "0.31"))) != digest(policy)
        assert digest(
            parse(FULL.replace("review_at: 0.3, reject_at: 0.7", "reject_at: 0.7, review_at: 0.3"))
        ) == digest(policy)


class TestDiff:
    def test_values(self) -> None:
        new = (
            FULL.replace("strict-7", "strict-8")
            .replace("review_at: 0.3", "review_at: null")
            .replace("[1, 0.9]", "[1, 1]")
        )
        assert diff(parse(FULL), parse(new)) == (
            'version: "strict-7" → "strict-8"',
            "categories.gore.review_at: 0.3 → null",
            "calibration.hive.*: [[0.0, 0.0], [1.0, 0.9]] → [[0.0, 0.0], [1.0, 1.0]]",
        )

    def test_rules_go_by_their_names(self) -> None:
        names = ("a", "b", "c")
        one, two, three = ({"name": name, "when": {"detector": name}, "then": {"verdict": "review"}} for name in names)
        stricter = three | {"then": {"verdict": "reject"}}
        assert diff(parse({"rules": [one, two, three]}), parse({"rules": [stricter, two]})) == (
            'rules.a is gone: {"when": {"detector": "a"}, "then": {"verdict": "review", "detail": ""}}',
            'rules.c.then.verdict: "review" → "reject"',
            "rules: their order was a, b, c; it is c, b",
        )

    def test_the_same(self) -> None:
        assert diff(parse(FULL), parse(FULL)) == ()
