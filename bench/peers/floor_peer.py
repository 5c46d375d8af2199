"""The floor: one decode by libjpeg-turbo and one encode of the same picture at quality 90. Makes no variants."""

from io import BytesIO
from pathlib import Path

from PIL import Image, features

from bench.peers.protocol import run


def work(source: Path, _folder: Path) -> int:
    """Encode it once."""
    with Image.open(source) as opened:
        opened.save(BytesIO(), "JPEG", quality=90, subsampling="4:2:0")
    return 1


if __name__ == "__main__":
    run(work, f"libjpeg-turbo {features.version('libjpeg_turbo')}")
