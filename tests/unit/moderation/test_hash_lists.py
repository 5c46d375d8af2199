"""Lists of hashes: what is read, what is left out and why, and that what is written is read back."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.errors import InvalidRequest
from mediagate.moderation.banks import DIGITS, EntryKind, KnownHash, Polarity
from mediagate.moderation.hash_lists import Line, read_csv, read_threat_exchange, threat_descriptor, write_csv

SHA, PHASH = "ab" * 32, "0123456789abcdef"
PDQ = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"


def entries(most_note: int = 60) -> st.SearchStrategy[KnownHash]:
    """Whatever a bank can hold; notes that spreadsheets would take for formulas among them."""
    texts = st.text(st.characters(codec="utf-8"), max_size=most_note).filter(str.isprintable)
    texts |= st.builds(lambda start, rest: start + rest, st.sampled_from(["=", "+", "-", "@", "'", "'=", "''-"]), texts)

    def of(kind: EntryKind) -> st.SearchStrategy[KnownHash]:
        digits = st.text("0123456789abcdef", min_size=DIGITS[kind], max_size=DIGITS[kind])
        return st.builds(KnownHash, st.just(kind), digits, texts, texts)

    return st.sampled_from(EntryKind).flatmap(of)


def csv_lines(text: str) -> list[Line]:
    return list(read_csv(io.StringIO(text, newline="")))


def descriptor(**fields: Any) -> dict[str, Any]:
    """As https://developers.facebook.com/docs/threat-exchange/reference/apis/threat-descriptor has it."""
    return {
        "id": "811927545529339",
        "indicator": {"indicator": SHA, "type": "HASH_SHA256", "id": "852121234856016"},
        "owner": {"id": "588498724619612", "name": "Facebook CERT ThreatExchange"},
        "type": "HASH_SHA256",
        "raw_indicator": SHA,
        "description": "This is our\ntest hash.",
        "status": "MALICIOUS",
        "privacy_type": "HAS_PRIVACY_GROUP",
        "share_level": "AMBER",
        "tags": {"data": [{"id": "1283621968426798", "text": "pwny"}]},
    } | fields


def read(document: Any, polarity: Polarity = Polarity.BAD) -> list[Line]:
    return list(read_threat_exchange(json.dumps(document), polarity))


class TestRoundTrip:
    @given(st.lists(entries(), max_size=8))
    def test_csv(self, known: list[KnownHash]) -> None:
        assert [line.entry for line in csv_lines(write_csv(known))] == known

    @given(st.lists(entries(), max_size=8))
    def test_no_cell_of_csv_is_a_formula(self, known: list[KnownHash]) -> None:
        for row in csv.reader(io.StringIO(write_csv(known))):
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)

    @given(st.lists(entries(), max_size=8), st.sampled_from(Polarity))
    def test_threat_exchange(self, known: list[KnownHash], polarity: Polarity) -> None:
        text = '{"data": [\n' + ",\n".join(threat_descriptor(one, polarity, "gore") for one in known) + "\n]}"
        read = list(read_threat_exchange(text, polarity))
        assert [line.entry for line in read] == known
        assert [line.number for line in read] == list(range(2, len(known) + 2))


class TestCsv:
    def test_columns_in_any_order_digits_in_any_case(self) -> None:
        text = f"\ufeffSource,value,Kind\r\nncmec,{SHA.upper()},SHA256\r\n\r\n,{PHASH},phash\r\n"
        assert csv_lines(text) == [
            Line(2, KnownHash(EntryKind.SHA256, SHA, "", "ncmec")),
            Line(4, KnownHash(EntryKind.PHASH, PHASH, "", "")),
        ]

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            (f"pdq,{PDQ},,", "pdq cannot be compared here: only sha256 and phash can"),
            (f"md5,{'a' * 32},,", "md5 cannot be compared here: only sha256 and phash can"),
            (f"HASH_SHA256,{SHA},,", "hash_sha256 cannot be compared here: only sha256 and phash can"),
            (f"phash,{PDQ},,", "a phash has 16 hexadecimal digits"),
            (f"sha256,{PHASH},,", "a sha256 has 64 hexadecimal digits"),
            (f"sha256,{SHA[:-1]}g,,", "a sha256 has 64 hexadecimal digits"),
            (f"sha256,{'²' * 64},,", "a sha256 has 64 hexadecimal digits"),
            (f"sha256,{SHA},", "3 cells where the header has 4"),
            (f"sha256,{SHA},a,b,c", "5 cells where the header has 4"),
            (f'sha256,{SHA},"open,', "no line of CSV: unexpected end of data"),
            (f"sha256,{SHA},\x1b[2J,", "a note is one line of visible characters"),
            (f"sha256,{SHA},,{'s' * 201}", "a source has at most 200 characters"),
            (f"sha256,{SHA},{'n' * 501},", "a note has at most 500 characters"),
            (f"sha256,{SHA},{'n' * 9000},", "the line has more than 8192 characters"),
        ],
    )
    def test_what_is_no_entry_is_left_out_with_its_line(self, line: str, why: str) -> None:
        good = f"sha256,{SHA},,"
        read = csv_lines(f"kind,value,note,source\n{good}\n{line}\n{good}\n")
        assert [(one.number, one.why) for one in read if one.entry is None] == [(3, why)]
        assert [one.number for one in read if one.entry] == [2, 4]

    @pytest.mark.parametrize(
        "header", ["", "\n", "kind\n", f"sha256,{SHA}\n", "kind,value,colour\n", "kind,value,value\n", '"kind,value\n']
    )
    def test_without_a_header_nothing_is_read(self, header: str) -> None:
        with pytest.raises(InvalidRequest, match="Line 1"):
            csv_lines(f"{header}sha256,{SHA}\n")

    @given(st.text(max_size=200))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        for line in csv_lines(f"kind,value\n{text}"):
            assert (line.entry is None) == bool(line.why)


class TestThreatExchange:
    def test_a_descriptor_as_documented(self) -> None:
        known = KnownHash(EntryKind.SHA256, SHA, "This is our test hash.", "Facebook CERT ThreatExchange")
        for document in ([descriptor()], {"data": [descriptor()]}, {"paging": {"next": "…"}, "data": [descriptor()]}):
            assert [line.entry for line in read(document)] == [known]

    def test_the_form_of_threat_updates(self) -> None:
        update = {
            "indicator": SHA,
            "type": "HASH_SHA256",
            "should_delete": False,
            "descriptors": {"data": [{"status": "MALICIOUS"}, {"status": "MALICIOUS"}]},
        }
        disputed = {**update, "descriptors": {"data": [{"status": "MALICIOUS"}, {"status": "NON_MALICIOUS"}]}}
        withdrawn = {**update, "should_delete": True}
        told = read({"data": [update, disputed, withdrawn]})
        assert [line.why for line in told] == [
            "",
            "its status is MALICIOUS, NON_MALICIOUS, and this bank takes MALICIOUS",
            "withdrawn there (should_delete)",
        ]

    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            ({"type": "HASH_PDQ", "raw_indicator": PDQ}, "HASH_PDQ cannot be compared here"),
            ({"type": "HASH_MD5", "raw_indicator": "a" * 32}, "HASH_MD5 cannot be compared here"),
            ({"type": "HASH_TMK"}, "HASH_TMK cannot be compared here"),
            ({"type": "hash_sha256"}, "hash_sha256 cannot be compared here"),
            ({"type": None}, "None cannot be compared here"),
            ({"type": ["HASH_SHA256"]}, "['HASH_SHA256'] cannot be compared here"),
            ({"status": "SUSPICIOUS"}, "its status is SUSPICIOUS, and this bank takes MALICIOUS"),
            ({"status": "UNKNOWN"}, "its status is UNKNOWN, and this bank takes MALICIOUS"),
            ({"status": "NON_MALICIOUS"}, "its status is NON_MALICIOUS, and this bank takes MALICIOUS"),
            ({"raw_indicator": "x"}, "a sha256 has 64 hexadecimal digits"),
            ({"raw_indicator": 5}, "a sha256 has 64 hexadecimal digits"),
            ({"raw_indicator": f"\ud800{SHA[1:]}"}, "a sha256 has 64 hexadecimal digits"),
        ],
    )
    def test_what_is_no_entry_is_left_out_with_a_reason(self, fields: dict[str, Any], why: str) -> None:
        (line,) = read([descriptor(**fields)])
        assert line.entry is None
        assert line.why.startswith(why)

    def test_a_good_bank_takes_the_harmless(self) -> None:
        told = read([descriptor(status="NON_MALICIOUS"), descriptor()], Polarity.GOOD)
        assert [line.entry is not None for line in told] == [True, False]

    @pytest.mark.parametrize("document", ["", "5", '"data"', "{}", '{"data": 5}', '{"data"', "{[", '{"a": 1'])
    def test_what_is_no_list_is_refused(self, document: str) -> None:
        with pytest.raises(InvalidRequest, match="list of threat descriptors"):
            list(read_threat_exchange(document, Polarity.BAD))

    @pytest.mark.parametrize("document", ["[]", '{"data": []}', ' { "data" : [ ] , "paging": {} } '])
    def test_an_empty_list_has_nothing(self, document: str) -> None:
        assert list(read_threat_exchange(document, Polarity.BAD)) == []

    @pytest.mark.parametrize(
        ("end", "why"),
        [
            (",\n{broken", "no JSON from here on; nothing of the rest was read"),
            ("", "the list has no end; nothing of the rest was read"),
            (" 5]", "the list has no end; nothing of the rest was read"),
            (f",\n{'[' * 100_000}", "no JSON from here on; nothing of the rest was read"),
        ],
    )
    def test_what_stands_before_broken_json_counts(self, end: str, why: str) -> None:
        told = list(read_threat_exchange(f"[\n{json.dumps(descriptor())}{end}", Polarity.BAD))
        assert [line.entry is not None for line in told] == [True, False]
        assert told[1].why == why

    @given(st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
    def test_any_json_is_read_or_left_out(self, value: Any) -> None:
        (line,) = read([value])
        assert line.entry is None
        assert line.why
