"""What is seen, whatever the format: the right way up, in the right colours, in the right size.

Colours are compared by CIEDE2000. Two that differ by 1 can just be told apart side by side, 2.3 is what people call
noticeable. Bounds: 1.5 where the source is lossless, from 8 bits and JPEG at quality 95 with halved colour; 3 where the
source was coded with loss too.
"""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from mediagate.imaging import render_variants
from tests.unit.imaging.pictures import (
    CORNERS,
    chunk,
    corners,
    distance,
    exif,
    facts_of,
    opened,
    pixel,
    png,
    replaced,
    save,
    spec,
    stored,
)

Colour = tuple[int, int, int]

PATCHES: tuple[Colour, ...] = (
    *((115, 82, 68), (194, 150, 130), (98, 122, 157), (87, 108, 67), (133, 128, 177), (103, 189, 170)),
    *((214, 126, 44), (80, 91, 166), (193, 90, 99), (94, 60, 108), (157, 188, 64), (224, 163, 46)),
    *((56, 61, 150), (70, 148, 73), (175, 54, 60), (231, 199, 31), (187, 86, 149), (8, 133, 161)),
    *((243, 243, 242), (200, 200, 200), (160, 160, 160), (122, 122, 121), (85, 85, 85), (52, 52, 52)),
)
"""a colour chart of 24 patches in sRGB, six in a row"""
SIDE = 32

LOSSLESS, LOSSY = 1.5, 3.0

P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
"""colourants adapted to D50 (as in Apple's and Adobe's profiles)"""
SRGB_COLOURANTS = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def chart(patches: tuple[Colour, ...] = PATCHES) -> Image.Image:
    picture = Image.new("RGB", (6 * SIDE, 4 * SIDE))
    for i, colour in enumerate(patches):
        picture.paste(colour, (i % 6 * SIDE, i // 6 * SIDE, (i % 6 + 1) * SIDE, (i // 6 + 1) * SIDE))
    return picture


def matrix_profile(colourants: tuple[tuple[float, float, float], ...], curve: bytes) -> bytes:
    """A display profile (ICC.1:2010 8.3.3): colourants and one curve for all channels."""
    xyz = [b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in xyz)) for xyz in colourants]
    return profile(
        b"RGB ",
        {
            b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061),
            b"rXYZ": xyz[0],
            b"gXYZ": xyz[1],
            b"bXYZ": xyz[2],
            b"rTRC": curve,
            b"gTRC": curve,
            b"bTRC": curve,
        },
    )


def profile(space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ") -> bytes:
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78), b"cprt": b"text\0\0\0\0x\0"} | tags
    at, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, payload in tags.items():
        table += name + struct.pack(">II", at + len(body), len(payload))
        body += payload + bytes(-len(payload) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(">I4sI4s4s4s12s4s", at + len(body), bytes(4), 0x02400000, kind, space, pcs, bytes(12), b"acsp")
    head += bytes(24) + struct.pack(">I3i", 0, 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256)) + bytes(2)


SRGB_CURVE = b"curv\0\0\0\0" + struct.pack(
    ">I1024H",
    1024,
    *(round(65535 * (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4)) for v in np.arange(1024) / 1023),
)


def stored_in(colourants: tuple[tuple[float, float, float], ...], exponent: float | None) -> Image.Image:
    """The chart's numbers in another space, computed here: linear light, colourants, curve."""
    srgb = np.asarray(chart(), dtype=float) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    there = linear @ np.array(SRGB_COLOURANTS) @ np.linalg.inv(np.array(colourants))
    there = np.clip(there, 0, 1)
    if exponent is None:
        coded = np.where(there <= 0.0031308, there * 12.92, 1.055 * there ** (1 / 2.4) - 0.055)
    else:
        coded = there ** (1 / exponent)
    return Image.fromarray(np.round(coded * 255).astype(np.uint8), "RGB")


def seen(tmp_path: Path, data: bytes, kind: str) -> Image.Image:
    path = stored(tmp_path, data)
    (made,) = render_variants(path, facts_of(path, f"image/{kind.lower()}"), [spec(quality=95)])
    return opened(made.data)


def worst(picture: Image.Image, patches: tuple[Colour, ...] = PATCHES) -> float:
    """The largest difference of a patch's middle from what it ought to be."""
    inner = [
        np.asarray(picture.crop((i % 6 * SIDE + 8, i // 6 * SIDE + 8, i % 6 * SIDE + 24, i // 6 * SIDE + 24)))
        .reshape(-1, 3)
        .mean(axis=0)
        for i in range(len(patches))
    ]
    found, expected = rgb2lab(np.array([inner]) / 255), rgb2lab(np.array([patches]) / 255)
    return difference(found, expected)


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest CIEDE2000 of two arrays of CIELAB."""
    return float(deltaE_ciede2000(found, expected).max())  # type: ignore[no-untyped-call]


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
    def test_upright(self, tmp_path: Path, kind: str, orientation: int) -> None:
        """Stored as a camera would; AVIF and HEIC say by `irot` and `imir` how it is to be turned."""
        back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that undoes each orientation
        upright = corners(96, 64)
        as_stored = upright if orientation == 1 else upright.transpose(Image.Transpose(back[orientation]))
        options = {"AVIF": {"speed": 10}}.get(kind, {})
        picture = seen(tmp_path, save(as_stored, kind, exif=exif(orientation), **options), kind)
        assert picture.size == (96, 64)
        places = [(20, 12), (76, 12), (20, 52), (76, 52)]
        assert [i for i, place in enumerate(places) if distance(pixel(picture, *place), CORNERS[i]) > 30] == []

    def test_exif_does_not_turn_what_the_container_turned(self, tmp_path: Path) -> None:
        data = save(corners(96, 64), "HEIF", exif=exif(1))
        at = data.index(struct.pack(">HHI", 0x0112, 3, 1) if b"MM\0*" in data else struct.pack("<HHI", 0x0112, 3, 1))
        data = data[: at + 8] + data[at + 8 : at + 12].replace(b"\1", b"\6") + data[at + 12 :]
        assert seen(tmp_path, data, "HEIF").size == (96, 64)


class TestColour:
    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
    def test_srgb_lossless(self, tmp_path: Path, kind: str) -> None:
        options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
        assert worst(seen(tmp_path, save(chart(), kind, **options), kind)) < LOSSLESS

    @pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1"])
    @pytest.mark.parametrize("progressive", [True, False])
    def test_srgb_jpeg(self, tmp_path: Path, subsampling: str, progressive: bool) -> None:
        data = save(chart(), "JPEG", quality=92, subsampling=subsampling, progressive=progressive)
        assert worst(seen(tmp_path, data, "JPEG")) < LOSSY

    def test_jpeg_whose_chroma_is_halved_in_height_only(self, tmp_path: Path) -> None:
        colour = (180, 60, 90)
        data = save(Image.new("RGB", (64, 64), colour), "JPEG", quality=92, subsampling="4:2:2")
        # No encoder at hand writes 4:4:0. Of a square in one colour, the same blocks serve both.
        frame = data.index(b"\xff\xc0")
        assert data[frame + 11] == 0x21
        shown = np.asarray(seen(tmp_path, data[: frame + 11] + b"\x12" + data[frame + 12 :], "JPEG")).astype(int)
        assert shown.shape == (64, 64, 3)
        assert abs(shown - colour).max() <= 3

    @pytest.mark.parametrize(("kind", "more"), [("AVIF", {"speed": 8}), ("HEIF", {}), ("HEIF", {"chroma": 444})])
    def test_srgb_lossy(self, tmp_path: Path, kind: str, more: dict[str, Any]) -> None:
        assert worst(seen(tmp_path, save(chart(), kind, quality=90, **more), kind)) < LOSSY

    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG", "AVIF", "HEIF"])
    @pytest.mark.parametrize(("colourants", "curve", "exponent"), [(P3, SRGB_CURVE, None), (ADOBE, gamma(2.2), 2.2)])
    def test_wide_gamut(
        self,
        tmp_path: Path,
        kind: str,
        colourants: tuple[tuple[float, float, float], ...],
        curve: bytes,
        exponent: float | None,
    ) -> None:
        lossless: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "PNG": {}, "TIFF": {}}
        options = lossless.get(kind, {"quality": 92})
        data = save(stored_in(colourants, exponent), kind, icc_profile=matrix_profile(colourants, curve), **options)
        assert worst(seen(tmp_path, data, kind)) < (LOSSLESS if kind in lossless else LOSSY)

    @pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
    def test_wide_gamut_by_code_points(self, tmp_path: Path, kind: str) -> None:
        data = save(stored_in(P3, None), kind, quality=92)
        srgb, wide = b"nclx" + struct.pack(">HH", 1, 13), b"nclx" + struct.pack(">HH", 12, 13)
        assert worst(seen(tmp_path, replaced(data, srgb, wide), kind)) < LOSSY

    def test_grey_profile(self, tmp_path: Path) -> None:
        """Grey of gamma 1.8 in the numbers that show sRGB grey 122."""
        number = round(255 * (((122 / 255 + 0.055) / 1.055) ** 2.4) ** (1 / 1.8))
        white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
        grey = profile(b"GRAY", {b"wtpt": white, b"kTRC": gamma(1.8)})
        picture = seen(tmp_path, save(Image.new("L", (64, 64), number), "PNG", icc_profile=grey), "PNG")
        assert distance(pixel(picture, 32, 32), (122, 122, 122)) <= 2

    @pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
    def test_cmyk_by_its_profile(self, tmp_path: Path, kind: str) -> None:
        """A profile whose table says that cyan ink alone is a known Lab colour; all else is grey by the black ink."""
        corners_of_table = b""
        for index in range(16):
            c, m, y, k = (index >> shift & 1 for shift in (3, 2, 1, 0))
            lab = (140, 148, 148) if (c, m, y, k) == (1, 0, 0, 0) else (255 * (1 - k), 128, 128)
            corners_of_table += bytes(lab)
        identity = bytes(range(256))
        matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
        table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + matrix + identity * 4 + corners_of_table + identity * 3
        white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
        icc = profile(b"CMYK", {b"wtpt": white, b"A2B0": table}, pcs=b"Lab ")
        inks = Image.new("CMYK", (64, 64), (255, 0, 0, 0))
        options = {"quality": 95} if kind == "JPEG" else {}
        picture = seen(tmp_path, save(inks, kind, icc_profile=icc, **options), kind)
        found = rgb2lab(np.array([[pixel(picture, 32, 32)]]) / 255)
        expected = np.array([[[140 * 100 / 255, 20, 20]]])
        assert difference(found, expected) < LOSSY

    def test_ycck(self, tmp_path: Path) -> None:
        """Luminance and two colour differences of the inks (255 - RGB), all inverted as Adobe does."""
        luminance = Image.new("RGB", (64, 64), (225, 95, 195)).convert("YCbCr").split()
        inverted = [Image.eval(band, lambda v: 255 - v) for band in luminance]
        inks = Image.merge("CMYK", (*inverted, Image.new("L", (64, 64), 0)))
        data = bytearray(save(inks, "JPEG", quality=98, subsampling="4:4:4"))
        at = data.index(b"Adobe")
        assert data[at + 11] == 0
        data[at + 11] = 2
        assert distance(pixel(seen(tmp_path, bytes(data), "JPEG"), 32, 32), (30, 160, 60)) < 6


class TestDepth:
    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    def test_16_bit_grey_has_every_level(self, tmp_path: Path, kind: str) -> None:
        ramp = np.repeat(np.linspace(0, 65535, 1024).round().astype(np.uint16)[None, :], 16, axis=0)
        picture = seen(tmp_path, save(Image.fromarray(ramp), kind), kind)
        levels = np.asarray(picture)[8, :, 0].astype(int)
        assert len(set(levels)) > 250
        assert abs(levels - ramp[8] / 257).max() <= 2

    @pytest.mark.parametrize(("colour", "samples"), [(2, 3), (4, 2), (6, 4)], ids=["rgb", "grey-alpha", "rgba"])
    def test_16_bit_png(self, tmp_path: Path, colour: int, samples: int) -> None:
        ramp = np.linspace(0, 65535, 1024).round().astype(">u2")
        rows = np.repeat(ramp[:, None], samples, axis=1)
        if samples in (2, 4):
            rows[:, -1] = 65535
        data = png(1024, 16, 16, colour, pixels=(b"\0" + rows.tobytes()) * 16)
        levels = np.asarray(seen(tmp_path, data, "PNG"))[8, :, 0].astype(int)
        assert len(set(levels)) > 250
        assert abs(levels - ramp.astype(int) / 257).max() <= 2

    def test_16_bit_grey_with_a_transparent_value(self, tmp_path: Path) -> None:
        row = struct.pack(">HH", 1000, 20000) * 8
        data = png(16, 16, 16, 0, chunk(b"tRNS", struct.pack(">H", 1000)), pixels=(b"\0" + row) * 16)
        path = stored(tmp_path, data)
        (made,) = render_variants(path, facts_of(path, "image/png"), [spec(quality=95, background="#000000")])
        assert {v < 60 for v in np.asarray(opened(made.data))[:, ::2, 0].flatten()} == {True}

    @pytest.mark.parametrize("depth", [1, 2, 4, 8])
    @pytest.mark.parametrize("colour", [0, 3])
    def test_few_bits(self, tmp_path: Path, depth: int, colour: int) -> None:
        palette = [chunk(b"PLTE", bytes(v for i in range(2**depth) for v in [round(i * 255 / (2**depth - 1))] * 3))]
        data = png(16, 16, depth, colour, *(palette if colour else []), pixels=(b"\0" + b"\xff" * (2 * depth)) * 16)
        assert pixel(seen(tmp_path, data, "PNG"), 8, 8) == (255, 255, 255)

    @pytest.mark.parametrize("twelve", [False, True], ids=["10", "12"])
    def test_deep_heic_has_every_level(self, tmp_path: Path, twelve: bool) -> None:
        ramp = np.repeat(np.linspace(0, 65535, 1024).round().astype(np.uint16)[None, :, None], 64, axis=0).repeat(3, 2)
        pillow_heif.options.SAVE_HDR_TO_12_BIT = twelve
        try:
            path = tmp_path / "deep.heic"
            pillow_heif.encode("RGB;16", (1024, 64), ramp.tobytes(), path, quality=95)
        finally:
            pillow_heif.options.SAVE_HDR_TO_12_BIT = False
        levels = np.asarray(seen(tmp_path, path.read_bytes(), "HEIC"))[32, :, 0].astype(int)
        assert len(set(levels)) > 240
        assert abs(levels - ramp[32, :, 0] / 257).max() <= 4

    def test_interlaced(self, tmp_path: Path) -> None:
        """One Adam7 pass of a single pixel: the smallest interlaced picture there is."""
        header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 1)
        body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\xc8\x64\x32")) + chunk(b"IEND", b"")
        assert distance(pixel(seen(tmp_path, b"\x89PNG\r\n\x1a\n" + body, "PNG"), 0, 0), (200, 100, 50)) < 8


class TestLayouts:
    @pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
    @pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
    def test_tiff(self, tmp_path: Path, mode: str, compression: str | None) -> None:
        picture = seen(tmp_path, save(corners().convert(mode), "TIFF", compression=compression), "TIFF")
        shown = corners().convert("L" if mode == "L" else "RGB")
        places = [(20, 12), (76, 12), (20, 52), (76, 52)]
        assert [at for at in places if distance(pixel(picture, *at), pixel(shown, *at)) > 24] == []

    @pytest.mark.parametrize("compression", [None, "group3", "group4", "tiff_ccitt", "packbits"])
    def test_tiff_of_one_bit(self, tmp_path: Path, compression: str | None) -> None:
        page = Image.new("1", (64, 64), 1)
        page.paste(0, (0, 0, 32, 64))
        picture = seen(tmp_path, save(page, "TIFF", compression=compression), "TIFF")
        assert (pixel(picture, 8, 32)[0] < 20, pixel(picture, 56, 32)[0] > 235) == (True, True)

    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF", "HEIF", "GIF"])
    def test_transparency_shows_the_background(self, tmp_path: Path, kind: str) -> None:
        picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
        picture.paste((200, 40, 40, 255), (32, 0, 64, 64))
        path = stored(tmp_path, save(picture, kind))
        facts = facts_of(path, f"image/{kind.lower()}")
        (made,) = render_variants(path, facts, [spec(quality=95, background="#3060c0")])
        found = opened(made.data)
        assert distance(pixel(found, 8, 32), (0x30, 0x60, 0xC0)) < 12
        assert distance(pixel(found, 56, 32), (200, 40, 40)) < 20
