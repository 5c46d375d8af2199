"""Pictures that behave like photographs, the same ones every time: large shapes, texture, edges, and sensor noise."""

from pathlib import Path
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIZES = {"2 MP": (1632, 1224), "12 MP": (4032, 3024), "18 MP": (5184, 3456)}


def photograph(size: tuple[int, int], *, seed: int = 1) -> Image.Image:
    """A scene in mode RGB whose JPEG has about the bytes per pixel of a phone's at the same quality."""
    random = Random(seed)
    width, height = size
    scene = Image.new("RGB", size)
    for shift, scale in enumerate((8, 24, 64, 160)):
        cells = (max(2, width * scale // 4000), max(2, height * scale // 4000))
        texture = Image.frombytes("RGB", cells, random.randbytes(cells[0] * cells[1] * 3))
        layer = texture.resize(size, Image.Resampling.BICUBIC)
        scene = layer if shift == 0 else Image.blend(scene, layer, 0.45 - 0.08 * shift)
    pen = ImageDraw.Draw(scene)
    for _ in range(160):
        x, y, r = random.randrange(width), random.randrange(height), random.randrange(8, max(9, width // 16))
        colour = tuple(random.randrange(256) for _ in range(3))
        pen.ellipse(
            (x, y, x + r, y + r // 2), fill=colour, outline=tuple(255 - c for c in colour), width=max(1, r // 40)
        )
    scene = scene.filter(ImageFilter.GaussianBlur(0.7))
    noise = Image.effect_noise(size, 9).point(lambda v: v // 2 + 64)
    return ImageChops.add(scene, Image.merge("RGB", (noise, noise, noise)), offset=-128)


def write_photographs(folder: Path) -> dict[str, Path]:
    """JPEGs of quality 93 by their nominal size."""
    made = {}
    for name, size in SIZES.items():
        made[name] = folder / f"{name.replace(' ', '')}.jpg"
        photograph(size).save(made[name], "JPEG", quality=93, subsampling="4:2:0")
    return made
