"""What the variants look like, how large they are, and what is left in them."""

import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from mediagate.imaging import ENGINE, Refused, Watermark, render_variants
from mediagate.media.values import MEDIUM, MODERATION, THUMB, Refusal, VariantName, WatermarkSpec
from tests.unit.imaging.pictures import (
    CORNERS,
    chunk,
    corners,
    distance,
    exif,
    facts_of,
    noise,
    opened,
    pixel,
    png,
    render_marked,
    save,
    scene,
    spec,
    stored,
    with_secondary,
    with_segment,
)


def rendered(tmp_path: Path, data: bytes, content_type: str = "image/jpeg", **limits: int) -> Image.Image:
    path = stored(tmp_path, data)
    return opened(render_marked(path, facts_of(path, content_type), spec(**limits), None).data)


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("scaled", [False, True])
    def test_every_orientation_ends_upright(self, tmp_path: Path, orientation: int, scaled: bool) -> None:
        undo = {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270,
        }
        upright = corners(960, 640)
        turned = upright.transpose(undo[orientation]) if orientation in undo else upright
        path = stored(tmp_path, save(turned, "JPEG", quality=95, exif=exif(orientation)))
        facts, edge = facts_of(path), 96
        if scaled:
            (rendering,) = render_variants(path, facts, [spec(edge)])
        else:
            rendering = render_marked(path, facts, spec(edge), None)
        picture = opened(rendering.data)
        assert picture.size == (96, 64)
        found = [pixel(picture, *place) for place in ((12, 12), (84, 12), (12, 52), (84, 52))]
        assert max(distance(a, b) for a, b in zip(found, CORNERS, strict=True)) < 12


class TestSize:
    def test_small_picture_is_never_enlarged(self, tmp_path: Path) -> None:
        assert rendered(tmp_path, save(corners(50, 30), "PNG"), "image/png").size == (50, 30)

    @pytest.mark.parametrize("size", [(640, 480), (333, 1000), (1000, 7), (7, 1000), (601, 600)])
    def test_aspect_is_kept(self, tmp_path: Path, size: tuple[int, int]) -> None:
        picture = rendered(tmp_path, save(scene(*size), "JPEG"), max_edge=300)
        assert max(picture.size) == 300
        assert min(picture.size) == max(1, round(min(size) * 300 / max(size)))

    def test_variants_come_in_the_order_asked(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(scene(3000, 2000), "JPEG"))
        done = render_variants(path, facts_of(path), [THUMB, MODERATION, MEDIUM])
        assert [r.variant.name for r in done] == [VariantName.THUMB, VariantName.MODERATION, VariantName.MEDIUM]
        assert [opened(r.data).size for r in done] == [(150, 100), (2048, 1365), (600, 400)]

    def test_no_specs_need_no_file(self, tmp_path: Path) -> None:
        facts = facts_of(stored(tmp_path, save(corners(), "PNG")), "image/png")
        assert render_variants(tmp_path / "missing", facts, []) == []

    def test_scaled_decode_looks_like_the_full_one(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(scene(2400, 1600), "JPEG", quality=92))
        facts = facts_of(path)
        full = opened(render_marked(path, facts, spec(300), None).data)
        (scaled,) = render_variants(path, facts, [spec(300)])
        differences = [abs(a - b) for a, b in zip(full.tobytes(), opened(scaled.data).tobytes(), strict=True)]
        assert sum(differences) / len(differences) < 2


class TestByteCap:
    @pytest.mark.parametrize("cap", [400_000, 120_000, 60_000, 20_000, 5_000])
    @pytest.mark.parametrize("kind", ["scene", "noise"])
    def test_cap_is_met_in_few_trials(self, tmp_path: Path, kind: str, cap: int) -> None:
        picture = scene(900, 700) if kind == "scene" else noise(900, 700)
        path = stored(tmp_path, save(picture, "PNG", compress_level=1))
        rendering = render_marked(path, facts_of(path, "image/png"), spec(max_bytes=cap), None)
        assert len(rendering.data) == rendering.variant.bytes <= cap
        assert rendering.variant.trials <= 5

    def test_quality_gives_way_before_dimensions_and_is_recorded(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(scene(900, 700), "PNG"))
        variant = render_marked(path, facts_of(path, "image/png"), spec(max_bytes=60_000), None).variant
        assert (variant.width, variant.trade) == (900, f"quality 90→{variant.quality}")
        assert 40 <= variant.quality < 90
        assert variant.bytes > 60_000 * 0.85

    def test_dimensions_give_way_at_the_floor_and_are_recorded(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(noise(900, 700), "PNG"))
        variant = render_marked(path, facts_of(path, "image/png"), spec(max_bytes=60_000, min_quality=50), None).variant
        assert 50 <= variant.quality <= 56
        assert variant.trade == f"quality 90→{variant.quality}, 900→{variant.width} px"
        assert abs(variant.width / variant.height - 900 / 700) < 0.02
        assert variant.bytes > 60_000 * 0.9

    def test_nothing_is_traded_when_the_first_trial_fits(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(scene(300, 200), "JPEG"))
        variant = render_marked(path, facts_of(path), spec(), None).variant
        assert (variant.quality, variant.trade, variant.trials) == (90, "", 1)

    def test_impossible_cap_ends_at_one_pixel(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(noise(200, 100), "JPEG"))
        variant = render_marked(path, facts_of(path), spec(max_bytes=10), None).variant
        assert (variant.width, variant.height) == (1, 1)


class TestManifest:
    def test_same_source_gives_the_same_bytes(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(scene(), "JPEG", exif=exif(6, texts={0x8298: "me"})))
        facts, mark = facts_of(path), Watermark(WatermarkSpec(text="© me"))
        runs = [render_marked(path, facts, spec(400, max_bytes=20_000), mark) for _ in range(2)]
        assert runs[0] == runs[1]

    def test_names_the_engine(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(corners(), "JPEG"))
        assert render_marked(path, facts_of(path), spec(), None).variant.engine == ENGINE
        assert "Pillow" in ENGINE
        assert "libjpeg" in ENGINE

    def test_output_is_baseline(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(scene(), "JPEG", progressive=True))
        data = render_marked(path, facts_of(path), spec(), None).data
        assert (b"\xff\xc0" in data, b"\xff\xc2" in data) == (True, False)


class TestMetadata:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_only_credit_and_copyright_leave(self, tmp_path: Path, kind: str) -> None:
        texts: dict[int, bytes | str] = {
            0x013B: "Zoë".encode(),
            0x8298: "© 2024 Zoë Müller".encode(),
            0xA431: "SERIAL-1234",
            0x010F: "MAKER-NAME",
        }
        data = save(scene(), kind, exif=exif(1, gps=True, texts=texts), xmp=b"<x:xmpmeta>XMP-SECRET</x:xmpmeta>")
        assert b"SERIAL-1234" in data
        path = stored(tmp_path, data)
        out = render_marked(path, facts_of(path, f"image/{kind.lower()}"), spec(), None).data
        kept = opened(out).getexif()
        assert {tag: str(text).encode("latin-1").decode() for tag, text in kept.items()} == {
            0x013B: "Zoë",
            0x8298: "© 2024 Zoë Müller",
        }
        assert not kept.get_ifd(0x8825)
        for secret in (b"SERIAL-1234", b"MAKER-NAME", b"XMP-SECRET", b"GPS"):
            assert secret not in out

    def test_nothing_is_written_when_there_is_nothing_to_keep(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(scene(), "JPEG", exif=exif(3, gps=True), comment="COMMENT-SECRET"))
        out = render_marked(path, facts_of(path), spec(), None).data
        assert (b"Exif" in out, b"COMMENT-SECRET" in out) == (False, False)

    def test_short_credit_is_readable(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(scene(), "JPEG", exif=exif(texts={0x013B: "Al"})))
        assert opened(render_marked(path, facts_of(path), spec(), None).data).getexif()[0x013B] == "Al"


class TestDecodeRefusal:
    def test_png_whose_pixels_end_early(self, tmp_path: Path) -> None:
        whole = zlib.compress(b"".join(b"\0" + row for row in [noise(64, 1).tobytes()] * 64), 0)
        header = png(64, 64, 8, 2)[:33]
        path = stored(tmp_path, header + chunk(b"IDAT", whole[: len(whole) // 2]) + chunk(b"IEND", b""))
        facts = facts_of(path, "image/png")
        with pytest.raises(Refused) as refused:
            render_marked(path, facts, spec(), None)
        assert refused.value.reason is Refusal.TRUNCATED

    def test_webp_whose_pixels_are_garbage(self, tmp_path: Path) -> None:
        data = save(scene(), "WEBP", lossless=True)
        path = stored(tmp_path, data[:30] + bytes(len(data) - 30))
        facts = facts_of(path, "image/webp")
        with pytest.raises(Refused) as refused:
            render_marked(path, facts, spec(), None)
        assert refused.value.reason is Refusal.CORRUPT

    def test_file_that_grew_after_it_was_inspected(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(scene(64, 64), "PNG"))
        facts = facts_of(path, "image/png")
        path.write_bytes(save(scene(640, 480), "PNG"))
        with pytest.raises(Refused) as refused:
            render_marked(path, facts, spec(), None)
        assert refused.value.reason is Refusal.CORRUPT


class TestFirstPicture:
    def test_secondary_pictures_do_not_matter(self, tmp_path: Path) -> None:
        jpeg = save(scene(), "JPEG")
        alone = rendered(tmp_path, jpeg).tobytes()
        assert rendered(tmp_path, with_secondary(jpeg, save(noise(640, 480), "JPEG"))).tobytes() == alone

    def test_malformed_index_of_pictures_does_not_matter(self, tmp_path: Path) -> None:
        jpeg = save(scene(), "JPEG")
        assert (
            rendered(tmp_path, with_segment(jpeg, 0xE2, b"MPF\0garbage")).tobytes()
            == rendered(tmp_path, jpeg).tobytes()
        )

    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
    def test_animation_is_shown_by_its_first_frame(self, tmp_path: Path, kind: str) -> None:
        frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "lime", "blue")]
        data = save(frames[0], kind, save_all=True, append_images=frames[1:])
        mean = ImageStat.Stat(rendered(tmp_path, data, f"image/{kind.lower()}")).mean
        assert mean[0] > 245
        assert max(mean[1:]) < 10
