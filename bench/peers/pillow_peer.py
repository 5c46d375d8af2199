"""What a good developer writes with Pillow in an hour: one decode, Lanczos, a binary search for the quality."""

from functools import partial
from io import BytesIO
from pathlib import Path

import PIL
from PIL import Image, ImageDraw, ImageFont, ImageOps

from bench.peers.protocol import LIMITS, MARKED, TEXT, binary_search, run


def marked(picture: Image.Image) -> Image.Image:
    """With the text in the lower right corner."""
    font = ImageFont.load_default(max(1, picture.width // 30))
    left, top, right, bottom = (round(edge) for edge in font.getbbox(TEXT))
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), TEXT, 128, font)
    picture = picture.copy()
    picture.paste("white", (picture.width * 49 // 50 - mask.width, picture.height * 49 // 50 - mask.height), mask)
    return picture


def encode(picture: Image.Image, profile: bytes | None, quality: int) -> bytes:
    """As JPEG; 4:2:0 is what Pillow does unasked."""
    out = BytesIO()
    picture.save(out, "JPEG", quality=quality, icc_profile=profile)
    return out.getvalue()


def work(source: Path, folder: Path) -> int:
    """Write the pictures, each reduced from the next larger one."""
    with Image.open(source) as opened:
        profile = opened.info.get("icc_profile")
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    took = {}
    for name, (edge, quality, cap) in LIMITS.items():
        picture.thumbnail((edge, edge), Image.Resampling.LANCZOS)
        shown = marked(picture) if name == MARKED else picture
        data, took[name] = binary_search(partial(encode, shown, profile), quality, cap)
        Path(folder, f"{name}.jpg").write_bytes(data)
    return took[MARKED]


if __name__ == "__main__":
    run(work, f"Pillow {PIL.__version__}")
