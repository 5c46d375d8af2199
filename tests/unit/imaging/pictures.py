"""Pictures and broken files, made in code."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image, ImageDraw, ImageFilter

from mediagate.imaging import inspect
from mediagate.media.values import ImageFacts, Limits, Refusal, VariantName, VariantSpec

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


def hostile() -> Iterator[tuple[str, str, bytes, Refusal]]:
    """Name, declared type, file, and the reason why it is refused."""
    picture = scene(160, 120)
    jpeg, progressive = save(picture, "JPEG", quality=85), save(picture, "JPEG", progressive=True)
    plain_png, webp = save(picture, "PNG"), save(picture, "WEBP")
    gif = save(picture.convert("P"), "GIF")
    frames = [corners().rotate(90 * i) for i in range(4)]
    animated = save(frames[0], "GIF", save_all=True, append_images=frames[1:])
    zeros = zlib.compress(bytes(1_000_000), 9)
    bomb = plain_png[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zeros)
    yield "empty", "image/jpeg", b"", Refusal.EMPTY
    yield "text", "image/jpeg", b"just words, no picture", Refusal.UNKNOWN_TYPE
    yield "svg", "image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>", Refusal.UNKNOWN_TYPE
    yield "program", "image/png", b"MZ\x90\0" + bytes(200), Refusal.UNKNOWN_TYPE
    yield "png-as-jpeg", "image/jpeg", plain_png, Refusal.TYPE_MISMATCH
    yield "jpeg-as-text", "text/plain", jpeg, Refusal.TYPE_MISMATCH
    yield "jpeg-undeclared", "", jpeg, Refusal.TYPE_MISMATCH
    for name, kind, data in (
        ("jpeg", "image/jpeg", jpeg),
        ("progressive", "image/jpeg", progressive),
        ("png", "image/png", plain_png),
        ("webp", "image/webp", webp),
        ("gif", "image/gif", gif),
    ):
        yield f"{name}-half", kind, data[: len(data) // 2], Refusal.TRUNCATED
        yield f"{name}-without-end", kind, data[:-2] if name != "gif" else data[:-1], Refusal.TRUNCATED
        yield f"{name}-magic-only", kind, data[:12], Refusal.TRUNCATED
        yield f"{name}-zip", kind, data + zip_archive(), Refusal.TRAILING_DATA
        yield f"{name}-html", kind, data + b"<html><script>alert(1)</script></html>", Refusal.TRAILING_DATA
        yield f"{name}-twice", kind, data + data, Refusal.TRAILING_DATA
    end = jpeg.index(b"\xff\xda") + 14
    yield "jpeg-headers-and-end", "image/jpeg", jpeg[:end] + b"\xff\xd9", Refusal.TRUNCATED
    yield "jpeg-few-bits", "image/jpeg", jpeg[: end + 50] + b"\xff\xd9", Refusal.TRUNCATED
    yield "jpeg-huge", "image/jpeg", with_size(jpeg, 65000, 65000), Refusal.TOO_MANY_PIXELS
    yield "jpeg-larger-than-its-data", "image/jpeg", with_size(jpeg, 7000, 7000), Refusal.TRUNCATED
    yield "jpeg-no-height", "image/jpeg", with_size(jpeg, 160, 0), Refusal.ABSURD_DIMENSIONS
    yield "jpeg-endless", "image/jpeg", with_size(jpeg, 60000, 1), Refusal.ABSURD_DIMENSIONS
    scan = jpeg[jpeg.index(b"\xff\xda") : -2]
    yield "jpeg-many-scans", "image/jpeg", jpeg[:-2] + scan * 70 + b"\xff\xd9", Refusal.CORRUPT
    yield "jpeg-12-bit", "image/jpeg", jpeg.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), Refusal.UNKNOWN_TYPE
    yield "jpeg-pdf", "image/jpeg", with_segment(jpeg, 0xFE, b"%PDF-1.4 1 0 obj"), Refusal.TYPE_MISMATCH
    yield "jpeg-script", "image/jpeg", with_segment(jpeg, 0xFE, b"<script>x</script>"), Refusal.TYPE_MISMATCH
    yield "jpeg-secondary-too-long", "image/jpeg", with_secondary(jpeg, jpeg, claimed=10**6), Refusal.TRAILING_DATA
    yield "jpeg-secondary-no-picture", "image/jpeg", with_secondary(jpeg, zip_archive()), Refusal.TRAILING_DATA
    yield "jpeg-false-samsung", "image/jpeg", jpeg + zip_archive() + b"SEFH\x10\0\0\0SEFT", Refusal.TRAILING_DATA
    yield "png-bomb", "image/png", bomb + chunk(b"IEND", b""), Refusal.TOO_MANY_PIXELS
    yield "png-bomb-cut", "image/png", bomb[:50], Refusal.TOO_MANY_PIXELS
    yield "png-line", "image/png", png(1, 100_000, 8, 0, pixels=bytes(200_000)), Refusal.ABSURD_DIMENSIONS
    yield "png-no-width", "image/png", png(0, 10, 8, 2, pixels=bytes(10)), Refusal.ABSURD_DIMENSIONS
    yield "png-checksum", "image/png", plain_png.replace(b"IDAT", b"IDAU", 1), Refusal.CORRUPT
    yield "png-depth", "image/png", png(4, 4, 5, 2, pixels=bytes(60)), Refusal.CORRUPT
    yield "png-no-palette", "image/png", png(4, 4, 8, 3, pixels=bytes(20)), Refusal.CORRUPT
    yield "png-no-pixels", "image/png", png(4, 4, 8, 2)[:33] + chunk(b"IEND", b""), Refusal.TRUNCATED
    yield "png-little-data", "image/png", png(5000, 5000, 8, 2, pixels=bytes(1000)), Refusal.TRUNCATED
    comment = chunk(b"zzZz", zip_archive())
    patched = plain_png[:-12] + comment + plain_png[-12:]
    at = patched.rindex(b"PK\5\6")
    patched = patched[: at + 20] + struct.pack("<H", len(patched) - at - 22) + patched[at + 22 :]
    start = patched.index(b"zzZz")
    body = patched[start : start + len(comment) - 8]
    patched = patched[: start + len(body)] + struct.pack(">I", zlib.crc32(body)) + patched[-12:]
    yield "png-zip-inside", "image/png", patched, Refusal.TYPE_MISMATCH
    yield "apng-frames", "image/png", _with_frames(plain_png, 100_000), Refusal.TOO_MANY_FRAMES
    yield "gif-script", "image/gif", b"GIF89a/*" + gif[8:] + b"*/=1;alert(1)", Refusal.TRAILING_DATA
    script = b"!\xfe\x0e*/=1;alert(1)/" + b"\0"
    yield "gif-script-inside", "image/gif", b"GIF89a/*" + gif[8:-1] + script + b";", Refusal.TYPE_MISMATCH
    yield "gif-script-only", "image/gif", b"GIF89a/*\x01\0\0\0\0*/=1;alert(1)", Refusal.CORRUPT
    yield (
        "gif-many-frames",
        "image/gif",
        animated[:-1] + animated[animated.index(b"!\xf9") : -1] * 4000 + b";",
        (Refusal.TOO_MANY_FRAMES),
    )
    yield "webp-no-picture", "image/webp", b"RIFF" + struct.pack("<I", 12) + b"WEBPXXXX" + bytes(4), Refusal.CORRUPT
    yield "webp-huge", "image/webp", webp[:26] + b"\xff\x3f\xff\x3f" + webp[30:], Refusal.TOO_MANY_PIXELS


def _with_frames(data: bytes, frames: int) -> bytes:
    return data[:33] + chunk(b"acTL", struct.pack(">II", frames, 0)) + data[33:]
