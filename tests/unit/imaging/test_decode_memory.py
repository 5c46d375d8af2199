"""What decoding really takes, in a process of its own, stays below what the header predicts."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.unit.imaging.pictures import corners, facts_of, save, stored

MIB = 1024 * 1024

# The peak of one decode over what the same process took for a small picture of the same kind. Freed memory of the
# small one may be used again, so the measure is a little low; the prediction has 16 MiB that belong to no picture.
MEASURE = """
import re, resource, sys
from pathlib import Path
from mediagate.imaging import render_frames, render_variants
from mediagate.imaging.inspection import inspect
from mediagate.media.values import MODERATION, ORIGINAL, Limits

def peak(path):
    facts = inspect(Path(path), declared_type=sys.argv[1], limits=Limits())
    made = render_variants(Path(path), facts, [ORIGINAL]) + render_frames(Path(path), facts, MODERATION)
    assert all(m.data for m in made)
    status = Path("/proc/self/status")  # on Linux `ru_maxrss` begins with that of the process that started this one
    if status.exists():
        return int(re.search(r"VmHWM:\\s+([0-9]+) kB", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

small = peak(sys.argv[2])
print((peak(sys.argv[3]) - small) * 1024)
"""

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "heic": ("HEIF", {}),
    "heic-444": ("HEIF", {"chroma": 444}),
    "heic-grid": ("HEIF", {"tile_size": 256}),
    "heic-alpha": ("HEIF", {}),
    "avif": ("AVIF", {"speed": 10}),
    "avif-444": ("AVIF", {"speed": 10, "subsampling": "4:4:4"}),
    "avif-alpha": ("AVIF", {"speed": 10}),
    "avif-frames": ("AVIF", {"speed": 10, "save_all": True}),
    "tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff-alpha": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "tiff-cmyk": ("TIFF", {"compression": "packbits"}),
    "png-frames": ("PNG", {"compress_level": 1, "save_all": True}),
    "gif-frames": ("GIF", {"save_all": True}),
    "webp-frames": ("WEBP", {"method": 0, "save_all": True}),
}


def encoded(name: str, picture: Image.Image) -> bytes:
    kind, options = KINDS[name]
    if name.endswith("alpha"):
        picture = picture.convert("RGBA")
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    if name.endswith("cmyk"):
        picture = picture.convert("CMYK")
    if "save_all" in options:
        options = options | {"append_images": [picture.rotate(90), picture.rotate(180)]}
    return save(picture, kind, **options)


@pytest.fixture(scope="module")
def large() -> Image.Image:
    across = Image.linear_gradient("L").resize((1600, 1200))
    return Image.merge("RGB", (across, across.rotate(180), across))


@pytest.mark.parametrize("name", KINDS)
def test_peak_is_predicted(tmp_path: Path, name: str, large: Image.Image) -> None:
    content_type = f"image/{KINDS[name][0].lower()}"
    small = stored(tmp_path, encoded(name, corners(64, 64)), "small")
    path = stored(tmp_path, encoded(name, large), "large")
    command = [sys.executable, "-c", MEASURE, content_type, str(small), str(path)]
    measured = int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)
    predicted = facts_of(path, content_type).decode_bytes
    assert MIB < measured < predicted
