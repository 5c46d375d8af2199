"""What simulated vendors see."""

import io

import pytest
from PIL import Image

from devstack.wires.looks import Colour, look, ruler
from tests.wires import coloured


@pytest.mark.parametrize(
    ("colour", "seen"),
    [
        (Colour.RED, {"violence": 0.97}),
        (Colour.BLUE, {"nudity": 0.6}),
        (Colour.YELLOW, {"csam": 0.97, "sexual_minors": 0.97, "nudity": 0.99}),
        (Colour.GREEN, {}),
        (Colour.NONE, {}),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_colour_says_what_is_seen(colour: Colour, seen: dict[str, float], kind: str) -> None:
    found = look(coloured(colour, kind=kind)) or {}
    assert found | seen == found
    assert all(score < 0.06 for category, score in found.items() if category not in seen)


def test_a_caption_outdoes_the_picture() -> None:
    assert (look(coloured(Colour.GREEN), "my cat sim:reject") or {})["violence"] == 0.97
    assert (look(coloured(Colour.GREEN), "sim:review") or {})["nudity"] == 0.6
    assert (look(coloured(Colour.GREEN), "sim:quarantine") or {})["csam"] == 0.97


def test_the_same_picture_looks_the_same_and_another_one_does_not() -> None:
    assert look(coloured(Colour.NONE)) == look(coloured(Colour.NONE)) != look(coloured(Colour.GREEN))


def test_test_patterns_are_clean() -> None:
    gradient = Image.linear_gradient("L").convert("RGB")
    gradient.paste((255, 0, 0), (0, 0, 128, 128))
    target = io.BytesIO()
    gradient.save(target, "PNG")
    assert max((look(target.getvalue()) or {"": 1.0}).values()) < 0.06


@pytest.mark.parametrize("picture", [b"", b"GIF89a", coloured(Colour.RED)[:400]], ids=["empty", "no JPEG", "truncated"])
def test_nothing_is_seen_in_what_does_not_decode(picture: bytes) -> None:
    assert look(picture) is None


@pytest.mark.parametrize(
    ("means", "colour"),
    [
        ((96, 0, 0), Colour.RED),
        ((95, 0, 0), Colour.NONE),
        ((0, 0, 96), Colour.BLUE),
        ((0, 96, 0), Colour.GREEN),
        ((96, 96, 0), Colour.YELLOW),
        ((255, 255, 255), Colour.NONE),
        ((255, 150, 0), Colour.RED),
        ((255, 160, 0), Colour.YELLOW),
        ((255, 0, 255), Colour.NONE),
    ],
)
def test_who_rules(means: tuple[float, float, float], colour: Colour) -> None:
    assert ruler(means) is colour
