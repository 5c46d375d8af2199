"""Traits of frauds: each in the languages it is written for, and everyday texts without any."""

import pytest

from mediagate.media.values import Verdict
from mediagate.text import scam
from mediagate.text.findings import TextFinding
from mediagate.text.normalise import MOST_CHARACTERS, clean, fold
from mediagate.text.patterns import compiled
from mediagate.text.scam_traits import TRAITS
from tests.unit.text.texts import seconds


def look(text: str) -> list[TextFinding]:
    return list(scam.find(fold(clean(text)), None))


class TestTraits:
    @pytest.mark.parametrize(
        ("text", "traits"),
        [
            ("You have won 5,000,000 USD in our lottery", {"advance_fee"}),
            ("Next of kin wanted for a fund of 10 million dollars", {"advance_fee"}),
            ("Double your Bitcoin today", {"crypto_doubling"}),
            ("Sеnd 1 ВТС and receive 2 back", {"crypto_doubling"}),
            ("Verdoppeln Sie Ihre Krypto", {"crypto_doubling"}),
            ("Contact me on WhatsApp", {"off_platform"}),
            ("Schreib mir auf Telegram", {"off_platform"}),
            ("contactez-moi sur WhatsApp", {"off_platform"}),
            ("Пишите в телеграм", {"off_platform"}),
            ("pay with steam cards please", {"gift_card"}),
            ("Bezahlung nur per Gutscheinkarte", {"gift_card"}),
            ("Customer support: +1 800 555 0199", {"fake_support"}),
            ("Your computer is infected", {"fake_support"}),
            ("widowed US army engineer", {"romance"}),
            ("Your account has been suspended", {"phishing"}),
            ("Ihr Konto wurde gesperrt", {"phishing"}),
            ("Подтвердите данные карты", {"phishing"}),
            ("act now!", {"urgency"}),
            ("Verdiene 500 € pro Tag von zu Hause", {"easy_money"}),
            ("Заработок от 500$ в день", {"easy_money"}),
            ("Your account is locked. Verify your identity within 24 hours", {"phishing", "urgency"}),
        ],
    )
    def test_each_is_found(self, text: str, traits: set[str]) -> None:
        assert {finding.rule for finding in look(text)} == traits

    @pytest.mark.parametrize(
        "text",
        [
            "Sunset at the lake with my grandfather's boat",
            "I won a small prize at the fair, see my album",
            "Unser Konto bei der Bank, altes Sparbuch von 1950",
            "A signal tower near Telegraph Hill",
            "Update: the card game night was fun",
            "Закат над рекой",
        ],
    )
    def test_everyday_texts_have_none(self, text: str) -> None:
        assert look(text) == []

    def test_what_several_say_adds_up(self) -> None:
        alone = max(finding.score for finding in look("Your account has been suspended"))
        together = look("Your account has been suspended, act now, contact us on WhatsApp")
        assert alone == 0.6
        assert {finding.score for finding in together} == {0.82}

    def test_the_library_says_what_it_leads_to(self) -> None:
        assert next(scam.find(fold(clean("act now")), Verdict.REVIEW)).action is Verdict.REVIEW


class TestBounds:
    def test_all_patterns_are_ones_that_re2_takes(self) -> None:
        assert all(compiled(expression).programsize for trait in TRAITS for expression in trait.expressions)

    @pytest.mark.parametrize("unit", ["your account ", "send btc ", "contact me ", "x", "дя"])
    def test_the_time_grows_with_the_length(self, unit: str) -> None:
        text = fold(clean((unit * MOST_CHARACTERS)[:MOST_CHARACTERS]))
        assert seconds(lambda: list(scam.find(text, None))) < 1.0
