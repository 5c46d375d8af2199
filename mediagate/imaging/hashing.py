"""The fingerprint of what a picture shows: it survives re-encoding, resizing, marks, slight crops and brightness.

A DCT hash as in pHash (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010) and PDQ
(Facebook, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019): luminance of 32×32 pixels,
its lowest 64 frequencies without the constant one, one bit each. Both compare with the median; here a bit is the sign
of its coefficient, so that the bits of the turned and mirrored picture follow from the bits alone
(`mediagate.media.fingerprints.dihedral`). What was measured: docs/decisions/0011-near-duplicates.md.
"""

from io import BytesIO
from math import cos, pi, sqrt
from operator import mul

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from mediagate.media.fingerprints import FREQUENCIES

_EDGE = 32
_HEADROOM = 4
"""Pixels per edge that the decoder leaves to the filter, of each that is kept."""
_NOISE = 1.0
"""In grey levels, as the DCT is orthonormal: smaller coefficients are rounding. They count as not positive, or half the
bits of a picture with an axis of symmetry would be thrown anew by every encoder."""
_TELLING = 32
"""Coefficients beyond the noise that a picture must have. With so few, two different ones are within 8 bits by chance
once in 280 times; photographs have about 60. Gradients, and what is symmetric in both axes, have fewer."""


def _wave(frequency: int) -> tuple[float, ...]:
    """A row of the orthonormal DCT-II."""
    height = sqrt((2 if frequency else 1) / _EDGE)
    return tuple(height * cos(pi * (2 * place + 1) * frequency / (2 * _EDGE)) for place in range(_EDGE))


_WAVES = tuple(_wave(frequency) for frequency in range(1 + max(across for across, _ in FREQUENCIES)))


def dct_hash(picture: Image.Image) -> int | None:
    """The fingerprint of an upright, unmarked picture (mode RGB or L); None if it shows too little to have one."""
    small = picture.resize((_EDGE, _EDGE), Image.Resampling.LANCZOS, reducing_gap=3.0).convert("L")
    coefficients = _dct(small.tobytes())
    if sum(abs(coefficient) > _NOISE for coefficient in coefficients) < _TELLING:
        return None
    return sum(1 << bit for bit, coefficient in enumerate(coefficients) if coefficient > _NOISE)


def hash_jpeg(data: bytes) -> int | None:
    """As `dct_hash`, of a JPEG that we made ourselves: a moderation copy. Decoded at down to an eighth of its size."""
    with JpegImageFile(BytesIO(data)) as picture:
        picture.draft("L", (_HEADROOM * _EDGE, _HEADROOM * _EDGE))
        return dct_hash(picture)


def _dct(pixels: bytes) -> list[float]:
    """The coefficients of `FREQUENCIES`."""
    rows = [pixels[start : start + _EDGE] for start in range(0, _EDGE * _EDGE, _EDGE)]
    # By frequency across, then by row.
    across = [[sum(map(mul, wave, row)) for row in rows] for wave in _WAVES]
    return [sum(map(mul, _WAVES[v], across[u])) for u, v in FREQUENCIES]
