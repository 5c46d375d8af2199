"""How good and how right the pictures are that a peer made."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from skimage.metrics import structural_similarity

from bench.peers.protocol import LIMITS, MARKED

_STRIP = 512
"""rows compared at once: what lies between them in floats is five times as large as the picture"""
_UNMARKED = 0.8
"""share of the marked picture's rows, from above, in which no peer draws its mark"""

Grey = NDArray[np.uint8]


def grey(picture: Image.Image) -> Grey:
    """Its luminance."""
    return np.asarray(picture.convert("L"))


def similarity(reference: Grey, shown: Grey) -> float:
    """SSIM of two pictures of the same size, as the mean over strips by their rows."""
    strips = -(-len(reference) // _STRIP)
    pairs = zip(np.array_split(reference, strips), np.array_split(shown, strips), strict=True)
    found = [
        (structural_similarity(a.astype(np.float32), b.astype(np.float32), data_range=255), len(a))  # type: ignore[no-untyped-call]
        for a, b in pairs
    ]
    return float(np.average([value for value, _ in found], weights=[rows for _, rows in found]))


def references(source: Path) -> dict[str, Grey]:
    """Every output as Lanczos alone reduces the upright source, without a mark and without loss."""
    with Image.open(source) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    made = {}
    for name, (edge, _, _) in LIMITS.items():
        picture = upright.copy()
        picture.thumbnail((edge, edge), Image.Resampling.LANCZOS, reducing_gap=None)
        made[name] = grey(picture)
    return made


def judge(folder: Path, wanted: dict[str, Grey]) -> tuple[list[str], dict[str, float]]:
    """What is wrong with a peer's outputs, and the SSIM of each against its reference.

    An output that is smaller than asked for, because the lowest quality was over the cap, is compared in full size.
    """
    wrong, alike = [], {}
    for name, reference in wanted.items():
        edge, cap = max(reference.shape), LIMITS[name][2]
        path = folder / f"{name}.jpg"
        with Image.open(path) as opened:
            picture = opened.convert("L")
        if abs(max(picture.size) - edge) > 1:
            wrong.append(f"{name}: {max(picture.size)} px, not {edge}")
        if path.stat().st_size > cap:
            wrong.append(f"{name}: {path.stat().st_size} bytes, not {cap}")
        if picture.size != reference.shape[::-1]:
            picture = picture.resize(reference.shape[::-1], Image.Resampling.LANCZOS)
        rows = round(len(reference) * _UNMARKED) if name == MARKED else len(reference)
        alike[name] = similarity(reference[:rows], grey(picture)[:rows])
    return wrong, alike
