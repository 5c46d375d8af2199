"""Where a mark stands and what it leaves alone."""

from pathlib import Path

import pytest
from PIL import Image, ImageChops

from mediagate.imaging import Refused, Watermark, render_marked, render_variants
from mediagate.media.values import MEDIUM, MODERATION, THUMB, Position, Refusal, VariantName, WatermarkSpec
from tests.unit.imaging.pictures import distance, facts_of, opened, pixel, save, scene, spec, stored

GREY = (128, 128, 128)
THIRDS: dict[Position, tuple[int, int]] = {
    position: (i % 3, i // 3)
    for i, position in enumerate(
        (
            Position.TOP_LEFT,
            Position.TOP,
            Position.TOP_RIGHT,
            Position.LEFT,
            Position.CENTER,
            Position.RIGHT,
            Position.BOTTOM_LEFT,
            Position.BOTTOM,
            Position.BOTTOM_RIGHT,
        )
    )
}


def logo(colour: tuple[int, int, int, int] = (255, 0, 0, 255)) -> bytes:
    return save(Image.new("RGBA", (40, 20), colour), "PNG")


def touched(mark: Watermark, size: tuple[int, int] = (300, 300)) -> tuple[int, int, int, int] | None:
    """The box of the pixels that a mark changes."""
    picture = Image.new("RGB", size, GREY)
    mark.stamp(picture)
    return ImageChops.difference(picture, Image.new("RGB", size, GREY)).getbbox()


class TestPosition:
    @pytest.mark.parametrize(("position", "third"), THIRDS.items())
    @pytest.mark.parametrize("image", [None, logo()], ids=["text", "image"])
    def test_mark_stands_in_its_ninth(self, position: Position, third: tuple[int, int], image: bytes | None) -> None:
        box = touched(Watermark(WatermarkSpec(text="© me", position=position, opacity=1, scale=0.3), image))
        assert box is not None
        assert third[0] * 100 <= box[0] <= box[2] <= third[0] * 100 + 100
        assert third[1] * 100 <= box[1] <= box[3] <= third[1] * 100 + 100

    def test_tile_reaches_all_sides(self) -> None:
        box = touched(Watermark(WatermarkSpec(image_key="k", position=Position.TILE, scale=0.2), logo()))
        assert box is not None
        assert (box[0], box[1], box[2]) == (0, 0, 300)
        assert box[3] > 270

    def test_margin_is_kept(self) -> None:
        mark = Watermark(WatermarkSpec(image_key="k", position=Position.TOP_LEFT, margin=0.1), logo())
        assert touched(mark) == (30, 30, 90, 60)

    def test_margin_that_does_not_fit_shrinks(self) -> None:
        mark = Watermark(WatermarkSpec(image_key="k", position=Position.TOP_LEFT, margin=0.5, scale=1), logo())
        assert touched(mark) == (0, 75, 300, 225)


class TestLook:
    def test_scale_is_a_share_of_the_width(self) -> None:
        box = touched(Watermark(WatermarkSpec(image_key="k", scale=0.5), logo()), (400, 300))
        assert box is not None
        assert (box[2] - box[0], box[3] - box[1]) == (200, 100)

    def test_opacity_mixes(self) -> None:
        picture = Image.new("RGB", (100, 100), "white")
        Watermark(WatermarkSpec(image_key="k", position=Position.CENTER, opacity=0.4), logo()).stamp(picture)
        assert distance(pixel(picture, 50, 50), (255, 153, 153)) <= 1

    @pytest.mark.parametrize("shade", ["white", "black"])
    def test_text_can_be_read_on_any_ground(self, shade: str) -> None:
        picture = Image.new("RGB", (300, 300), shade)
        Watermark(WatermarkSpec(text="© me", opacity=0.8)).stamp(picture)
        shades = picture.convert("L").tobytes()
        assert max(shades) - min(shades) > 90

    @pytest.mark.parametrize("mark", [WatermarkSpec(), WatermarkSpec(text="x", opacity=0), WatermarkSpec(text="\n\t ")])
    def test_empty_mark_changes_nothing(self, mark: WatermarkSpec) -> None:
        assert touched(Watermark(mark)) is None

    @pytest.mark.parametrize("text", ["ab\0c", "é" * 5000, "مرحبا", "🙂", "a\nb", "\ud800", "\u202eevil"])
    @pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (60, 60)])
    def test_any_text_fits_any_picture(self, text: str, size: tuple[int, int]) -> None:
        picture = Image.new("RGB", size, GREY)
        Watermark(WatermarkSpec(text=text, scale=1, position=Position.TILE)).stamp(picture)
        assert picture.size == size

    def test_smallest_tiles_are_bounded_in_number(self) -> None:
        picture = Image.new("RGB", (2000, 2000), GREY)
        mark = Watermark(
            WatermarkSpec(image_key="k", position=Position.TILE, scale=0.0001, margin=0, opacity=1), logo()
        )
        mark.stamp(picture)
        red = next(n for n, colour in picture.getcolors() or [] if colour == (255, 0, 0))
        assert 100 < red < 1000


class TestVariants:
    def test_moderation_copy_is_never_marked(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(scene(), "JPEG"))
        every = tuple(VariantName)
        mark = Watermark(WatermarkSpec(text="© me", opacity=1, variants=every))
        plain = render_variants(path, facts_of(path), [MODERATION, MEDIUM, THUMB])
        marked = render_variants(path, facts_of(path), [MODERATION, MEDIUM, THUMB], mark, every)
        assert [a == b for a, b in zip(plain, marked, strict=True)] == [True, False, False]
        alone = render_marked(path, facts_of(path), MODERATION, mark)
        assert alone.data == render_marked(path, facts_of(path), MODERATION, None).data

    def test_only_named_variants_are_marked(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(scene(), "JPEG"))
        mark = Watermark(WatermarkSpec(text="© me", variants=(VariantName.MEDIUM,)))
        plain = render_variants(path, facts_of(path), [MEDIUM, THUMB])
        by_spec = render_variants(path, facts_of(path), [MEDIUM, THUMB], mark)
        by_name = render_variants(path, facts_of(path), [MEDIUM, THUMB], mark, {VariantName.THUMB})
        assert [a == b for a, b in zip(plain, by_spec, strict=True)] == [False, True]
        assert [a == b for a, b in zip(plain, by_name, strict=True)] == [True, False]

    def test_mark_is_upright_on_a_turned_picture(self, tmp_path: Path) -> None:
        turned = Image.Exif()
        turned[0x0112] = 6
        path = stored(tmp_path, save(Image.new("RGB", (600, 300), GREY), "JPEG", exif=turned.tobytes()))
        mark = Watermark(WatermarkSpec(image_key="k", position=Position.BOTTOM, opacity=1, scale=0.5), logo())
        picture = opened(render_marked(path, facts_of(path), spec(), mark).data)
        assert picture.size == (300, 600)
        assert distance(pixel(picture, 150, 560), (255, 0, 0)) < 12
        assert distance(pixel(picture, 150, 40), GREY) < 6


class TestImage:
    @pytest.mark.parametrize(
        ("image", "reason"),
        [
            (b"", Refusal.EMPTY),
            (b"<svg/>", Refusal.UNKNOWN_TYPE),
            (logo()[:-20], Refusal.TRUNCATED),
            (logo() + b"PK\3\4", Refusal.TRAILING_DATA),
        ],
        ids=["empty", "svg", "truncated", "trailing"],
    )
    def test_bad_image_is_refused(self, image: bytes, reason: Refusal) -> None:
        with pytest.raises(Refused) as refused:
            Watermark(WatermarkSpec(image_key="k"), image)
        assert refused.value.reason is reason
