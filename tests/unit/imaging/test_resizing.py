"""Smaller pictures: right size, no seams between bands, no colours from under transparency."""

import numpy as np
import pytest
from PIL import Image

from mediagate.imaging.resizing import fitted, resized
from tests.unit.imaging.pictures import noise, scene


@pytest.mark.parametrize(
    ("size", "edge", "expected"),
    [
        ((4032, 3024), 4000, (4000, 3000)),
        ((3024, 4032), 150, (112, 150)),
        ((600, 400), 600, (600, 400)),
        ((50, 30), 600, (50, 30)),
        ((10_000, 3), 150, (150, 1)),
        ((3, 10_000), 150, (1, 150)),
        ((1, 1), 1, (1, 1)),
    ],
)
def test_fitted(size: tuple[int, int], edge: int, expected: tuple[int, int]) -> None:
    assert fitted(size, edge) == expected


class TestResized:
    def test_same_size_is_the_same_picture(self) -> None:
        picture = scene(64, 48)
        assert resized(picture, (64, 48)) is picture

    @pytest.mark.parametrize("draft", [False, True])
    @pytest.mark.parametrize("size", [(1500, 1125), (1100, 825), (1999, 1499), (1025, 700)])
    def test_bands_have_no_seams(self, size: tuple[int, int], draft: bool) -> None:
        """The hardest picture there is: noise, in which each row of a filter that ends too early would differ."""
        picture = noise(2000, 1500)
        kernel = Image.Resampling.HAMMING if draft else Image.Resampling.BICUBIC
        # Rounding between the passes depends on which is first, so the reference is made in the order of the bands.
        whole = picture.resize((2000, size[1]), kernel).resize(size, kernel)
        made = np.asarray(resized(picture, size, draft=draft), dtype=int)
        difference = np.abs(made - np.asarray(whole, dtype=int)).mean(axis=(1, 2))
        assert difference.max() < 3 * max(0.1, float(np.median(difference)))

    @pytest.mark.parametrize("edge", [200, 1200])
    @pytest.mark.parametrize("colour", [(255, 0, 0), (10, 200, 90)])
    def test_one_colour_stays_that_colour(self, edge: int, colour: tuple[int, int, int]) -> None:
        made = resized(Image.new("RGB", (1600, 1300), colour), (edge, edge))
        assert made.getcolors() == [(edge * edge, colour)]

    @pytest.mark.parametrize("edge", [200, 1200])
    def test_hidden_colours_do_not_bleed(self, edge: int) -> None:
        picture = Image.new("RGBA", (1600, 1600), (0, 255, 0, 0))
        picture.paste((255, 0, 0, 255), (0, 0, 800, 1600))
        made = np.asarray(resized(picture, (edge, edge)))
        seen = made[made[..., 3] > 16]
        assert seen[:, 1].max() <= 8
        assert seen[:, 0].min() >= 247

    @pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK"])
    @pytest.mark.parametrize("edge", [100, 1100])
    def test_every_plain_mode_is_kept(self, mode: str, edge: int) -> None:
        made = resized(Image.new(mode, (1300, 1300)), (edge, edge // 2))
        assert (made.mode, made.size) == (mode, (edge, edge // 2))
