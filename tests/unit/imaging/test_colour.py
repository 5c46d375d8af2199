"""Colour as a viewer sees it, whatever the file stores."""

import struct
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from tests.unit.imaging.pictures import chunk, corners, distance, pixel, png, save, with_segment
from tests.unit.imaging.test_render import rendered

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """sRGB with the colourants of red and blue exchanged: its red is what sRGB calls blue."""
    return SRGB.replace(b"rXYZ", b"????", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"????", b"bXYZ", 1)


def wide_profile() -> bytes:
    """sRGB with the colourants of Display P3 (D50-adapted, s15Fixed16 as in Apple's profile)."""
    wide = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    data = bytearray(SRGB)
    for tag, colourant in wide.items():
        entry = data.index(tag)
        (offset,) = struct.unpack(">I", data[entry + 4 : entry + 8])
        data[offset + 8 : offset + 20] = struct.pack(">iii", *(round(v * 65536) for v in colourant))
    return bytes(data)


def one_colour(tmp_path: Path, data: bytes, content_type: str) -> tuple[int, int, int]:
    picture = rendered(tmp_path, data, content_type)
    return pixel(picture, picture.width // 2, picture.height // 2)


class TestProfiles:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    def test_profile_is_applied_and_not_shipped(self, tmp_path: Path, kind: str) -> None:
        data = save(Image.new("RGB", (32, 32), (255, 0, 0)), kind, icc_profile=swapped_profile())
        picture = rendered(tmp_path, data, f"image/{kind.lower()}")
        assert distance(pixel(picture, 16, 16), (0, 0, 255)) < 12
        assert "icc_profile" not in picture.info

    def test_wide_gamut_becomes_more_saturated_numbers(self, tmp_path: Path) -> None:
        data = save(Image.new("RGB", (32, 32), (200, 100, 100)), "PNG", icc_profile=wide_profile())
        red, green, _ = one_colour(tmp_path, data, "image/png")
        assert 208 <= red <= 222
        assert 88 <= green <= 98

    def test_srgb_profile_changes_nothing(self, tmp_path: Path) -> None:
        plain = rendered(tmp_path, save(corners(), "PNG"), "image/png")
        tagged = rendered(tmp_path, save(corners(), "PNG", icc_profile=SRGB), "image/png")
        assert plain.tobytes() == tagged.tobytes()

    @pytest.mark.parametrize("broken", [b"x" * 10, SRGB[:200], SRGB[:128] + b"\xff" * 300, b"\0" * 200])
    def test_broken_profile_is_ignored(self, tmp_path: Path, broken: bytes) -> None:
        data = with_segment(
            save(Image.new("RGB", (32, 32), (200, 50, 50)), "JPEG"), 0xE2, b"ICC_PROFILE\0\1\1" + broken
        )
        assert distance(one_colour(tmp_path, data, "image/jpeg"), (200, 50, 50)) < 6

    def test_profile_with_a_missing_part_is_ignored(self, tmp_path: Path) -> None:
        red = save(Image.new("RGB", (32, 32), (255, 0, 0)), "JPEG")
        data = with_segment(red, 0xE2, b"ICC_PROFILE\0\1\2" + swapped_profile())
        assert distance(one_colour(tmp_path, data, "image/jpeg"), (255, 0, 0)) < 6

    def test_profile_of_another_colour_space_is_ignored(self, tmp_path: Path) -> None:
        data = save(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG", icc_profile=SRGB)
        assert distance(one_colour(tmp_path, data, "image/jpeg"), (255, 0, 0)) < 12

    def test_grey_picture_with_a_colour_profile(self, tmp_path: Path) -> None:
        data = save(Image.new("L", (32, 32), 120), "JPEG", icc_profile=wide_profile())
        assert distance(one_colour(tmp_path, data, "image/jpeg"), (120, 120, 120)) < 6


class TestModes:
    @pytest.mark.parametrize(
        ("ink", "seen"),
        [((0, 255, 255, 0), (255, 0, 0)), ((255, 0, 255, 0), (0, 255, 0)), ((0, 0, 0, 0), (255, 255, 255))],
        ids=["red", "green", "paper"],
    )
    def test_cmyk_keeps_its_colour(
        self, tmp_path: Path, ink: tuple[int, int, int, int], seen: tuple[int, int, int]
    ) -> None:
        data = save(Image.new("CMYK", (32, 32), ink), "JPEG", quality=95)
        assert distance(one_colour(tmp_path, data, "image/jpeg"), seen) < 12

    @pytest.mark.parametrize("samples", [1, 3], ids=["grey", "colour"])
    def test_16_bit_ramp_neither_wraps_nor_clips(self, tmp_path: Path, samples: int) -> None:
        ramp = b"".join(struct.pack(">H", x * 257) * samples for x in range(256))
        data = png(256, 16, 16, 0 if samples == 1 else 2, pixels=(b"\0" + ramp) * 16)
        picture = rendered(tmp_path, data, "image/png", quality=95)
        values = [pixel(picture, x, 8)[0] for x in range(256)]
        assert max(abs(value - x) for x, value in enumerate(values)) <= 3

    def test_16_bit_transparent_colour(self, tmp_path: Path) -> None:
        red = struct.pack(">HHH", 65535, 0, 0)
        key = chunk(b"tRNS", red)
        assert one_colour(tmp_path, png(16, 16, 16, 2, key, pixels=(b"\0" + red * 16) * 16), "image/png") == (
            255,
            255,
            255,
        )

    @pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
    @pytest.mark.parametrize("kind", ["PNG", "GIF"])
    def test_opaque_modes_keep_black_and_white(self, tmp_path: Path, mode: str, kind: str) -> None:
        picture = Image.new("RGB", (64, 64), "white")
        picture.paste("black", (0, 0, 32, 64))
        out = rendered(tmp_path, save(picture.convert(mode), kind), f"image/{kind.lower()}")
        assert distance(pixel(out, 8, 32), (0, 0, 0)) < 6
        assert distance(pixel(out, 56, 32), (255, 255, 255)) < 6


class TestAlpha:
    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_transparency_is_laid_on_white(self, tmp_path: Path, mode: str) -> None:
        picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
        picture.paste((0, 0, 0, 128), (32, 0, 64, 64))
        out = rendered(tmp_path, save(picture.convert(mode), "PNG"), "image/png")
        assert distance(pixel(out, 8, 32), (255, 255, 255)) < 4
        assert distance(pixel(out, 56, 32), (127, 127, 127)) < 6

    @pytest.mark.parametrize("kind", ["PNG", "GIF"])
    def test_transparent_palette_entry_is_white(self, tmp_path: Path, kind: str) -> None:
        picture = Image.new("P", (64, 64), 0)
        picture.putpalette([0, 0, 0, 255, 0, 0])
        picture.paste(1, (32, 0, 64, 64))
        out = rendered(tmp_path, save(picture, kind, transparency=0), f"image/{kind.lower()}")
        assert distance(pixel(out, 8, 32), (255, 255, 255)) < 12
        assert distance(pixel(out, 56, 32), (255, 0, 0)) < 12

    def test_palette_with_half_transparency(self, tmp_path: Path) -> None:
        picture = Image.new("P", (64, 64), 0)
        picture.putpalette([0, 0, 0, 255, 0, 0])
        data = save(picture, "PNG", transparency=bytes([128, 255]))
        assert distance(one_colour(tmp_path, data, "image/png"), (127, 127, 127)) < 4

    @pytest.mark.parametrize("mode", ["L", "RGB", "1"])
    def test_transparent_colour_is_white(self, tmp_path: Path, mode: str) -> None:
        black = (0, 0, 0) if mode == "RGB" else 0
        data = save(Image.new(mode, (64, 64), 0), "PNG", transparency=black)
        assert one_colour(tmp_path, data, "image/png") == (255, 255, 255)
