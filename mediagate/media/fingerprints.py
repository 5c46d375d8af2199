"""A picture's fingerprint as arithmetic: its eight turned and mirrored forms, and the bands by which it is found. Pure.

A fingerprint is 64 bits, 0 ≤ fingerprint < 2**64; bit `n` tells about the frequency `FREQUENCIES[n]` of the picture.
Two pictures are near duplicates if their fingerprints differ in at most `FARTHEST` bits. `mediagate.imaging.hashing`
makes them.

To find all of those without looking at every one, the bits are cut into four bands of 16 (multi-index hashing: Norouzi,
Punjani, Fleet, "Fast search in Hamming space with multi-index hashing", 2012). If every band b differed in more than
RADII[b] bits, the whole would differ in at least the sum of RADII[b] + 1, which is 9: whoever is within 8 agrees with
the asked fingerprint, up to RADII[b] bits, in at least one band. So the search is exact, and each band is looked up by
equality with the few values in reach.
"""

from enum import StrEnum
from itertools import combinations

BITS = 64
FARTHEST = 8
"""Differing bits between near duplicates at most; more than that is not searched for."""

BAND_BITS = 16
BANDS = range(BITS // BAND_BITS)
RADII = (2, 1, 1, 1)

_BAND = (1 << BAND_BITS) - 1
_REACH = 8
_WITHIN = 72
"""There are exactly 64 pairs of frequencies with 0 < u² + v² ≤ 72."""


class Form(StrEnum):
    """What must be done to one picture to get the other; turns are clockwise."""

    IDENTITY = "identity"
    ROTATE90 = "rotate90"
    ROTATE180 = "rotate180"
    ROTATE270 = "rotate270"
    FLIP_HORIZONTAL = "flip_horizontal"
    """left and right change places"""
    FLIP_VERTICAL = "flip_vertical"
    TRANSPOSE = "transpose"
    """mirrored at the diagonal from top left to bottom right"""
    TRANSVERSE = "transverse"
    """mirrored at the other diagonal"""


def _dealt() -> tuple[tuple[int, int], ...]:
    """The lowest frequencies, dealt to the bands in turn.

    Neighbouring frequencies of a photograph depend on each other; kept together they would crowd a band's values.
    """
    square = ((u, v) for u in range(_REACH + 1) for v in range(_REACH + 1))
    low = sorted((u * u + v * v, u, v) for u, v in square if 0 < u * u + v * v <= _WITHIN)
    return tuple((u, v) for band in BANDS for _, u, v in low[band :: len(BANDS)])


FREQUENCIES = _dealt()
"""Of each bit: half waves across the picture, half waves down the picture."""

# A cosine of an odd frequency changes its sign when its axis is turned round; those of even ones do not.
_ODD_ACROSS = sum(1 << bit for bit, (u, _) in enumerate(FREQUENCIES) if u % 2)
_ODD_DOWN = sum(1 << bit for bit, (_, v) in enumerate(FREQUENCIES) if v % 2)
_SWAPPED = tuple(FREQUENCIES.index((v, u)) for u, v in FREQUENCIES)


def dihedral(fingerprint: int) -> tuple[int, ...]:
    """The fingerprints of the eight forms of the picture, in the order of `Form`."""
    mirrored = sum((fingerprint >> other & 1) << bit for bit, other in enumerate(_SWAPPED))
    both = _ODD_ACROSS ^ _ODD_DOWN
    return (
        fingerprint,
        mirrored ^ _ODD_ACROSS,
        fingerprint ^ both,
        mirrored ^ _ODD_DOWN,
        fingerprint ^ _ODD_ACROSS,
        fingerprint ^ _ODD_DOWN,
        mirrored,
        mirrored ^ both,
    )


def distance(one: int, other: int) -> int:
    """The number of bits that differ, 0..64."""
    return (one ^ other).bit_count()


def band(fingerprint: int, number: int) -> int:
    """The bits of a band as a number, 0..65535."""
    return fingerprint >> BAND_BITS * number & _BAND


def _within(radius: int) -> tuple[int, ...]:
    bits = [1 << bit for bit in range(BAND_BITS)]
    return tuple(sum(some) for count in range(radius + 1) for some in combinations(bits, count))


MASKS = tuple(_within(radius) for radius in RADII)
"""Of each band: what its value may differ in, as values to XOR with: 137 in band 0, 17 in the others."""
