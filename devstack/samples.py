"""The demo's pictures, drawn in code: the same bytes each time for the same Pillow, and nothing that anyone owns.

Each sample says which end it must reach, and how the simulated vendor is to behave for it: the demo sends
`sim:<vendor>` as part of the caption, and the vendor gets the caption with the submission.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from devstack import sample_formats
from mediagate.media.values import Refusal, Status

Colour = tuple[int, int, int]

VENDOR_BEHAVIOURS = ("approve", "reject", "quarantine", "review", "early", "duplicate", "reordered", "late", "lost")


@dataclass(frozen=True)
class Sample:
    """One file of the demo."""

    filename: str
    content_type: str
    """as the uploader declares it"""
    data: bytes
    expect: str
    """the status that it must reach (`mediagate.media.values.Status`)"""
    reason: str | None
    """how the public reason must start; None: any"""
    vendor: str
    """one of `VENDOR_BEHAVIOURS`; refused files never get that far"""
    title: str

    @property
    def caption(self) -> str:
        """The caption to upload it with."""
        return f"{self.title} [sim:{self.vendor}]"


@dataclass(frozen=True)
class Palette:
    """Colours of a landscape: from the top of the sky to the horizon, then from the far ridge to the near one."""

    sky: tuple[Colour, Colour]
    land: tuple[Colour, Colour]
    sun: Colour


DAWN = Palette(((58, 78, 140), (250, 190, 150)), ((150, 130, 150), (40, 36, 52)), (255, 236, 200))
NOON = Palette(((60, 120, 200), (200, 225, 245)), ((140, 165, 180), (38, 70, 40)), (255, 255, 245))
DUSK = Palette(((40, 30, 80), (240, 110, 60)), ((110, 60, 80), (22, 16, 30)), (255, 210, 120))
WINTER = Palette(((130, 150, 170), (225, 230, 235)), ((190, 200, 210), (235, 240, 245)), (255, 255, 255))
DESERT = Palette(((90, 140, 190), (245, 225, 180)), ((210, 160, 110), (140, 80, 40)), (255, 250, 220))


def demo_set() -> list[Sample]:
    """Every end that an upload can reach and every way a vendor can answer."""
    return [*_approved(), *_decided(), *_awkward_vendors(), *_refused()]


def write_set(folder: Path) -> list[Path]:
    """Write the set as numbered files, names made harmless; for a look with one's own eyes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, sample in enumerate(demo_set(), 1):
        name = "".join(c if c.isascii() and (c.isalnum() or c in ".-") else "_" for c in sample.filename)
        path = folder / f"{number:02}-{name}"
        path.write_bytes(sample.data)
        paths.append(path)
    return paths


def _approved() -> Iterator[Sample]:
    def approved(filename: str, content_type: str, data: bytes, title: str) -> Sample:
        return Sample(filename, content_type, data, Status.APPROVED, None, "approve", title)

    yield approved("ridge.jpg", "image/jpeg", _jpeg(landscape(1, (4000, 3000), NOON)), "12 MP landscape")
    turned = landscape(2, (1600, 2000), DAWN).transpose(Image.Transpose.ROTATE_90)
    yield approved("phone.jpg", "image/jpeg", _jpeg(turned, exif=_phone_exif()), "phone picture, turned, with GPS")
    yield approved("logo.png", "image/png", _save(_badge(3), "PNG", compress_level=3), "PNG with alpha")
    yield approved("valley.webp", "image/webp", _save(landscape(4, (1800, 1200), WINTER), "WEBP", method=1), "WebP")
    yield approved("waves.gif", "image/gif", _animation(5), "animated GIF")
    small = landscape(7, (1200, 900), DESERT)
    yield approved("IMG_0007.HEIC", "image/heic", sample_formats.heic(small), "HEIC in tiles")
    yield approved("dunes.avif", "image/avif", sample_formats.avif(small), "AVIF")
    yield approved("scan.tif", "image/tiff", sample_formats.tiff(small), "TIFF of two pages")
    yield approved("print.jpg", "image/jpeg", sample_formats.print_jpeg(small), "JPEG in CMYK")
    yield approved("ramp.png", "image/png", sample_formats.deep_png((1024, 256)), "PNG of 16 bits")
    frame = landscape(8, (480, 320), DAWN)
    yield approved("flash.webp", "image/webp", sample_formats.animated_webp(frame), "animated WebP with a short frame")
    yield approved("../../etc/passwd\u202egpj.jpg", "image/jpeg", _small(6), "hostile file name")


def _decided() -> Iterator[Sample]:
    for seed, vendor, status, title in (
        (10, "reject", Status.REJECTED, "rejected by the vendor"),
        (11, "quarantine", Status.QUARANTINED, "severe score"),
        (12, "review", Status.IN_REVIEW, "grey zone: a person decides"),
    ):
        yield Sample(f"{vendor}.jpg", "image/jpeg", _small(seed), status, None, vendor, title)


def _awkward_vendors() -> Iterator[Sample]:
    for seed, vendor, title in (
        (20, "early", "webhook before the submission returned"),
        (21, "duplicate", "the same webhook several times"),
        (22, "reordered", "final webhook before the pending one"),
        (23, "late", "webhook after a poll has answered"),
        (24, "lost", "webhook never sent: the poll finds the verdict"),
    ):
        yield Sample(f"{vendor}.jpg", "image/jpeg", _small(seed), Status.APPROVED, None, vendor, title)


def _refused() -> Iterator[Sample]:
    def refused(filename: str, content_type: str, data: bytes, reason: Refusal, title: str) -> Sample:
        return Sample(filename, content_type, data, Status.REJECTED, reason, "approve", title)

    jpeg, script = _small(30), b"*/=1;alert(1)/*"
    gif = _save(_badge(31).convert("P"), "GIF")
    comment = b"!\xfe" + bytes((len(script),)) + script + b"\0"
    yield refused("empty.jpg", "image/jpeg", b"", Refusal.EMPTY, "no bytes (direct upload only)")
    yield refused("cut.jpg", "image/jpeg", jpeg[: len(jpeg) * 2 // 3], Refusal.TRUNCATED, "cut off on the way")
    yield refused("words.jpg", "image/jpeg", b"Not a picture.\n" * 40, Refusal.UNKNOWN_TYPE, "text named .jpg")
    yield refused("png.jpg", "image/jpeg", _save(_badge(32), "PNG"), Refusal.TYPE_MISMATCH, "PNG declared as JPEG")
    yield refused("bomb.png", "image/png", _bare_png(30_000, 30_000), Refusal.TOO_MANY_PIXELS, "decompression bomb")
    yield refused("line.png", "image/png", _bare_png(1, 100_000), Refusal.ABSURD_DIMENSIONS, "1 × 100000 pixels")
    yield refused("zip.jpg", "image/jpeg", jpeg + _zip(), Refusal.TRAILING_DATA, "JPEG and ZIP at once")
    polyglot = b"GIF89a/*" + gif[8:-1] + comment + b";"
    yield refused("script.gif", "image/gif", polyglot, Refusal.TYPE_MISMATCH, "GIF and JavaScript at once")


def landscape(seed: int, size: tuple[int, int], palette: Palette) -> Image.Image:
    """Sky, clouds, a sun, ridges behind each other, haze and grain: compresses like a photograph."""
    random = Random(seed)
    width, height = size
    picture = _gradient(size, *palette.sky)
    clouds = _clouds(random, size).point([max(0, v - 128) for v in range(256)])
    picture.paste((255, 255, 255), mask=clouds)
    radius = height // 14
    centre = (random.randrange(width // 5, width * 4 // 5), random.randrange(height // 6, height // 3))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((*(c - radius for c in centre), *(c + radius for c in centre)), fill=palette.sun)
    layers = 5
    for layer in range(layers):
        share = layer / (layers - 1)
        colour = _mix(palette.land[0], palette.land[1], share)
        crest = _crest(random, width, height * (0.45 + 0.42 * share), height * 0.16 * (1.1 - share))
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).polygon([*crest, (width, height), (0, height)], fill=255)
        picture.paste(colour, mask=mask)
    return _grained(random, picture, 0.10)


def _gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    ramp = Image.linear_gradient("L").resize((1, size[1]))
    bands = [ramp.point([round(a + (b - a) * v / 255) for v in range(256)]) for a, b in zip(top, bottom, strict=True)]
    return Image.merge("RGB", bands).resize(size, Image.Resampling.NEAREST)


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _noise(random: Random, width: int, height: int) -> Image.Image:
    return Image.frombytes("L", (width, height), random.randbytes(width * height))


def _clouds(random: Random, size: tuple[int, int]) -> Image.Image:
    """Value noise in four octaves, at a quarter of the size: clouds have no sharp edges."""
    small = (size[0] // 4, size[1] // 4)
    clouds = Image.new("L", small, 128)
    for octave in range(4):
        cells = 3 * 2**octave
        layer = _noise(random, cells, cells).resize(small, Image.Resampling.BICUBIC)
        clouds = Image.blend(clouds, layer, 0.5 / (1 + octave * 0.6))
    return clouds.resize(size, Image.Resampling.BILINEAR)


def _crest(random: Random, width: int, level: float, roughness: float) -> list[tuple[float, float]]:
    """A ridge line by midpoint displacement, from the left edge to the right one."""
    heights = [random.uniform(-1, 1), random.uniform(-1, 1)]
    swing = 1.0
    while len(heights) < 400:
        between = [(a + b) / 2 + random.uniform(-swing, swing) for a, b in pairwise(heights)]
        heights = [h for pair in zip(heights, between, strict=False) for h in pair] + heights[-1:]
        swing *= 0.52
    step = width / (len(heights) - 1)
    return [(i * step, level + h * roughness) for i, h in enumerate(heights)]


def _grained(random: Random, picture: Image.Image, strength: float) -> Image.Image:
    """Film grain and a little texture, from one tile repeated with every other copy mirrored."""
    side = 512
    tile = _noise(random, side, side).filter(ImageFilter.GaussianBlur(0.8))
    texture = _noise(random, side // 8, side // 8).resize((side, side), Image.Resampling.BICUBIC)
    tile = Image.blend(tile, texture, 0.35)
    mirrored = tile.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    grain = Image.new("L", picture.size)
    for row, y in enumerate(range(0, picture.height, side)):
        for column, x in enumerate(range(0, picture.width, side)):
            grain.paste(tile if (row + column) % 2 else mirrored, (x, y))
    grain = grain.point([round(128 + (v - 128) * strength * 2) for v in range(256)])
    return ImageChops.add(picture, Image.merge("RGB", (grain, grain, grain)), offset=-128)


def _small(seed: int) -> bytes:
    """A JPEG of 2 megapixels."""
    palettes = (DAWN, NOON, DUSK, WINTER, DESERT)
    return _jpeg(landscape(seed, (1632, 1224), palettes[seed % len(palettes)]))


def _badge(seed: int) -> Image.Image:
    """Soft discs on a transparent ground, mode RGBA."""
    random = Random(seed)
    picture = Image.new("RGBA", (1024, 1024), (0, 0, 0, 0))
    for _ in range(12):
        x, y, radius = random.randrange(150, 870), random.randrange(150, 870), random.randrange(60, 150)
        disc = Image.new("RGBA", picture.size, (0, 0, 0, 0))
        colour = (*(random.randrange(40, 240) for _ in range(3)), 200)
        ImageDraw.Draw(disc).ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        picture.alpha_composite(disc)
    return picture


def _animation(seed: int) -> bytes:
    first = landscape(seed, (480, 320), DUSK)
    frames = [ImageChops.offset(first, 24 * i, 0).quantize(64) for i in range(8)]
    return _save(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=90, loop=0)


def _phone_exif() -> bytes:
    block = Image.Exif()
    block.update({0x010F: "Mediagate", 0x0110: "Demo Phone", 0x0112: 6, 0x013B: "A. Photographer", 0x8298: "CC BY 4.0"})
    block.get_ifd(0x8769).update({0x9003: "2024:05:06 07:08:09", 0x9011: "+02:00", 0xA431: "SN-000042"})
    block.get_ifd(0x8825).update({1: "N", 2: (46.0, 33.0, 27.0), 3: "E", 4: (7.0, 58.0, 48.0)})
    return block.tobytes()


def _save(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def _jpeg(picture: Image.Image, **options: Any) -> bytes:
    return _save(picture, "JPEG", quality=92, **options)


def _bare_png(width: int, height: int) -> bytes:
    """A well-formed PNG of one bit a pixel, all black: its pixels are really there, a thousandfold deflated."""

    def chunk(name: bytes, *payload: bytes) -> bytes:
        body = name + b"".join(payload)
        return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))

    deflater = zlib.compressobj(9, strategy=zlib.Z_RLE)
    rows = bytes((1 + (width + 7) // 8) * 1000)
    pixels: Sequence[bytes] = [*(deflater.compress(rows) for _ in range(height // 1000)), deflater.flush()]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", *pixels) + chunk(b"IEND")


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("index.html"), "<script>alert(1)</script>")
    return out.getvalue()
