"""Pictures and broken files, made in code."""

import io
import struct
import zipfile
import zlib
from pathlib import Path
from random import Random
from typing import Any

import pillow_heif
from PIL import Image, ImageDraw, ImageFilter

from mediagate.imaging import Rendering, Watermark, inspect, render_variants
from mediagate.media.values import ImageFacts, Limits, VariantName, VariantSpec

pillow_heif.register_heif_opener()

CORNERS = ((220, 30, 30), (30, 200, 30), (30, 30, 220), (230, 220, 30))
"""top left, top right, bottom left, bottom right"""


def spec(max_edge: int = 4000, quality: int = 90, max_bytes: int = 2_000_000, **more: Any) -> VariantSpec:
    return VariantSpec(
        name=more.pop("name", VariantName.ORIGINAL), max_edge=max_edge, quality=quality, max_bytes=max_bytes, **more
    )


def save(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def stored(tmp_path: Path, data: bytes, name: str = "picture") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def facts_of(path: Path, content_type: str = "image/jpeg", limits: Limits | None = None) -> ImageFacts:
    return inspect(path, declared_type=content_type, limits=limits or Limits())


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data), formats=["JPEG"])
    picture.load()
    return picture


def pixel(picture: Image.Image, x: int, y: int) -> tuple[int, int, int]:
    found = picture.convert("RGB").getpixel((x, y))
    assert isinstance(found, tuple)
    return int(found[0]), int(found[1]), int(found[2])


def distance(one: tuple[int, int, int], other: tuple[int, int, int]) -> int:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def corners(width: int = 96, height: int = 64) -> Image.Image:
    """Four quarters of different colours."""
    picture = Image.new("RGB", (width, height))
    half = (width // 2, height // 2)
    for i, colour in enumerate(CORNERS):
        x, y = half[0] * (i % 2), half[1] * (i // 2)
        picture.paste(colour, (x, y, x + half[0], y + half[1]))
    return picture


def scene(width: int = 640, height: int = 480) -> Image.Image:
    """Something like a photograph: gradients, edges and a little grain."""
    across = Image.linear_gradient("L").resize((width, height))
    around = Image.radial_gradient("L").resize((width, height))
    picture = Image.merge("RGB", (across, around, across.transpose(Image.Transpose.ROTATE_180)))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((width // 5, height // 5, width // 2, height // 2), fill=(200, 120, 60))
    pen.rectangle((width // 2, height // 2, width * 4 // 5, height * 4 // 5), fill=(40, 90, 140))
    grain = noise(width, height).filter(ImageFilter.GaussianBlur(1))
    return Image.blend(picture, grain, 0.2)


def noise(width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), Random(7).randbytes(width * height * 3))


def exif(orientation: int | None = None, *, gps: bool = False, texts: dict[int, bytes | str] | None = None) -> bytes:
    block = Image.Exif()
    if orientation is not None:
        block[0x0112] = orientation
    for tag, text in (texts or {}).items():
        block[tag] = text
    if gps:
        block.get_ifd(0x8825).update({1: "N", 2: (46.0, 1.0, 2.0), 3: "E", 4: (7.0, 3.0, 4.0)})
    return block.tobytes()


def zip_archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("page.html", "<script>alert(1)</script>")
    return out.getvalue()


def chunk(name: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def png(width: int, height: int, depth: int, colour: int, *chunks: bytes, pixels: bytes = b"") -> bytes:
    """A PNG with these header fields; `pixels` are deflated."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(pixels, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + data + chunk(b"IEND", b"")


def with_good_checksums(data: bytes) -> bytes:
    """A PNG whose checksums fit again, so that the edits reach the decoder."""
    out, at = data[:8], 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        out += data[at:end] + zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return out + data[at:]


def app(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload


def with_segment(jpeg: bytes, marker: int, payload: bytes) -> bytes:
    return jpeg[:2] + app(marker, payload) + jpeg[2:]


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG that says it has another size."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def with_secondary(jpeg: bytes, secondary: bytes, *, claimed: int | None = None) -> bytes:
    """A JPEG with a second picture behind it, declared as CIPA DC-007 says; `claimed`: another length to declare."""

    def index(offset: int) -> bytes:
        entries = struct.pack("<IIIHH", 0x030000, 0, 0, 0, 0)
        entries += struct.pack("<IIIHH", 0, len(secondary) if claimed is None else claimed, offset, 0, 0)
        directory = struct.pack("<HHHI4s", 2, 0xB000, 7, 4, b"0100") + struct.pack("<HHII", 0xB002, 7, 32, 38)
        return b"MPF\0II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", 0) + entries

    primary_size = len(with_segment(jpeg, 0xE2, index(0)))
    return with_segment(jpeg, 0xE2, index(primary_size - 10)) + secondary


def with_samsung_trailer(jpeg: bytes) -> bytes:
    name = b"Image_UTC_Data"
    block = struct.pack("<HHI", 0, 0x0A01, len(name)) + name + b"1700000000000"
    directory = b"SEFH" + struct.pack("<II", 106, 1) + struct.pack("<HHII", 0, 0x0A01, len(block), len(block))
    return jpeg + block + directory + struct.pack("<I", len(directory)) + b"SEFT"


def box(name: bytes, *payload: bytes) -> bytes:
    body = b"".join(payload)
    return struct.pack(">I4s", 8 + len(body), name) + body


def replaced(data: bytes, old: bytes, new: bytes) -> bytes:
    """The first occurrence replaced; it must be there."""
    assert old in data
    return data.replace(old, new, 1)


def patched(data: bytes, name: bytes, offset: int, new: bytes) -> bytes:
    """Bytes replaced at an offset from the first occurrence of a box's name."""
    at = data.index(name) + offset
    return data[:at] + new + data[at + len(new) :]


def render_marked(source: Path, facts: ImageFacts, wanted: VariantSpec, watermark: Watermark | None) -> Rendering:
    """One variant alone."""
    (rendering,) = render_variants(source, facts, [wanted], watermark)
    return rendering
