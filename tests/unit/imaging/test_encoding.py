"""A picture under a byte cap: as good as a search over every quality finds it, in a fraction of its encodes."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from statistics import median

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from skimage.metrics import structural_similarity

from mediagate.imaging.encoding import Encoded, encode_within
from mediagate.imaging.metadata import credit_exif
from mediagate.media.values import ImageFormat, PhotoFacts, VariantSpec
from tests.unit.imaging.pictures import noise, scene, spec

SIZE = (640, 512)
UNCAPPED = 10_000_000
LIKENESS = 0.002
"""SSIM that may be lost against the plain search"""


def grained() -> Image.Image:
    return Image.blend(scene(*SIZE), noise(*SIZE).filter(ImageFilter.GaussianBlur(0.6)), 0.3)


def half_sky() -> Image.Image:
    """All the detail is below: bands have to find it."""
    picture = Image.linear_gradient("L").resize(SIZE).convert("RGB")
    picture.paste(grained().crop((0, 300, *SIZE)), (0, 300))
    return picture


def page() -> Image.Image:
    """Sharp lines on white, as a scan or a screenshot has them."""
    picture = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(picture)
    for y in range(20, SIZE[1] - 20, 14):
        pen.text((20, y), f"line {y} of a page, with words that have edges everywhere and nothing between", "black")
    return picture


PICTURES: tuple[Callable[[], Image.Image], ...] = (lambda: scene(*SIZE), grained, half_sky, page)
BEST = (86, 71, 58, 44)
"""Caps: a little more than what a picture takes at these qualities."""


@dataclass(frozen=True)
class Search:
    """One picture under one cap, by both ways; `likeness` is the SSIM that the informed one gains."""

    cap: int
    found: Encoded
    plain_trials: int
    likeness: float


def shown(data: bytes, form: ImageFormat) -> Image.Image:
    picture = Image.open(io.BytesIO(data), formats=[form.value.upper()])
    picture.load()
    return picture


def ssim(picture: Image.Image, encoded: bytes, form: ImageFormat) -> float:
    pair = (np.asarray(p.convert("L")) for p in (picture, shown(encoded, form)))
    return float(structural_similarity(*pair))  # type: ignore[no-untyped-call]


def at_quality(picture: Image.Image, form: ImageFormat, quality: int) -> bytes:
    return encode_within(picture, spec(format=form, quality=quality, max_bytes=UNCAPPED), b"").data


def plain_search(encode: Callable[[int], bytes], asked: VariantSpec) -> tuple[bytes, int]:
    """The quality asked for first, then by halves; what it found, and its encodes."""
    fits, trials, low, high = b"", 0, asked.min_quality, asked.quality
    quality = high
    while low <= high:
        data, trials = encode(quality), trials + 1
        if len(data) <= asked.max_bytes:
            fits, low = data, quality + 1
        else:
            high = quality - 1
        quality = (low + high) // 2
    return fits, trials


def searches(form: ImageFormat) -> list[Search]:
    made = []
    for picture in (make() for make in PICTURES):
        encode = cache(partial(at_quality, picture, form))
        for quality in BEST:
            capped = spec(format=form, max_bytes=len(encode(quality)) * 101 // 100)
            plain, plain_trials = plain_search(encode, capped)
            found = encode_within(picture, capped, b"")
            likeness = ssim(picture, found.data, form) - ssim(picture, plain, form)
            made.append(Search(capped.max_bytes, found, plain_trials, likeness))
    return made


@pytest.fixture(scope="module", params=list(ImageFormat))
def searched(request: pytest.FixtureRequest) -> list[Search]:
    return searches(request.param)


@pytest.mark.xdist_group("searches")  # in one process: they share what took seconds to find
class TestSearch:
    def test_the_median_takes_two_encodes_at_most(self, searched: list[Search]) -> None:
        assert median(search.found.trials for search in searched) <= 2
        assert max(search.found.trials for search in searched) <= 4
        assert median(search.plain_trials for search in searched) >= 7

    def test_no_picture_is_worse_than_the_plain_search_makes_it(self, searched: list[Search]) -> None:
        assert min(search.likeness for search in searched) >= -LIKENESS

    def test_every_cap_is_met_by_quality_alone(self, searched: list[Search]) -> None:
        assert all(len(search.found.data) <= search.cap for search in searched)
        assert {(search.found.width, search.found.height) for search in searched} == {SIZE}
        assert {search.found.trade for search in searched} == {
            f"quality 90→{search.found.quality}" for search in searched
        }


@pytest.mark.parametrize("form", ImageFormat)
class TestEveryFormat:
    def test_what_fits_is_encoded_once_as_asked(self, form: ImageFormat) -> None:
        found = encode_within(scene(*SIZE), spec(format=form), b"")
        assert (found.quality, found.trials, found.trade) == (90, 1, "")

    def test_dimensions_give_way_at_the_floor(self, form: ImageFormat) -> None:
        picture = grained()
        floor = len(at_quality(picture, form, 60))
        found = encode_within(picture, spec(format=form, min_quality=60, max_bytes=floor // 2), b"")
        assert floor // 2 * 0.85 < len(found.data) <= floor // 2
        assert 60 <= found.quality <= 66
        assert found.trade == f"quality 90→{found.quality}, 640→{found.width} px"
        assert abs(found.width / found.height - SIZE[0] / SIZE[1]) < 0.01
        assert shown(found.data, form).size == (found.width, found.height)

    def test_same_picture_gives_the_same_bytes(self, form: ImageFormat) -> None:
        picture, asked = grained(), spec(format=form, max_bytes=40_000)
        assert encode_within(picture, asked, b"") == encode_within(picture, asked, b"")

    def test_credit_goes_with_it_and_counts(self, form: ImageFormat) -> None:
        picture = scene(120, 80)
        credit = credit_exif(PhotoFacts(credit="Zoë", copyright="©" * 400))
        cap = len(at_quality(picture, form, 90)) + 200
        found = encode_within(picture, spec(format=form, max_bytes=cap), credit)
        kept = shown(found.data, form).getexif()
        assert str(kept[0x013B]).encode("latin-1").decode() == "Zoë"
        assert len(found.data) <= cap
        assert found.trade

    def test_nothing_leaves_that_the_source_said(self, form: ImageFormat) -> None:
        picture = scene(120, 80)
        said = {"icc_profile": b"PROFILE", "exif": b"Exif\0\0SECRET", "xmp": b"SECRET", "comment": b"SECRET"}
        picture.info.update(said)
        data = encode_within(picture, spec(format=form), b"").data
        assert not said.keys() & shown(data, form).info.keys()
        assert (b"SECRET" in data, b"PROFILE" in data) == (False, False)

    @pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (7, 5), (33, 17)])
    def test_odd_sizes(self, form: ImageFormat, size: tuple[int, int]) -> None:
        found = encode_within(scene(*size), spec(format=form), b"")
        assert shown(found.data, form).size == size

    def test_a_cap_that_nothing_meets_ends_at_one_pixel(self, form: ImageFormat) -> None:
        found = encode_within(noise(64, 48), spec(format=form, max_bytes=10), b"")
        assert (found.width, found.height, shown(found.data, form).size) == (1, 1, (1, 1))

    def test_a_floor_above_the_quality_asked_for_is_that_quality(self, form: ImageFormat) -> None:
        found = encode_within(scene(*SIZE), spec(quality=30, min_quality=60, format=form), b"")
        assert (found.quality, found.trade) == (30, "")


@pytest.mark.parametrize("form", [ImageFormat.WEBP, ImageFormat.AVIF])
class TestTransparency:
    def test_is_kept(self, form: ImageFormat) -> None:
        picture = scene(*SIZE)
        picture.putalpha(Image.linear_gradient("L").resize(SIZE))
        back = shown(encode_within(picture, spec(format=form), b"").data, form)
        assert back.mode == "RGBA"
        difference = np.asarray(back.getchannel("A"), dtype=int) - np.asarray(picture.getchannel("A"), dtype=int)
        assert np.abs(difference).max() <= 8

    def test_counts_under_the_cap(self, form: ImageFormat) -> None:
        picture = grained()
        picture.putalpha(noise(*SIZE).convert("L").filter(ImageFilter.GaussianBlur(4)))
        cap = len(at_quality(picture, form, 90)) * 7 // 10
        found = encode_within(picture, spec(format=form, max_bytes=cap, min_quality=5), b"")
        assert len(found.data) <= cap
        assert shown(found.data, form).mode == "RGBA"


class TestJpeg:
    @pytest.mark.parametrize("progressive", [False, True])
    @pytest.mark.parametrize("cap", [UNCAPPED, 30_000])
    def test_is_progressive_when_asked(self, progressive: bool, cap: int) -> None:
        found = encode_within(scene(*SIZE), spec(progressive=progressive, max_bytes=cap), b"")
        assert len(found.data) <= cap
        assert bool(shown(found.data, ImageFormat.JPEG).info.get("progressive")) is progressive
