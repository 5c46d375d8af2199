"""What a good developer writes with Pillow in an hour: one decode, Lanczos, a binary search for the quality."""

from io import BytesIO
from pathlib import Path

import PIL
from PIL import Image, ImageDraw, ImageFont, ImageOps

from bench.peers.protocol import LIMITS, TEXT, run

FLOOR = 40


def encode(picture: Image.Image, quality: int, cap: int) -> tuple[bytes, int]:
    """The best quality under the cap."""

    def trial(q: int) -> bytes:
        out = BytesIO()
        picture.save(out, "JPEG", quality=q)
        return out.getvalue()

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


def marked(picture: Image.Image) -> Image.Image:
    """With the text in the lower right corner."""
    layer = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    font = ImageFont.load_default(picture.width // 30)
    place = (picture.width * 49 // 50, picture.height * 49 // 50)
    ImageDraw.Draw(layer).text(place, TEXT, (255, 255, 255, 128), font, "rs", stroke_width=2, stroke_fill=(0, 0, 0, 80))
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def work(source: Path, folder: Path) -> int:
    """Write the pictures; the encodes at full size that the original took."""
    with Image.open(source) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    took = 0
    for name, (edge, quality, cap) in LIMITS.items():
        picture = upright.copy()
        picture.thumbnail((edge, edge), Image.Resampling.LANCZOS)
        if name == "original":
            picture = marked(picture)
        data, trials = encode(picture, quality, cap)
        took = took or trials
        Path(folder, f"{name}.jpg").write_bytes(data)
    return took


if __name__ == "__main__":
    run(work, f"Pillow {PIL.__version__}")
