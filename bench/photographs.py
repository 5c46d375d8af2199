"""Pictures that a byte cap meets like those of a camera: edges, textures of every scale, fine grain. The same each time.

Overlapping discs of all sizes (the "dead leaves" model) have the edges and the spectrum of natural scenes; sensor noise and
a lens's blur decide about the bits per pixel. None of it says anything about what a picture shows.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

MEGAPIXELS = {"2 MP": (1632, 1224), "12 MP": (4032, 3024), "18 MP": (5184, 3456)}
"""What is measured, with the sizes of common cameras."""

_SEED = 4
_DISCS_PER_MEGAPIXEL = 250
_OCTAVES = 7
_TEXTURE = 14.0
_GRAIN = 4.5
_BLUR = 0.8
_CAMERA_QUALITY = 94


def write_photographs(folder: Path) -> dict[str, Path]:
    """The pictures as a camera saves them (4:2:0, quality 94), by name."""
    return {name: _written(folder / f"{name.replace(' ', '')}.jpg", size) for name, size in MEGAPIXELS.items()}


def photograph(width: int, height: int, seed: int = _SEED) -> Image.Image:
    """One picture in mode RGB."""
    draw = np.random.default_rng(seed)
    picture = _leaves(width, height, draw)
    pixels = np.asarray(picture, dtype=np.float32)
    pixels = pixels + _texture(width, height, draw)[..., np.newaxis]
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(_BLUR))
    grain = draw.standard_normal((height, width, 3), dtype=np.float32) * _GRAIN
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))


def _leaves(width: int, height: int, draw: np.random.Generator) -> Image.Image:
    """Discs whose radii follow a power law, from the horizon's haze to the nearest."""
    around = Image.radial_gradient("L").resize((width, height))
    picture = Image.merge("RGB", (around.point(lambda v: 90 + v // 3), around, around.point(lambda v: 200 - v // 2)))
    pen = ImageDraw.Draw(picture)
    count = round(_DISCS_PER_MEGAPIXEL * width * height / 1e6)
    smallest, largest = 4.0, min(width, height) / 4
    # p(r) ~ r^-3 between the bounds, which looks the same at every scale.
    share = draw.random(count)
    radii = 1 / np.sqrt(share / smallest**2 + (1 - share) / largest**2)
    places = draw.random((count, 2)) * (width, height)
    base, spread = draw.integers(20, 236, (count, 1)), draw.integers(-40, 41, (count, 3))
    colours = np.clip(base + spread, 0, 255)
    for (x, y), r, colour in zip(places, radii, colours, strict=True):
        pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(int(v) for v in colour))
    return picture


def _texture(width: int, height: int, draw: np.random.Generator) -> np.ndarray:
    """Noise whose power falls with the frequency, in patches: as grass and walls have it and the sky does not."""
    total = np.zeros((height, width), dtype=np.float32)
    for octave in range(_OCTAVES):
        scale = 2**octave
        small = draw.standard_normal((height // scale + 2, width // scale + 2), dtype=np.float32)
        total += np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)) * scale**0.35
    patches = Image.fromarray(draw.random((6, 8), dtype=np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    return total * (_TEXTURE / _OCTAVES) * np.clip(np.asarray(patches) * 2 - 0.6, 0.05, 1)


def _written(path: Path, size: tuple[int, int]) -> Path:
    photograph(*size).save(path, "JPEG", quality=_CAMERA_QUALITY, subsampling="4:2:0")
    return path
