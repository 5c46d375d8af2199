"""Broken files, made in code."""

import struct
import zlib
from collections.abc import Iterator

from mediagate.media.values import Refusal
from tests.unit.imaging.hostile_containers import hostile_heif, hostile_tiff
from tests.unit.imaging.pictures import (
    chunk,
    corners,
    png,
    save,
    scene,
    with_secondary,
    with_segment,
    with_size,
    zip_archive,
)


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
        ("heic", "image/heic", save(picture, "HEIF", quality=60)),
        ("avif", "image/avif", save(picture, "AVIF", speed=10)),
    ):
        yield f"{name}-half", kind, data[: len(data) // 2], Refusal.TRUNCATED
        yield f"{name}-without-end", kind, data[:-2] if name != "gif" else data[:-1], Refusal.TRUNCATED
        yield f"{name}-magic-only", kind, data[:12], Refusal.TRUNCATED
        yield f"{name}-zip", kind, data + zip_archive(), Refusal.TRAILING_DATA
        yield f"{name}-html", kind, data + b"<html><script>alert(1)</script></html>", Refusal.TRAILING_DATA
        yield f"{name}-twice", kind, data + data, Refusal.TRAILING_DATA
    yield from hostile_heif()
    yield from hostile_tiff()
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
