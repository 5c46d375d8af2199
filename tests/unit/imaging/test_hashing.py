"""What a fingerprint survives, what it tells apart, and which pictures have none."""

import io
from collections.abc import Callable
from functools import cache
from itertools import combinations
from random import Random

import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from mediagate.imaging.hashing import dct_hash, hash_jpeg
from mediagate.media.fingerprints import FARTHEST, Form, dihedral, distance

Picture = Image.Image
Transpose = Image.Transpose
SEEDS = range(12)


@cache
def scene(seed: int) -> Picture:
    """Overlapping shapes on a gradient, more or less sharp."""
    random = Random(seed)

    def colour() -> tuple[int, int, int]:
        return random.randrange(256), random.randrange(256), random.randrange(256)

    size = width, height = random.choice([(640, 480), (480, 640), (800, 450), (600, 600)])
    slope = Image.linear_gradient("L").resize(size)
    picture = Image.composite(Image.new("RGB", size, colour()), Image.new("RGB", size, colour()), slope)
    draw = ImageDraw.Draw(picture)
    for _ in range(random.randrange(6, 24)):
        left, top = random.randrange(-80, width - 40), random.randrange(-80, height - 40)
        box = (left, top, left + random.randrange(40, width // 2), top + random.randrange(40, height // 2))
        random.choice([draw.ellipse, draw.rectangle])(box, fill=colour())
    return picture.filter(ImageFilter.GaussianBlur(random.choice([0, 1, 3])))


def encoded(picture: Picture, quality: int = 85) -> bytes:
    """As JPEG."""
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=quality)
    return target.getvalue()


def again(picture: Picture, quality: int) -> Picture:
    """Through the encoder once."""
    return Image.open(io.BytesIO(encoded(picture, quality))).convert("RGB")


def marked(picture: Picture) -> Picture:
    """With a line of half-transparent text over a fifth of the width."""
    marked = picture.copy()
    draw = ImageDraw.Draw(marked, "RGBA")
    at = (picture.width * 0.98, picture.height * 0.98)
    font = ImageFont.load_default(picture.width / 30)
    draw.text(at, "© Mediagate", (255, 255, 255, 128), font, "rs", stroke_width=1, stroke_fill=(0, 0, 0, 128))
    return marked


def fingerprint(picture: Picture) -> int:
    """Of a picture that has one."""
    found = dct_hash(picture)
    assert found is not None
    return found


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "re-encoded at quality 30": lambda picture: again(picture, 30),
    "a quarter of the size": lambda picture: picture.resize((picture.width // 4, picture.height // 4)),
    "watermark": marked,
    "2 % cropped": lambda picture: ImageOps.crop(picture, picture.width // 100),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.9),
    "grey": lambda picture: picture.convert("L"),
}
TURNED = {
    Form.ROTATE90: Transpose.ROTATE_270,  # Pillow's turns are counter-clockwise
    Form.ROTATE180: Transpose.ROTATE_180,
    Form.ROTATE270: Transpose.ROTATE_90,
    Form.FLIP_HORIZONTAL: Transpose.FLIP_LEFT_RIGHT,
    Form.FLIP_VERTICAL: Transpose.FLIP_TOP_BOTTOM,
    Form.TRANSPOSE: Transpose.TRANSPOSE,
    Form.TRANSVERSE: Transpose.TRANSVERSE,
}


class TestTheSamePicture:
    @pytest.mark.parametrize("name", CHANGES)
    def test_is_near_after(self, name: str) -> None:
        apart = [distance(fingerprint(scene(seed)), fingerprint(CHANGES[name](scene(seed)))) for seed in SEEDS]
        assert max(apart) <= FARTHEST, apart

    @pytest.mark.parametrize("form", TURNED)
    def test_is_near_when_turned(self, form: Form) -> None:
        for seed in SEEDS:
            expected = dict(zip(Form, dihedral(fingerprint(scene(seed))), strict=True))[form]
            turned = again(scene(seed).transpose(TURNED[form]), 60)
            assert distance(expected, fingerprint(turned)) <= FARTHEST

    def test_with_an_axis_of_symmetry_is_near_after_an_encoder(self) -> None:
        """Half of its coefficients are nothing but rounding, and must not be thrown anew."""
        for seed in SEEDS:
            half = scene(seed)
            picture = Image.new("RGB", (2 * half.width, half.height))
            picture.paste(half, (0, 0))
            picture.paste(ImageOps.mirror(half), (half.width, 0))
            one, other = dct_hash(picture), dct_hash(again(picture, 30))
            assert (one is None) == (other is None)
            assert distance(one or 0, other or 0) <= FARTHEST


class TestDifferentPictures:
    def test_are_far_apart_in_all_forms(self) -> None:
        forms = [dihedral(fingerprint(scene(seed))) for seed in range(40)]
        nearest = [min(distance(form, other[0]) for form in one) for one, other in combinations(forms, 2)]
        assert min(nearest) > FARTHEST
        assert sum(bits > 12 for bits in nearest) > 0.99 * len(nearest)


class TestPicturesThatShowNothing:
    @pytest.mark.parametrize("colour", ["black", "white", "#808080", "#c03020"])
    def test_one_colour(self, colour: str) -> None:
        flat = Image.new("RGB", (300, 200), colour)
        assert dct_hash(flat) is None
        assert hash_jpeg(encoded(flat, 30)) is None

    def test_a_gradient_or_a_disc_in_the_middle(self) -> None:
        disc = Image.new("RGB", (640, 480), "white")
        ImageDraw.Draw(disc).ellipse((220, 140, 419, 339), fill="#204080")
        for picture in (Image.linear_gradient("L").resize((640, 480)), Image.radial_gradient("L"), disc):
            assert dct_hash(picture) is None

    def test_a_little_noise_on_one_colour(self) -> None:
        random = Random(1)
        grains = bytes(random.choice((127, 128, 129)) for _ in range(400 * 300))
        assert dct_hash(Image.frombytes("L", (400, 300), grains)) is None


class TestJpeg:
    def test_decoded_small_or_whole_is_the_same(self) -> None:
        for seed in SEEDS:
            data = encoded(scene(seed).resize((2000, 1500)))
            found = hash_jpeg(data)
            assert found is not None
            assert distance(found, fingerprint(Image.open(io.BytesIO(data)))) <= 3

    @pytest.mark.parametrize("size", [(1, 1), (3, 2), (31, 33), (2000, 9), (9, 2000)])
    def test_of_any_shape(self, size: tuple[int, int]) -> None:
        small = scene(1).resize(size)
        one, other = hash_jpeg(encoded(small, 95)), dct_hash(again(small, 95))
        assert (one is None) == (other is None)
        assert distance(one or 0, other or 0) <= FARTHEST

    def test_of_a_grey_one(self) -> None:
        grey = scene(2).convert("L")
        assert distance(hash_jpeg(encoded(grey)) or 0, fingerprint(scene(2))) <= 3

    def test_is_64_bits_and_always_the_same(self) -> None:
        found = {hash_jpeg(encoded(scene(3))) for _ in range(3)}
        assert len(found) == 1
        assert 0 <= (found.pop() or -1) < 1 << 64
