"""libvips as its documentation recommends: `thumbnail` with shrink-on-load, a binary search for the quality."""

import os
from pathlib import Path

os.environ.setdefault("VIPS_CONCURRENCY", "1")  # threads cost CPU time; production runs one picture per core

import pyvips

from bench.peers.protocol import LIMITS, TEXT, run

FLOOR = 40


def encode(picture: pyvips.Image, quality: int, cap: int) -> tuple[bytes, int]:
    """The best quality under the cap."""

    def trial(q: int) -> bytes:
        data: bytes = picture.jpegsave_buffer(Q=q, keep="none")
        return data

    data, trials, low, high = trial(quality), 1, FLOOR, quality - 1
    if len(data) <= cap:
        return data, trials
    while low <= high:
        middle = (low + high) // 2
        attempt, trials = trial(middle), trials + 1
        if len(attempt) <= cap:
            data, low = attempt, middle + 1
        else:
            high = middle - 1
    return data, trials


def marked(picture: pyvips.Image) -> pyvips.Image:
    """With the text in the lower right corner."""
    mask = pyvips.Image.text(TEXT, width=picture.width // 5, height=picture.height // 10)
    text = mask.new_from_image([255, 255, 255]).copy(interpretation="srgb").bandjoin((mask * 0.5).cast("uchar"))
    x, y = picture.width * 49 // 50 - text.width, picture.height * 49 // 50 - text.height
    return picture.composite2(text, "over", x=x, y=y).flatten().cast("uchar")


def work(source: Path, folder: Path) -> int:
    """Write the pictures; the encodes at full size that the original took."""
    took = 0
    for name, (edge, quality, cap) in LIMITS.items():
        picture = pyvips.Image.thumbnail(str(source), edge, height=edge, size="down")
        if name == "original":
            picture = marked(picture)
        data, trials = encode(picture.copy_memory(), quality, cap)
        took = took or trials
        Path(folder, f"{name}.jpg").write_bytes(data)
    return took


if __name__ == "__main__":
    run(work, f"libvips {pyvips.version(0)}.{pyvips.version(1)}.{pyvips.version(2)}")
