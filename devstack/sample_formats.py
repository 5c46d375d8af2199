"""The demo's pictures in the formats that cameras, scanners and printers write."""

import io
from typing import Any

import pillow_heif
from PIL import Image, ImageChops


def heic(picture: Image.Image) -> bytes:
    """HEIC in tiles, as phones write it."""
    out = io.BytesIO()
    pillow_heif.from_pillow(picture).save(out, quality=60, tile_size=512)
    return out.getvalue()


def avif(picture: Image.Image) -> bytes:
    """AVIF, coded fast rather than small."""
    return _saved(picture, "AVIF", quality=70, speed=10)


def tiff(picture: Image.Image) -> bytes:
    """TIFF with deflated strips and a second page that nobody is to see."""
    page = Image.new("RGB", (200, 200), (255, 0, 255))
    return _saved(picture, "TIFF", compression="tiff_adobe_deflate", save_all=True, append_images=[page])


def print_jpeg(picture: Image.Image) -> bytes:
    """JPEG in the four inks of a printer, inverted as Adobe's programs do."""
    return _saved(picture.convert("CMYK"), "JPEG", quality=90)


def deep_png(size: tuple[int, int]) -> bytes:
    """PNG with 16 bits of grey: a ramp with more levels than a screen shows."""
    width, height = size
    row = b"".join((x * 65535 // (width - 1)).to_bytes(2, "little") for x in range(width))
    return _saved(Image.frombytes("I;16", size, row * height), "PNG")


def animated_webp(picture: Image.Image) -> bytes:
    """Thirty frames; the 18th is shown for a fiftieth of a second."""
    frames = [ImageChops.offset(picture, 12 * i, 0) for i in range(30)]
    frames[17] = ImageChops.invert(picture)
    durations = [100] * 17 + [20] + [100] * 12
    return _saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=durations, method=0, quality=60)


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()
