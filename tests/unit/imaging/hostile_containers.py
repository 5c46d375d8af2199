"""Broken files of the formats that are made of boxes or directories."""

import struct
from collections.abc import Iterator

from mediagate.media.values import Refusal
from tests.unit.imaging.pictures import box, patched, replaced, save, scene


def tiff(fields: dict[int, tuple[int, list[int]]], data: bytes = b"", link: int = 0) -> bytes:
    """A little-endian TIFF of one directory at 8; fields are tag to (type, numbers); `data` follows the values."""
    sizes = {1: "B", 3: "H", 4: "I"}
    values_at = 8 + 2 + 12 * len(fields) + 4
    entries, values = b"", b""
    for tag, (kind, numbers) in sorted(fields.items()):
        raw = struct.pack(f"<{len(numbers)}{sizes[kind]}", *numbers)
        inline = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack("<I", values_at + len(values))
        values += b"" if len(raw) <= 4 else raw
        entries += struct.pack("<HHI", tag, kind, len(numbers)) + inline
    head = b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + struct.pack("<I", link)
    return head + values + data


def tiff_fields(width: int, height: int, **changed: tuple[int, list[int]]) -> dict[int, tuple[int, list[int]]]:
    """Of an 8-bit grey picture in one strip at byte 8; keys of `changed` are `t` and the tag."""
    fields = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [8]),
        259: (3, [1]),
        262: (3, [1]),
        273: (4, [8]),
        277: (3, [1]),
        278: (4, [height]),
        279: (4, [width * height]),
    }
    return fields | {int(tag[1:]): field for tag, field in changed.items()}


def hostile_tiff() -> Iterator[tuple[str, str, bytes, Refusal]]:
    kind, room = "image/tiff", bytes(4096)
    yield "tiff-loop", kind, tiff(tiff_fields(16, 16), room, link=8), Refusal.CORRUPT
    yield "tiff-link-outside", kind, tiff(tiff_fields(16, 16), room, link=1 << 30), Refusal.TRUNCATED
    yield "tiff-no-page", kind, b"II*\0" + bytes(200), Refusal.CORRUPT
    yield "tiff-big", kind, b"II+\0\x08\0\0\0" + bytes(200), Refusal.UNKNOWN_TYPE
    yield "tiff-raw", kind, tiff(tiff_fields(16, 16, t254=(4, [1])), room), Refusal.UNKNOWN_TYPE
    yield "tiff-dng", kind, tiff(tiff_fields(16, 16, t50706=(1, [1, 4, 0, 0])), room), Refusal.UNKNOWN_TYPE
    yield "tiff-huge", kind, tiff(tiff_fields(60_000, 60_000), room), Refusal.TOO_MANY_PIXELS
    yield "tiff-line", kind, tiff(tiff_fields(60_000, 1), room), Refusal.ABSURD_DIMENSIONS
    yield "tiff-strip-outside", kind, tiff(tiff_fields(16, 16, t273=(4, [1 << 31])), room), Refusal.TRUNCATED
    yield "tiff-strip-too-long", kind, tiff(tiff_fields(16, 16, t279=(4, [1 << 31])), room), Refusal.TRUNCATED
    yield "tiff-too-few-strips", kind, tiff(tiff_fields(16, 16, t278=(4, [1])), room), Refusal.CORRUPT
    yield "tiff-little-data", kind, tiff(tiff_fields(16, 16, t279=(4, [10])), room), Refusal.TRUNCATED
    yield (
        "tiff-bomb",
        kind,
        tiff(tiff_fields(7000, 7000, t259=(3, [8]), t279=(4, [1000])), room),
        Refusal.TRUNCATED,
    )
    tiles = {"t322": (4, [1 << 20]), "t323": (4, [1 << 20]), "t324": (4, [8]), "t325": (4, [256])}
    yield "tiff-absurd-tiles", kind, tiff(tiff_fields(16, 16, **tiles), room), Refusal.CORRUPT
    yield "tiff-no-tile", kind, tiff(tiff_fields(16, 16, **tiles | {"t322": (4, [0])}), room), Refusal.CORRUPT
    yield "tiff-float", kind, tiff(tiff_fields(16, 16, t258=(3, [32]), t339=(3, [3])), room), Refusal.UNKNOWN_TYPE
    yield "tiff-lab", kind, tiff(tiff_fields(8, 8, t262=(3, [8]), t277=(3, [3])), room), Refusal.UNKNOWN_TYPE
    yield "tiff-old-jpeg", kind, tiff(tiff_fields(16, 16, t259=(3, [6])), room), Refusal.UNKNOWN_TYPE
    yield "tiff-many-samples", kind, tiff(tiff_fields(8, 8, t277=(3, [60_000])), room), Refusal.UNKNOWN_TYPE
    overlapping = tiff_fields(512, 64, t278=(4, [1]), t273=(4, [8] * 64), t279=(4, [4000] * 64))
    yield "tiff-strips-that-share", kind, tiff(overlapping, room * 4), Refusal.CORRUPT
    strips = tiff(tiff_fields(16, 16), room)
    entry = strips.index(struct.pack("<HHI", 273, 4, 1))
    yield "tiff-giant-count", kind, strips[: entry + 4] + b"\xff\xff\xff\x7f" + strips[entry + 8 :], Refusal.CORRUPT


def hostile_heif() -> Iterator[tuple[str, str, bytes, Refusal]]:
    picture = scene(160, 120)
    heic, avif = save(picture, "HEIF", quality=60), save(picture, "AVIF", speed=10)
    grid = save(scene(300, 140), "HEIF", quality=60, tile_size=128)
    sequence = save(picture, "AVIF", speed=10, save_all=True, append_images=[picture.rotate(90)] * 2)
    kind = "image/heic"
    yield "heic-as-avif", "image/avif", heic, Refusal.TYPE_MISMATCH
    yield "video", "video/mp4", box(b"ftyp", b"isom\0\0\0\0isommp42") + bytes(100), Refusal.UNKNOWN_TYPE
    size = struct.pack(">II", 160, 120)
    for name, declared, data in (("heic", kind, heic), ("avif", "image/avif", avif)):
        yield f"{name}-huge", declared, replaced(data, size, struct.pack(">II", 65000, 65000)), Refusal.TOO_MANY_PIXELS
        yield f"{name}-endless", declared, replaced(data, size, struct.pack(">II", 60000, 1)), Refusal.ABSURD_DIMENSIONS
        yield f"{name}-empty", declared, replaced(data, size, struct.pack(">II", 0, 120)), Refusal.ABSURD_DIMENSIONS
        yield f"{name}-coded-larger", declared, replaced(data, size, struct.pack(">II", 16, 12)), Refusal.CORRUPT
        yield f"{name}-box-without-size", declared, patched(data, b"mdat", -4, bytes(4)), Refusal.TRAILING_DATA
        yield f"{name}-box-overflow", declared, patched(data, b"mdat", -4, b"\xff" * 4), Refusal.TRUNCATED
        yield f"{name}-box-too-small", declared, patched(data, b"meta", -4, b"\0\0\0\4"), Refusal.CORRUPT
        yield f"{name}-inner-box-overflow", declared, patched(data, b"ipco", -4, b"\x7f" * 4), Refusal.CORRUPT
        yield f"{name}-inner-box-without-size", declared, patched(data, b"ipco", -4, bytes(4)), Refusal.CORRUPT
        yield f"{name}-64-bit-size", declared, patched(data, b"mdat", -4, b"\0\0\0\1"), Refusal.TRUNCATED
        yield f"{name}-no-primary", declared, patched(data, b"pitm", 8, b"\xff\xff"), Refusal.CORRUPT
        yield f"{name}-many-properties", declared, patched(data, b"ipma", 8, b"\xff" * 4), Refusal.CORRUPT
        yield f"{name}-many-items", declared, patched(data, b"iloc", 10, b"\xff\xff"), Refusal.CORRUPT
        yield f"{name}-other-item-kind", declared, patched(data, b"infe", 12, b"jpeg"), Refusal.UNKNOWN_TYPE
        yield f"{name}-two-descriptions", declared, data + data[data.index(b"meta") - 4 :], Refusal.TRAILING_DATA
        yield f"{name}-pixels-outside", declared, data[: data.index(b"mdat") + 12], Refusal.TRUNCATED
        nested = b""
        for _ in range(2000):
            nested = box(b"meta", bytes(4), nested)
        yield f"{name}-nested", declared, data[: data.index(b"meta") - 4] + nested, Refusal.CORRUPT
        many = box(b"meta", bytes(4), box(b"free") * 65_535)
        yield f"{name}-many-boxes", declared, data[: data.index(b"meta") - 4] + many, Refusal.CORRUPT
    yield "heic-elsewhere", kind, patched(heic, b"iloc", 14, b"\0\1"), Refusal.CORRUPT
    yield "heic-extents", kind, patched(heic, b"iloc", 20, b"\xff\xff"), Refusal.CORRUPT
    yield "heic-many-top-level-boxes", kind, heic[: heic.index(b"meta") - 4] + box(b"free") * 65_535, Refusal.CORRUPT
    for method in (2, 3):  # the description of a grid is in a box `idat`: method 1
        yield (
            f"heic-construction-{method}",
            kind,
            patched(grid, b"iloc", 14, struct.pack(">H", method)),
            Refusal.CORRUPT,
        )
    yield "heic-construction-without-idat", kind, replaced(grid, b"idat", b"free"), Refusal.CORRUPT
    yield "heic-construction-outside-idat", kind, patched(grid, b"iloc", 28, b"\0\0\xff\xff"), Refusal.CORRUPT
    huge = struct.pack(">II", 16384, 16384)
    yield "heic-huge-tiles", kind, replaced(grid, struct.pack(">II", 128, 128), huge), Refusal.CORRUPT
    tiles, more = struct.pack(">BBHH", 1, 2, 300, 140), struct.pack(">BBHH", 255, 255, 300, 140)
    yield "heic-many-tiles", kind, replaced(grid, tiles, more), Refusal.CORRUPT
    yield "heic-larger-grid", kind, replaced(grid, tiles, struct.pack(">BBHH", 1, 2, 6000, 1400)), Refusal.CORRUPT
    yield "heic-grid-of-itself", kind, patched(grid, b"dimg", 8, struct.pack(">H", 1)), Refusal.CORRUPT
    yield "heic-grid-of-one-tile", kind, patched(grid, b"dimg", 8, struct.pack(">6H", *[2] * 6)), Refusal.CORRUPT
    declared = "image/avif"
    yield "avis-many-frames", declared, patched(sequence, b"stsz", 12, b"\xff" * 4), Refusal.CORRUPT
    yield "avis-long", declared, patched(sequence, b"stts", 12, b"\xff" * 4), Refusal.CORRUPT
    yield "avis-outside", declared, patched(sequence, b"stco", 12, b"\x7f" * 4), Refusal.TRUNCATED
    yield "avis-frames-that-share", declared, patched(sequence, b"stsz", 8, b"\0\1\0\0"), Refusal.CORRUPT
    entry = sequence.index(b"av01", sequence.index(b"stsd"))
    small = sequence[: entry + 28] + struct.pack(">HH", 16, 12) + sequence[entry + 32 :]
    yield "avis-coded-larger", declared, small, Refusal.CORRUPT
