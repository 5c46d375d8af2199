"""Whatever the bytes: a picture or a refusal, nothing else."""

import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediagate.imaging import Refused, Watermark, inspect, render_marked, render_variants
from mediagate.media.values import MEDIUM, THUMB, Limits, WatermarkSpec
from tests.unit.imaging.pictures import corners, exif, save, scene, spec, with_samsung_trailer, with_secondary

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


def outcome(data: bytes, declared: str) -> str:
    """What became of the file; raises whatever is no refusal."""
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        path.write_bytes(data)
        try:
            facts = inspect(path, declared_type=declared, limits=LIMITS)
            original = render_marked(path, facts, spec(64), MARK)
            variants = render_variants(path, facts, [MEDIUM, THUMB], MARK)
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
