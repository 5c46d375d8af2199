import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.errors import InvalidRequest, TooLarge
from mediagate.moderation.policy_text import DEEPEST, MAX_BYTES, MOST_NODES, read

LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


class TestRead:
    def test_yaml_of_jsons_types(self) -> None:
        text = "a: [no, 2026-01-01, 1.5, 1e3, .5, -3, 010, true, ~, '1', yes]\nb:\n  c: {d: x}\n"
        assert read(text).data == {
            "a": ["no", "2026-01-01", 1.5, 1000.0, 0.5, -3, "010", True, None, "1", "yes"],
            "b": {"c": {"d": "x"}},
        }

    def test_lines_are_remembered(self) -> None:
        lines = read("# a comment\na:\n  - x\n  - b: y\n").lines
        assert (lines["a",], lines["a", 0], lines["a", 1, "b"]) == (2, 3, 4)

    def test_json(self) -> None:
        parsed = read('{"a":\t[1, 2.5, null, "\\u00e9"]}')
        assert (parsed.data, parsed.lines) == ({"a": [1, 2.5, None, "é"]}, {})

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "empty"),
            ("# nothing\n", "empty"),
            (LAUGHS, "anchors and aliases are not allowed: write it out (line 1, column 4)"),
            ("a: *b", "anchors and aliases are not allowed"),
            ("a: 1\nb: 2\na: 3\n", "the key 'a' comes twice (line 3, column 1)"),
            ("{a: 1, a: 2}", "the key 'a' comes twice (line 1, column 8)"),
            ('{"a": {"b": 1, "b": 2}}', "the key 'b' comes twice"),
            ("a:\n  <<: {b: 1}\n", "merging by << is not allowed: write it out (line 2"),
            ("a: !!python/object/apply:os.system [ls]", "the tag tag:yaml.org,2002:python/object/apply:os.system"),
            ("a: !!binary eA==", "the tag tag:yaml.org,2002:binary is not allowed"),
            ("!!set {a}", "the tag tag:yaml.org,2002:set is not allowed"),
            ("a: !!int word", "'word' is no int (line 1, column 4)"),
            ("a: !!bool word", "'word' is no bool"),
            ("? [a]\n: b", "a key must be a word"),
            ("a: b: c", "mapping values are not allowed here (line 1, column 5)"),
            ("a: [1, 2", "line 1"),
            ("a: 1\n---\nb: 2\n", "another document (line 2"),
            ("a:\n\t- b", "(line 2, column 1)"),
            ("a: \x00", "special characters are not allowed"),
            ('{"a": NaN}', "NaN is not allowed"),
            ('{"a": ' + "1" * 5000 + "}", "cannot be read"),
            ('{"a":' * 10_000, f"more than {DEEPEST} levels"),
            ("[" * 1000, f"more than {DEEPEST} levels"),
            (f"[{'1,' * MOST_NODES}]", f"more than {MOST_NODES} values"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_what_is_refused_is_told_with_its_place(self, text: str, told: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            read(text)
        assert told in refused.value.message

    def test_size_is_bounded(self) -> None:
        assert read(f"a: {'x' * (MAX_BYTES - 3)}").data
        with pytest.raises(TooLarge, match="64 KiB"):
            read(f"a: {'é' * (MAX_BYTES // 2)}")

    @given(st.text(st.sampled_from("ab12:-[]{},'\"\n &*!?|>#%@~."), max_size=40))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        told = ""
        try:
            read(text)
        except InvalidRequest as error:
            told = error.message
        assert told == "" or told.startswith("The document ")
