"""`docs/vendors.md` against the code: its example works, and its table has every kind."""

import json
import re
from pathlib import Path

import pytest

from mediagate.settings import Settings, VendorKind
from mediagate.vendors import google_vision, hive, rekognition
from mediagate.vendors.google_vision import LIKELIHOODS
from mediagate.vendors.interface import Capabilities
from mediagate.wiring import open_vendors

PAGE = (Path(__file__).parents[3] / "docs" / "vendors.md").read_text()


def example() -> str:
    """The JSON of the page."""
    found = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


class TestVendorsPage:
    async def test_the_example_makes_a_vendor_of_each_kind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MEDIAGATE_VENDORS", example())
        settings = Settings(vendor_name="acme")
        async with open_vendors(settings) as vendors:
            assert vendors.keys() == json.loads(example()).keys()
        assert {vendor.kind for vendor in settings.vendors.values()} == {*VendorKind}

    @pytest.mark.parametrize("kind", [*VendorKind])
    def test_the_table_has_each_kind(self, kind: VendorKind) -> None:
        assert f"\n| `{kind.value}` |" in PAGE

    @pytest.mark.parametrize(
        ("kind", "known"),
        [
            ("hive", hive.capabilities(())),
            ("google_vision", google_vision.capabilities()),
            ("rekognition", rekognition.capabilities()),
        ],
        ids=["hive", "google_vision", "rekognition"],
    )
    def test_the_prices_are_those_of_the_code(self, kind: str, known: Capabilities) -> None:
        (row,) = re.findall(rf"^\| `{kind}` \|.*$", PAGE, re.MULTILINE)
        assert f"| ${known.cost_micros / 1_000_000:g} |" in row

    @pytest.mark.parametrize(("word", "score"), [*LIKELIHOODS.items()])
    def test_the_words_have_the_scores_of_the_code(self, word: str, score: float) -> None:
        assert re.search(rf"(?<!_)\b{word} {score}\b", PAGE)
