"""libvips, in two styles.

As its documentation recommends: `thumbnail` of the file for every size, with shrink-on-load, and `composite` for the
mark. With `--tuned`, as one who profiles it writes: the file is decoded once, each size is made of the next larger one
in memory, and only the rows under the mark are composited.
"""

import os
import sys
from functools import partial
from pathlib import Path

os.environ["VIPS_CONCURRENCY"] = "1"  # threads cost CPU time; production runs one picture per core

import pyvips

from bench.peers.protocol import LIMITS, MARKED, TEXT, binary_search, run

TUNED = "--tuned" in sys.argv


def marked(picture: pyvips.Image) -> pyvips.Image:
    """With the text in the lower right corner."""
    mask = pyvips.Image.text(TEXT, font=f"sans {max(1, picture.width // 30)}", dpi=72)
    text = mask.new_from_image([255, 255, 255]).copy(interpretation="srgb").bandjoin((mask * 0.5).cast("uchar"))
    x, y = picture.width * 49 // 50 - text.width, picture.height * 49 // 50 - text.height
    if TUNED:
        area = picture.crop(x, y, text.width, text.height).composite2(text, "over")
        return picture.insert(area[:3].cast("uchar"), x, y).copy_memory()
    return picture.composite2(text, "over", x=x, y=y)[:3].cast("uchar").copy_memory()


def encode(picture: pyvips.Image, quality: int) -> bytes:
    """As JPEG; libvips would store chroma in full from quality 90 on."""
    data: bytes = picture.jpegsave_buffer(Q=quality, subsample_mode="on", keep="none")
    return data


def work(source: Path, folder: Path) -> int:
    """Write the pictures."""
    profile = pyvips.Image.new_from_file(str(source)).get_typeof("icc-profile-data")
    to_srgb = {"export_profile": "srgb"} if profile else {}
    took, picture = {}, None
    for name, (edge, quality, cap) in LIMITS.items():
        if TUNED and picture:
            picture = picture.thumbnail_image(edge, height=edge, size="down").copy_memory()
        else:
            picture = pyvips.Image.thumbnail(str(source), edge, height=edge, size="down", **to_srgb).copy_memory()
        shown = marked(picture) if name == MARKED else picture
        data, took[name] = binary_search(partial(encode, shown), quality, cap)
        Path(folder, f"{name}.jpg").write_bytes(data)
    return took[MARKED]


if __name__ == "__main__":
    run(work, f"libvips {pyvips.version(0)}.{pyvips.version(1)}.{pyvips.version(2)}")
