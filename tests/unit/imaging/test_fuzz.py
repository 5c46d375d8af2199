"""Whatever the bytes: a picture or a refusal, nothing else."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediagate.imaging import Refused, Watermark, inspect, render_frames, render_variants
from mediagate.media.values import MEDIUM, THUMB, Limits, WatermarkSpec
from tests.unit.imaging.pictures import (
    corners,
    exif,
    render_marked,
    save,
    scene,
    spec,
    with_good_checksums,
    with_samsung_trailer,
    with_secondary,
)

SMALL = scene(48, 32)
FRAMES = [corners(24, 16).rotate(90 * i) for i in range(3)]
EXIF = exif(6, gps=True, texts={0x8298: "me"})
JPEG = save(SMALL, "JPEG", exif=EXIF)
SEEDS = {
    "jpeg": ("image/jpeg", with_samsung_trailer(with_secondary(JPEG, JPEG))),
    "progressive": ("image/jpeg", save(SMALL, "JPEG", progressive=True, restart_marker_blocks=3)),
    "cmyk": ("image/jpeg", save(SMALL.convert("CMYK"), "JPEG")),
    "png": ("image/png", save(SMALL, "PNG", exif=EXIF)),
    "palette": ("image/png", save(SMALL.convert("P"), "PNG", transparency=3)),
    "apng": ("image/png", save(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:])),
    "webp": ("image/webp", save(SMALL, "WEBP", exif=EXIF)),
    "lossless": ("image/webp", save(SMALL.convert("RGBA"), "WEBP", lossless=True)),
    "awebp": ("image/webp", save(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:])),
    "gif": ("image/gif", save(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:], transparency=0)),
}
SEEDS |= {
    "heic": ("image/heic", save(SMALL, "HEIF", quality=50, exif=EXIF)),
    "heic-alpha": ("image/heic", save(corners(24, 16).convert("RGBA"), "HEIF", quality=50)),
    "heic-grid": ("image/heic", save(scene(100, 70), "HEIF", quality=30, tile_size=64)),
    "avif": ("image/avif", save(SMALL.convert("RGBA"), "AVIF", quality=50, speed=10, exif=EXIF)),
    "avis": ("image/avif", save(FRAMES[0], "AVIF", quality=50, speed=10, save_all=True, append_images=FRAMES[1:])),
    "tiff": ("image/tiff", save(SMALL, "TIFF", exif=EXIF)),
    "tiff-strips": (
        "image/tiff",
        save(SMALL.convert("RGBA"), "TIFF", compression="tiff_adobe_deflate"),
    ),
    "tiff-lzw": ("image/tiff", save(SMALL, "TIFF", compression="tiff_lzw")),
    "tiff-jpeg": ("image/tiff", save(SMALL, "TIFF", compression="jpeg")),
    "tiff-fax": ("image/tiff", save(SMALL.convert("1"), "TIFF", compression="group4")),
}
LIMITS = Limits(max_pixels=1_000_000, max_edge=10_000)
MARK = Watermark(WatermarkSpec(text="© me"))

Edit = tuple[str, float, bytes]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "delete", "cut", "copy"]), st.floats(0, 1), st.binary(min_size=1, max_size=6)
    ),
    min_size=1,
    max_size=6,
)


def edited(data: bytes, edits: list[Edit]) -> bytes:
    for action, place, piece in edits:
        at = int(place * len(data))
        if action == "set":
            data = data[:at] + piece + data[at + len(piece) :]
        elif action == "insert":
            data = data[:at] + piece + data[at:]
        elif action == "delete":
            data = data[:at] + data[at + len(piece) :]
        elif action == "copy":
            data = data[:at] + data[at // 2 : at // 2 + 16 * piece[0]] + data[at:]
        else:
            data = data[:at]
    return data


def outcome(data: bytes, declared: str) -> str:
    """What became of the file; raises whatever is no refusal."""
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        path.write_bytes(data)
        try:
            facts = inspect(path, declared_type=declared, limits=LIMITS)
            original = render_marked(path, facts, spec(64), MARK)
            variants = render_variants(path, facts, [MEDIUM, THUMB], MARK)
            variants += render_frames(path, facts, THUMB)
        except Refused as refused:
            return refused.reason
        assert all(r.data.startswith(b"\xff\xd8") for r in (original, *variants))
        return "rendered"


@pytest.mark.parametrize(("declared", "data"), SEEDS.values(), ids=SEEDS)
class TestBrokenBytes:
    def test_seed_is_a_good_picture(self, declared: str, data: bytes) -> None:
        assert outcome(data, declared) == "rendered"

    @settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(edits=EDITS)
    def test_any_edit_is_rendered_or_refused(self, declared: str, data: bytes, edits: list[Edit]) -> None:
        broken = edited(data, edits)
        if declared == "image/png":
            broken = with_good_checksums(broken)
        assert outcome(broken, declared)

    def test_every_truncation_is_refused(self, declared: str, data: bytes) -> None:
        step = max(1, len(data) // 40)
        ends = [end for end in range(0, len(data), step) if data[end:].strip(b"\0")]
        assert "rendered" not in {outcome(data[:end], declared) for end in ends if not _is_whole(data[:end], declared)}


def _is_whole(data: bytes, declared: str) -> bool:
    """True for a JPEG cut behind its own end, in what a camera appended."""
    return declared == "image/jpeg" and data.rstrip(b"\0").endswith(b"\xff\xd9")
