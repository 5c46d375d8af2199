"""Pictures that behave like photographs, the same ones every time: texture at all scales, edges, sensor noise."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZES = {"2MP": (1632, 1224), "12MP": (4032, 3024), "18MP": (5184, 3456)}
QUALITY = 93
"""as phones write them: about 0.4 bytes per pixel at 12 megapixels, so that 2 MiB are too few at quality 90"""

_OCTAVES = 9
_SHAPES = 160
_READ_NOISE = 2.4
_SHOT_NOISE = 0.24
"""standard deviation of the noise: the first in the dark, the second times the root of the brightness beyond"""
_STRIP = 256
"""rows that get their noise at once, so that 18 megapixels of floats are never in memory"""


def photograph(size: tuple[int, int], *, seed: int = 1) -> Image.Image:
    """A scene in mode RGB. Details have the same size in pixels whatever the size of the picture, as a sharp lens's."""
    random = np.random.default_rng(seed)
    scene = _shapes(_texture(size, random), random).filter(ImageFilter.GaussianBlur(0.6))
    return _noisy(scene, random)


def write_photographs(folder: Path) -> dict[str, Path]:
    """JPEGs by their nominal size."""
    made = {}
    for seed, (name, size) in enumerate(SIZES.items(), 1):
        made[name] = folder / f"{name}.jpg"
        photograph(size, seed=seed).save(made[name], "JPEG", quality=QUALITY, subsampling="4:2:0")
    return made


def _texture(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """Noise of all scales, the finer the weaker, as in natural scenes; each only in places."""
    scene = Image.new("RGB", size, (118, 122, 126))
    for octave in range(_OCTAVES):
        cells = [max(2, (2 * edge) >> (_OCTAVES - octave)) for edge in size]
        coarse = random.integers(0, 256, (cells[1], cells[0], 1), dtype=np.uint8)
        tint = random.integers(-24, 25, (cells[1], cells[0], 3))
        layer = Image.fromarray(np.clip(coarse + tint, 0, 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
        there = random.integers(0, 256, (7, 9), dtype=np.uint8)
        where = Image.fromarray(there).resize(size, Image.Resampling.BICUBIC)
        share = 0.5 * 0.78**octave
        scene.paste(layer, (0, 0), where.point([round(share * v) for v in range(256)]))
    return scene


def _shapes(scene: Image.Image, random: np.random.Generator) -> Image.Image:
    """With ellipses and lines, whose edges are sharp."""
    width, height = scene.size
    pen = ImageDraw.Draw(scene)
    for number in range(_SHAPES):
        x, y, across = (int(v) for v in random.integers(0, (width, height, max(16, width // 12))))
        red, green, blue = (int(v) for v in random.integers(0, 256, 3))
        if number % 3:
            pen.ellipse((x, y, x + across, y + across * 2 // 3), outline=(red, green, blue), width=2 + across // 60)
        else:
            pen.line((x, y, x + across, y - across // 3), fill=(red, green, blue), width=1 + across // 80)
    return scene


def _noisy(scene: Image.Image, random: np.random.Generator) -> Image.Image:
    """With noise that grows with the root of the brightness, mostly the same in all channels after demosaicing."""
    pixels = np.array(scene)
    for top in range(0, scene.height, _STRIP):
        strip = pixels[top : top + _STRIP].astype(np.float32)
        strength = _READ_NOISE + _SHOT_NOISE * np.sqrt(strip.mean(axis=2, keepdims=True))
        common = random.standard_normal((*strip.shape[:2], 1), dtype=np.float32)
        single = random.standard_normal(strip.shape, dtype=np.float32)
        pixels[top : top + _STRIP] = np.clip(strip + strength * (0.85 * common + 0.4 * single) + 0.5, 0, 255)
    return Image.fromarray(pixels)
