"""Personal data: what is found, what only looks like it, and what is shown instead."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from stdnum import luhn

from mediagate.text.findings import TextFinding
from mediagate.text.normalise import MOST_CHARACTERS
from mediagate.text.pii import findings, personal, redact, redacted
from mediagate.text.policy import PiiKind, PiiPolicy
from tests.unit.text.texts import TRICKY, seconds

EVERYTHING = PiiPolicy(kinds=tuple(PiiKind), region="DE")


def found(text: str, policy: PiiPolicy = EVERYTHING) -> list[tuple[str, str]]:
    """Kind and the words themselves."""
    return [(one.kind.value, text[one.start : one.end]) for one in personal(text, policy)]


class TestFinding:
    @pytest.mark.parametrize(
        ("text", "hits"),
        [
            ("write to Foo.Bar+x@example.co.uk, please", [("mail", "Foo.Bar+x@example.co.uk")]),
            ("jörg@müller.de", [("mail", "jörg@müller.de")]),
            ("foo (at) bar (dot) com", [("mail", "foo (at) bar (dot) com")]),
            ("foo＠example.com", [("mail", "foo＠example.com")]),
            ("call 030 1234567!", [("phone", "030 1234567")]),
            ("+1 (415) 555-2671 or 0171/1234567", [("phone", "+1 (415) 555-2671"), ("phone", "0171/1234567")]),
            ("card 4111 1111 1111 1111 exp 12/29", [("card", "4111 1111 1111 1111")]),
            ("card 4111 1111 1111 1111 123", [("card", "4111 1111 1111 1111")]),
            ("3782-822463-10005", [("card", "3782-822463-10005")]),
            ("5555555555554444", [("card", "5555555555554444")]),
            ("４１１１\u200b １１１１ １１１１ １１１１", [("card", "４１１１\u200b １１１１ １１１１ １１１１")]),
            ("DE89 3704 0044 0532 0130 00 danke", [("iban", "DE89 3704 0044 0532 0130 00")]),
            ("gb82west12345698765432", [("iban", "gb82west12345698765432")]),
            ("my SSN: 219-09-9998", [("us_ssn", "219-09-9998")]),
            ("NI number AB 12 34 56 C", [("gb_nino", "AB 12 34 56 C")]),
            ("Steuer-ID 36 574 261 809", [("de_idnr", "36 574 261 809")]),
            ("2 95 10 99 126 111 93", [("fr_nir", "2 95 10 99 126 111 93")]),
            ("DNI 54362315-K", [("es_dni", "54362315-K")]),
            ("x-2482300w", [("es_nie", "x-2482300w")]),
            ("RCCMNL83S18D969H", [("it_cf", "RCCMNL83S18D969H")]),
            ("BSN 1112.22.333", [("nl_bsn", "1112.22.333")]),
            ("CPF 390.533.447-05", [("br_cpf", "390.533.447-05")]),
            ("Aadhaar 2341 2341 2346", [("in_aadhaar", "2341 2341 2346")]),
            ("from 192.168.0.1 and fe80::1", [("ip", "192.168.0.1"), ("ip", "fe80::1")]),
        ],
    )
    def test_what_there_is(self, text: str, hits: list[tuple[str, str]]) -> None:
        assert found(text) == hits

    @pytest.mark.parametrize(
        "text",
        [
            "Sunset at the lake, 12/08/2024 at 12:30:45",
            "4111 1111 1111 1112",
            "1234567890123456",
            "DE89 3704 0044 0532 0130 01",
            "219-09-9998",
            "AB 12 34 56 C",
            "my ssn is 000-00-0000",
            "1.299,00 € for 3 items of 2024",
            "follow @me, 100% fun",
            "version 1.2.3.4.5",
            "ISBN 978-3-16-148410-0",
        ],
    )
    def test_what_only_looks_like_it(self, text: str) -> None:
        assert found(text, PiiPolicy()) == []

    def test_a_word_beside_a_number_makes_it_surer(self) -> None:
        alone, said = personal("529.982.247-25", EVERYTHING)[0], personal("CPF 529.982.247-25", EVERYTHING)[0]
        assert (alone.confidence, said.confidence) == (0.6, 0.95)

    def test_numbers_without_a_plus_need_a_region(self) -> None:
        assert found("030 1234567", PiiPolicy()) == []
        assert found("+49 30 1234567", PiiPolicy()) == [("phone", "+49 30 1234567")]

    def test_only_what_is_asked_for(self) -> None:
        text = "a@example.com 4111111111111111"
        assert found(text, PiiPolicy(kinds=(PiiKind.CARD,))) == [("card", "4111111111111111")]
        assert found(text, PiiPolicy(kinds=())) == []

    def test_nothing_overlaps(self) -> None:
        hits = personal("4111111111111111 a@b.example 4111 1111 1111 1111 +49 171 1234567", EVERYTHING)
        assert all(one.end <= other.start for one, other in pairwise(hits))

    def test_a_finding_holds_no_value(self) -> None:
        text = "card 4111 1111 1111 1111, mail me@example.com"
        said = "".join(one.model_dump_json() for one in findings(personal(text, EVERYTHING), EVERYTHING))
        assert "4111" not in said
        assert "example" not in said


class TestRedacting:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("mail a@b.example or +49 171 1234567", "mail [mail] or [phone]"),
            ("4111-1111-1111-1111", "[card]"),
            ("DE89370400440532013000.", "[iban]."),
            ("SSN 219-09-9998", "SSN [id]"),
            ("nothing at all", "nothing at all"),
            ("", ""),
        ],
    )
    def test_what_is_shown(self, text: str, shown: str) -> None:
        assert redacted(text, PiiPolicy()) == shown

    @settings(derandomize=True, max_examples=100, deadline=None, database=None)
    @given(TRICKY)
    def test_what_surrounds_it_does_not_matter(self, text: str) -> None:
        written = f"{text}\n4111 1111 1111 1111\n{text}"
        assert "4111 1111 1111 1111" not in redact(written, personal(written, EVERYTHING))

    @settings(derandomize=True, max_examples=100, deadline=None, database=None)
    @given(TRICKY)
    def test_no_text_breaks_it(self, text: str) -> None:
        for one in findings(personal(text, EVERYTHING), EVERYTHING):
            assert isinstance(one, TextFinding)
            assert 0 <= one.start < one.end <= len(text)

    @pytest.mark.parametrize(
        "unit",
        [
            "1 ",
            "1",
            "4111 ",
            "DE89 ",
            "a@",
            "a@b.co ",
            "030 1234567 ",
            "(at)",
            "219-09-9998 ",
            "1.",
            ":",
            "12345678901 ",
        ],
    )
    def test_the_time_grows_with_the_length(self, unit: str) -> None:
        text = (unit * MOST_CHARACTERS)[:MOST_CHARACTERS]
        assert seconds(lambda: personal(text, EVERYTHING)) < 1.0


def test_the_cards_of_these_tests_are_valid() -> None:
    assert all(map(luhn.is_valid, ("4111111111111111", "378282246310005", "5555555555554444")))
