"""Where a mark stands, how it looks, and what it leaves alone."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFont

from mediagate.errors import WatermarkUnusable
from mediagate.imaging import Refused, Watermark, render_variants
from mediagate.imaging.preview import render_preview
from mediagate.imaging.text_mark import FONT, LONGEST_TEXT, objection, prepared, text_mark
from mediagate.imaging.watermark import watermark_for
from mediagate.media.values import (
    MEDIUM,
    MODERATION,
    THUMB,
    Position,
    Refusal,
    VariantName,
    WatermarkOverride,
    WatermarkSpec,
)
from tests.unit.imaging.pictures import (
    corners,
    distance,
    exif,
    facts_of,
    noise,
    opened,
    pixel,
    render_marked,
    save,
    scene,
    spec,
    stored,
)

GREY = (128, 128, 128)
SIZES = {"landscape": (400, 240), "portrait": (240, 400), "square": (300, 300), "tiny": (45, 45), "strip": (200, 3)}
# From the left and from the top, in thirds.
THIRDS = {
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


def image_spec(position: Position = Position.BOTTOM_RIGHT, opacity: float = 0.5, **more: float) -> WatermarkSpec:
    return WatermarkSpec.model_validate({"image_key": "k", "position": position, "opacity": opacity, **more})


def touched(
    mark: Watermark, size: tuple[int, int] = (300, 300), name: VariantName = VariantName.ORIGINAL
) -> Image.Image:
    """How much a mark changes each pixel of a grey picture."""
    picture = Image.new("RGB", size, GREY)
    mark.stamp(picture, name)
    return ImageChops.difference(picture, Image.new("RGB", size, GREY))


def box_of(mark: Watermark, size: tuple[int, int] = (300, 300)) -> tuple[int, int, int, int]:
    box = touched(mark, size).getbbox()
    assert box is not None
    return box


def strokes(text: str) -> list[int]:
    """Widths of what stands apart in a text, from left to right."""
    mark = text_mark(text, "#ffffff", 600, (4000, 4000))
    letters = ImageChops.multiply(mark.getchannel("A"), mark.getchannel("R")).point([0] * 128 + [255] * 128)
    row = letters.reduce((1, letters.height)).point([0] + [255] * 255).tobytes()
    return [len(run) for run in row.split(b"\0") if run]


class TestPosition:
    @pytest.mark.parametrize(("position", "third"), THIRDS.items())
    @pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
    @pytest.mark.parametrize("text", ["", "© me"], ids=["image", "text"])
    def test_mark_stands_in_its_ninth(
        self, position: Position, third: tuple[int, int], size: tuple[int, int], text: str
    ) -> None:
        look = (
            WatermarkSpec(text="© me", position=position, opacity=1, scale=0.3)
            if text
            else image_spec(position, 1, scale=0.3)
        )
        box = box_of(Watermark(look, None if text else logo()), size)
        for axis in (0, 1):
            before, behind = box[axis], size[axis] - box[axis + 2]
            assert box[axis + 2] - box[axis] <= size[axis]
            # Letters need not fill their line to the last pixel.
            slack = 0 if not text else 1
            if third[axis] == 0:
                assert before <= behind + slack
            elif third[axis] == 1:
                assert abs(before - behind) <= 1 + slack
            else:
                assert behind <= before + slack

    @pytest.mark.parametrize("size", [(400, 240), (240, 400), (300, 300), (40, 40)])
    @pytest.mark.parametrize("text", ["", "© me"], ids=["image", "text"])
    def test_tile_covers_every_part(self, size: tuple[int, int], text: str) -> None:
        look = image_spec(Position.TILE, 1) if not text else WatermarkSpec(text=text, position=Position.TILE, opacity=1)
        changed = touched(Watermark(look, None if text else logo()), size)
        for across in range(3):
            for down in range(3):
                cell = (
                    size[0] * across // 3,
                    size[1] * down // 3,
                    size[0] * (across + 1) // 3,
                    size[1] * (down + 1) // 3,
                )
                assert changed.crop(cell).getbbox() is not None

    def test_tiles_can_be_turned(self) -> None:
        straight, turned = (
            touched(Watermark(image_spec(Position.TILE, 1, rotation=angle, scale=0.3), logo())) for angle in (0, 30)
        )
        assert straight.getbbox() is not None
        assert turned.getbbox() is not None
        assert straight.tobytes() != turned.tobytes()

    def test_only_tiles_are_turned(self) -> None:
        assert box_of(Watermark(image_spec(Position.TOP_LEFT, 1, rotation=45, margin=0), logo())) == (0, 0, 60, 30)

    def test_smallest_tiles_are_bounded_in_number(self) -> None:
        picture = Image.new("RGB", (2000, 2000), GREY)
        Watermark(image_spec(Position.TILE, 1, scale=0.0001, margin=0), logo()).stamp(picture)
        red = next(n for n, colour in picture.getcolors() or [] if colour == (255, 0, 0))
        assert 100 < red < 1000

    def test_margin_is_kept(self) -> None:
        mark = Watermark(image_spec(Position.TOP_LEFT, margin=0.1), logo())
        assert box_of(mark) == (30, 30, 90, 60)

    def test_margin_is_a_share_of_the_shorter_edge(self) -> None:
        mark = Watermark(image_spec(Position.BOTTOM_RIGHT, margin=0.1), logo())
        assert box_of(mark, (400, 200)) == (300, 140, 380, 180)

    def test_margin_that_does_not_fit_shrinks(self) -> None:
        mark = Watermark(image_spec(Position.TOP_LEFT, margin=0.5, scale=1), logo())
        assert box_of(mark) == (0, 75, 300, 225)


class TestLook:
    @pytest.mark.parametrize("scale", [0.1, 0.5, 1])
    def test_scale_is_a_share_of_the_width(self, scale: float) -> None:
        box = box_of(Watermark(image_spec(scale=scale), logo()), (400, 300))
        assert (box[2] - box[0], box[3] - box[1]) == (400 * scale, 200 * scale)
        text = box_of(Watermark(WatermarkSpec(text="© Mediagate", scale=scale)), (400, 300))
        assert 0.85 * scale <= (text[2] - text[0]) / 400 <= 1.05 * scale

    @pytest.mark.parametrize("opacity", [0.1, 0.4, 1])
    def test_opacity_mixes(self, opacity: float) -> None:
        picture = Image.new("RGB", (100, 100), "white")
        Watermark(image_spec(Position.CENTER, opacity), logo()).stamp(picture)
        rest = round(255 * (1 - opacity))
        assert distance(pixel(picture, 50, 50), (255, rest, rest)) <= 1

    def test_transparency_of_the_image_counts(self) -> None:
        picture = Image.new("RGB", (100, 100), "white")
        Watermark(image_spec(Position.CENTER, 0.5), logo((255, 0, 0, 128))).stamp(picture)
        assert distance(pixel(picture, 50, 50), (255, 191, 191)) <= 1

    def test_only_pixels_under_the_mark_change(self) -> None:
        plain = noise(300, 300)
        marked = plain.copy()
        Watermark(image_spec(Position.TOP_LEFT, 0.5, margin=0.1), logo()).stamp(marked)
        assert ImageChops.difference(plain, marked).getbbox() == (30, 30, 90, 60)
        assert marked.getpixel((45, 45)) != plain.getpixel((45, 45))

    @pytest.mark.parametrize("ground", ["white", "#eeeeee", "#808080", "#101010", "black"])
    @pytest.mark.parametrize("colour", ["#ffffff", "#000000", "#808080", "#ff2020"])
    def test_text_can_be_read_on_any_ground(self, ground: str, colour: str) -> None:
        picture = Image.new("RGB", (300, 300), ground)
        Watermark(WatermarkSpec(text="© me", opacity=0.8, colour=colour)).stamp(picture)
        shades = picture.convert("L").tobytes()
        assert max(shades) - min(shades) > 75

    def test_colour_is_that_of_the_letters(self) -> None:
        picture = Image.new("RGB", (300, 300), "black")
        Watermark(WatermarkSpec(text="■", opacity=1, colour="#20c040", position=Position.CENTER)).stamp(picture)
        assert distance(pixel(picture, 150, 150), (0x20, 0xC0, 0x40)) <= 1

    @pytest.mark.parametrize("mark", [WatermarkSpec(), WatermarkSpec(text="x", opacity=0), WatermarkSpec(text="\n\t ")])
    def test_empty_mark_changes_nothing(self, mark: WatermarkSpec) -> None:
        assert touched(Watermark(mark)).getbbox() is None

    def test_again_it_gives_the_same_pixels(self) -> None:
        looks = WatermarkSpec(text="© مرحبا me", position=Position.TILE, rotation=20), image_spec(scale=0.37)
        for look in looks:
            image = logo() if look.image_key else None
            first, second = (touched(Watermark(look, image)).tobytes() for _ in range(2))
            assert first == second


class TestTransparentPictures:
    @pytest.mark.parametrize("position", [Position.CENTER, Position.TILE])
    def test_mark_shows_where_there_is_nothing(self, position: Position) -> None:
        picture = Image.new("RGBA", (300, 300), (10, 20, 30, 0))
        Watermark(image_spec(position, 0.5, scale=0.5), logo()).stamp(picture)
        alphas = {alpha for _, alpha in picture.getchannel("A").getcolors() or []}
        assert alphas == {0, 128}
        assert {colour[3] for _, colour in picture.getcolors() or [] if colour[:3] == (10, 20, 30)} == {0}  # type: ignore[index]

    def test_opaque_parts_are_as_in_a_picture_without_transparency(self) -> None:
        plain = scene(200, 150)
        opaque = plain.convert("RGBA")
        mark = Watermark(WatermarkSpec(text="© me", scale=0.6))
        mark.stamp(plain)
        mark.stamp(opaque)
        apart = ImageChops.difference(plain, opaque.convert("RGB")).getextrema()
        assert all(channel[1] <= 1 for channel in apart)  # type: ignore[index]
        assert opaque.getchannel("A").getextrema() == (255, 255)

    def test_tiles_over_the_edge_are_cut(self) -> None:
        picture = Image.new("RGBA", (50, 30), (0, 0, 0, 0))
        Watermark(image_spec(Position.TILE, 1, scale=0.9), logo()).stamp(picture)
        assert picture.size == (50, 30)
        assert picture.getbbox() is not None


class TestText:
    @pytest.mark.parametrize(
        "text", ["ab\0c", "é" * 5000, "مرحبا", "a\nb", "\ud800", "\u202eevil", "e\u0301", "©\ufe0f"]
    )
    @pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (60, 60)])
    def test_any_text_fits_any_picture(self, text: str, size: tuple[int, int]) -> None:
        picture = Image.new("RGB", size, GREY)
        Watermark(WatermarkSpec(text=text, scale=1, position=Position.TILE)).stamp(picture)
        assert picture.size == size

    @pytest.mark.parametrize("bounds", [(1, 1), (3, 200), (200, 3), (20, 20), (4000, 3000)])
    def test_is_never_larger_than_its_bounds(self, bounds: tuple[int, int]) -> None:
        mark = text_mark("© Mediagate 2026", "#ffffff", bounds[0], bounds)
        assert mark.width <= bounds[0]
        assert mark.height <= bounds[1]

    def test_hebrew_runs_from_right_to_left(self) -> None:
        """The first letter is narrow, the second one wide."""
        left, right = strokes("וש")
        assert left > 1.5 * right
        assert strokes("lw") == sorted(strokes("lw"))

    def test_arabic_letters_join(self) -> None:
        assert len(strokes("سسس")) == 1
        assert len(strokes("س س س")) == 3

    def test_a_joiner_that_parts_letters_is_kept(self) -> None:
        assert prepared("می\u200cخواهم") == "می\u200cخواهم"
        assert len(strokes("س\u200cس")) == 2

    @pytest.mark.parametrize(
        ("text", "drawn"),
        [
            ("  a\n\tb\x00c ", "a b c"),
            ("e\u0301", "é"),
            ("\u202eevil", "evil"),
            ("©\ufe0f 2026", "© 2026"),
            ("x" * 500, "x" * LONGEST_TEXT),
        ],
    )
    def test_only_what_can_be_seen_is_drawn(self, text: str, drawn: str) -> None:
        assert prepared(text) == drawn


class TestFont:
    @pytest.mark.parametrize(
        "text",
        [
            "© 2026 Zürich, Łódź, Đà Nẵng, Şişli",
            "Ωραία Ελλάδα",
            "Жизнь, Україна, Қазақстан",
            "הספרייה שלנו",
            "مكتبة الصور، کتاب‌خانه",
            "Հայաստան",
            "საქართველო",
            "€ £ ¥ ™ ® → ★ ■",
            "e\u0301 \u200d",
            "",
        ],
    )
    def test_bundled_font_draws(self, text: str) -> None:
        assert objection(text) == ""

    @pytest.mark.parametrize(
        ("text", "named", "drawn"),
        [
            ("© 図書館 2026", ["図 (U+56F3)", "書 (U+66F8)", "館 (U+9928)"], ["©", "2 ("]),
            ("สวัสดี", ["ส (U+0E2A)", "ว (U+0E27)"], []),
            ("aनa", ["न (U+0928)"], ["a "]),
            ("日日日", ["日 (U+65E5)"], ["日 (U+65E5), 日"]),
        ],
    )
    def test_characters_without_a_glyph_are_named(self, text: str, named: list[str], drawn: list[str]) -> None:
        reason = objection(text)
        assert reason.startswith("The font DejaVu Sans does not have: ")
        assert all(name in reason for name in named)
        assert not any(name in reason for name in drawn)

    @pytest.mark.parametrize("emoji", ["🙂", "😀", "🇨🇭", "👩‍🚀", "🚀"])
    def test_emoji_are_refused(self, emoji: str) -> None:
        reason = objection(f"me {emoji}")
        assert reason.startswith("Emoji cannot be drawn in a watermark: ")
        assert f"{emoji[0]} (U+{ord(emoji[0]):04X})" in reason

    @pytest.mark.parametrize(
        "look",
        [
            WatermarkSpec(text="図"),
            WatermarkSpec(text="a", overrides={VariantName.THUMB: WatermarkOverride(text="図")}),
        ],
        ids=["text", "override"],
    )
    def test_a_text_with_missing_glyphs_makes_no_watermark(self, look: WatermarkSpec) -> None:
        with pytest.raises(WatermarkUnusable, match="U\\+56F3") as raised:
            Watermark(look)
        assert raised.value.retry_after == 60

    def test_another_font_is_used(self, tmp_path: Path) -> None:
        built_in = ImageFont.load_default(20)
        assert isinstance(built_in, ImageFont.FreeTypeFont)
        assert isinstance(built_in.path, BytesIO)
        other = stored(tmp_path, built_in.path.getvalue(), "other.ttf")
        look = WatermarkSpec(text="Quay", scale=0.8)
        assert touched(Watermark(look, None, other)).tobytes() != touched(Watermark(look)).tobytes()
        assert objection("שלום") == ""
        assert "ש (U+05E9)" in objection("שלום", other)

    @pytest.mark.parametrize("data", [b"", b"no font", FONT.read_bytes()[:1000]], ids=["empty", "text", "cut"])
    def test_a_broken_font_is_named_by_its_setting(self, tmp_path: Path, data: bytes) -> None:
        with pytest.raises(WatermarkUnusable, match=r"^MEDIAGATE_WATERMARK_FONT cannot be used: "):
            Watermark(WatermarkSpec(text="a"), None, stored(tmp_path, data))

    def test_so_is_a_font_whose_letters_are_broken(self, tmp_path: Path) -> None:
        """It opens: its tables are there, and what stands in the one that holds the outlines is not."""
        data = bytearray(FONT.read_bytes())
        entry = data.index(b"glyf")
        offset, length = (int.from_bytes(data[entry + at : entry + at + 4]) for at in (8, 12))
        data[offset : offset + length] = b"\xa5" * length
        font = stored(tmp_path, bytes(data))
        for drawing in (
            lambda: Watermark(WatermarkSpec(text="a"), None, font),
            lambda: text_mark("a", "#ffffff", 90, (90, 90), font),
        ):
            with pytest.raises(WatermarkUnusable, match=r"^MEDIAGATE_WATERMARK_FONT cannot be used: "):
                drawing()

    def test_no_font_is_needed_for_an_image(self, tmp_path: Path) -> None:
        look = image_spec(Position.CENTER, 1).model_copy(update={"text": "a text that the image hides"})
        mark = Watermark(look, logo(), tmp_path / "none.ttf")
        assert touched(mark).getbbox() is not None

    def test_the_licence_is_beside_the_font(self) -> None:
        assert "Bitstream Vera" in (FONT.parent / "LICENSE-DejaVu.txt").read_text()


class TestVariants:
    MARK = WatermarkSpec(
        text="© me",
        variants=(VariantName.ORIGINAL, VariantName.THUMB, VariantName.W640, VariantName.MODERATION),
        overrides={
            VariantName.THUMB: WatermarkOverride(position=Position.CENTER, scale=0.6, opacity=1, text="me"),
            VariantName.MEDIUM: WatermarkOverride(opacity=1),
            VariantName.W640: WatermarkOverride(opacity=0),
        },
    )

    def test_each_has_its_own_look(self) -> None:
        own = self.MARK.of(VariantName.THUMB)
        assert own == WatermarkSpec(
            text="me", position=Position.CENTER, scale=0.6, opacity=1, variants=(VariantName.THUMB,)
        )
        assert self.MARK.of(VariantName.ORIGINAL) == WatermarkSpec(text="© me")

    @pytest.mark.parametrize("name", [VariantName.MEDIUM, VariantName.W640, VariantName.MODERATION, VariantName.W320])
    def test_others_have_none(self, name: VariantName) -> None:
        assert self.MARK.of(name) is None

    def test_a_text_of_its_own_takes_the_place_of_the_image(self) -> None:
        look = image_spec(Position.CENTER, 1).model_copy(
            update={"text": "lib", "overrides": {VariantName.THUMB: WatermarkOverride(text="■", colour="#00ff00")}}
        )
        mark = Watermark(look, logo())
        assert touched(mark).getpixel((150, 150)) == (127, 128, 128)
        assert touched(mark, name=VariantName.THUMB).getpixel((150, 150)) == (128, 127, 128)

    @pytest.mark.parametrize(
        ("mark", "empty"),
        [
            (WatermarkSpec(), True),
            (WatermarkSpec(text="a"), False),
            (WatermarkSpec(text="a", variants=()), True),
            (WatermarkSpec(text="a", variants=(VariantName.MODERATION,)), True),
            (WatermarkSpec(overrides={VariantName.ORIGINAL: WatermarkOverride(text="a")}), False),
            (WatermarkSpec(overrides={VariantName.THUMB: WatermarkOverride(text="a")}), True),
            (WatermarkSpec(text="a", opacity=0, overrides={VariantName.ORIGINAL: WatermarkOverride(opacity=1)}), False),
        ],
    )
    def test_empty_is_a_mark_that_no_variant_has(self, mark: WatermarkSpec, empty: bool) -> None:
        assert mark.empty is empty

    def test_nothing_is_drawn_on_the_moderation_copy(self) -> None:
        mark = Watermark(WatermarkSpec(text="© me", opacity=1, variants=tuple(VariantName)))
        assert touched(mark, name=VariantName.MODERATION).getbbox() is None
        assert touched(mark, name=VariantName.MEDIUM).getbbox() is not None

    def test_moderation_copy_is_rendered_without(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(scene(), "JPEG"))
        mark = Watermark(WatermarkSpec(text="© me", opacity=1, variants=tuple(VariantName)))
        plain = render_variants(path, facts_of(path), [MODERATION, MEDIUM, THUMB])
        marked = render_variants(path, facts_of(path), [MODERATION, MEDIUM, THUMB], mark)
        assert [a == b for a, b in zip(plain, marked, strict=True)] == [True, False, False]

    def test_named_variants_are_marked_as_they_want(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(Image.new("RGB", (600, 600), GREY), "JPEG"))
        mark = Watermark(self.MARK)
        plain = render_variants(path, facts_of(path), [MEDIUM, THUMB])
        marked = render_variants(path, facts_of(path), [MEDIUM, THUMB], mark)
        assert [a == b for a, b in zip(plain, marked, strict=True)] == [True, False]
        changed = ImageChops.difference(opened(plain[1].data), opened(marked[1].data)).point(
            lambda v: v if v > 60 else 0
        )
        left, top, right, bottom = changed.getbbox() or (0, 0, 0, 0)
        assert abs(left + right - 150) <= 3
        assert abs(top + bottom - 150) <= 3
        assert 80 <= right - left <= 100

    def test_mark_is_upright_on_a_turned_picture(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(Image.new("RGB", (600, 300), GREY), "JPEG", exif=exif(6)))
        mark = Watermark(image_spec(Position.BOTTOM, 1, scale=0.5), logo())
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

    def test_an_image_that_is_not_there_is_no_watermark(self) -> None:
        with pytest.raises(WatermarkUnusable):
            Watermark(WatermarkSpec(text="© me", image_key="k"))

    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "JPEG", "TIFF"])
    def test_any_upload_format_will_do(self, kind: str) -> None:
        image = save(Image.new("RGB", (40, 20), "red"), kind)
        assert box_of(Watermark(image_spec(Position.TOP_LEFT, 1, margin=0), image)) == (0, 0, 60, 30)

    def test_it_stands_upright(self) -> None:
        """A photo of a logo, held the other way up."""
        image = save(corners(96, 64), "JPEG", quality=95, exif=exif(3))
        picture = Image.new("RGB", (96, 64), GREY)
        Watermark(image_spec(Position.CENTER, 1, scale=1), image).stamp(picture)
        assert distance(pixel(picture, 20, 15), (230, 220, 30)) < 12

    @pytest.mark.parametrize("period", [8, 10, 12])
    @pytest.mark.parametrize("scale", [0.34, 0.5, 0.7])
    def test_lines_too_fine_to_be_shown_become_an_even_tone(self, period: int, scale: float) -> None:
        fine = Image.new("RGBA", (2400, 1200), (255, 255, 255, 0))
        for x in range(0, 2400, period):
            fine.paste((255, 255, 255, 255), (x, 0, x + period // 2, 1200))
        picture = Image.new("RGB", (300, 300), "black")
        Watermark(image_spec(Position.CENTER, 1, scale=scale), save(fine, "PNG")).stamp(picture)
        low, high = picture.crop((110, 135, 190, 165)).convert("L").getextrema()
        assert 120 <= low <= high <= 135  # type: ignore[operator]

    def test_no_dark_rim_is_left_around_it(self) -> None:
        """What is transparent has a colour, too; it must not be mixed in when the image is reduced."""
        disc = Image.new("RGBA", (900, 900), (0, 0, 0, 0))
        ImageDraw.Draw(disc).ellipse((100, 100, 800, 800), fill="white")
        picture = Image.new("RGB", (300, 300), "white")
        Watermark(image_spec(Position.CENTER, 1, scale=0.5), save(disc, "PNG")).stamp(picture)
        assert min(picture.tobytes()) >= 253


class TestReadyMarks:
    def test_the_same_mark_is_made_once(self) -> None:
        look = WatermarkSpec(text="© cached", overrides={VariantName.THUMB: WatermarkOverride(opacity=1)})
        same = WatermarkSpec.model_validate_json(look.model_dump_json())
        assert watermark_for(look) is watermark_for(same)
        assert watermark_for(look) is not watermark_for(look.model_copy(update={"scale": 0.3}))
        assert watermark_for(image_spec(), logo()) is watermark_for(image_spec(), bytes(logo()))
        assert watermark_for(image_spec(), logo()) is not watermark_for(image_spec(), logo((0, 0, 255, 255)))


class TestPreview:
    LOOK = WatermarkSpec(text="© me", opacity=1, variants=(VariantName.ORIGINAL, VariantName.THUMB))

    def preview(
        self, look: WatermarkSpec, name: VariantName, edge: int = 600, background: bytes | None = None
    ) -> bytes:
        return render_preview(look, None, None, name=name, max_edge=edge, background=background)

    @pytest.mark.parametrize(("edge", "size"), [(1200, (1200, 800)), (150, (150, 100))])
    def test_a_neutral_picture_is_light_and_dark(self, edge: int, size: tuple[int, int]) -> None:
        data = self.preview(WatermarkSpec(), VariantName.ORIGINAL, edge)
        picture = opened(data)
        assert picture.size == size
        assert min(pixel(picture, 3, 3)) > 220
        assert max(pixel(picture, size[0] - 3, 3)) < 40
        assert data == self.preview(WatermarkSpec(), VariantName.ORIGINAL, edge)

    def test_a_picture_of_ones_own(self) -> None:
        background = save(Image.new("RGB", (900, 300), (0, 90, 200)), "JPEG")
        plain, marked = (
            opened(self.preview(look, VariantName.ORIGINAL, background=background))
            for look in (WatermarkSpec(), self.LOOK)
        )
        assert plain.size == (600, 200)
        assert distance(pixel(plain, 300, 100), (0, 90, 200)) < 6
        box = ImageChops.difference(plain, marked).convert("L").point([0] * 60 + [255] * 196).getbbox()
        assert box is not None
        assert box[0] > 450
        assert box[1] > 150

    def test_a_variant_without_a_mark_is_shown_without(self) -> None:
        plain = self.preview(WatermarkSpec(), VariantName.MEDIUM)
        assert self.preview(self.LOOK, VariantName.MEDIUM) == plain
        assert self.preview(self.LOOK, VariantName.THUMB) != plain
