"""The eight forms are a group that acts on the bits, and the bands miss nobody within the distance."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.media.fingerprints import (
    BAND_BITS,
    BANDS,
    BITS,
    FARTHEST,
    FREQUENCIES,
    MASKS,
    RADII,
    Form,
    dihedral,
    distance,
)

FINGERPRINTS = st.integers(0, (1 << BITS) - 1)
DIFFERENCES = st.sets(st.integers(0, BITS - 1), max_size=FARTHEST).map(lambda bits: sum(1 << bit for bit in bits))


def formed(fingerprint: int, form: Form) -> int:
    """One of the forms."""
    return dict(zip(Form, dihedral(fingerprint), strict=True))[form]


def agree(one: int, other: int) -> list[int]:
    """The bands by which one finds the other."""
    differing = [(one ^ other) >> BAND_BITS * number & (1 << BAND_BITS) - 1 for number in BANDS]
    return [number for number in BANDS if differing[number] in MASKS[number]]


class TestFrequencies:
    def test_are_the_lowest_64_without_the_constant(self) -> None:
        assert len(FREQUENCIES) == len(set(FREQUENCIES)) == BITS
        furthest = max(u * u + v * v for u, v in FREQUENCIES)
        assert set(FREQUENCIES) == {(u, v) for u in range(10) for v in range(10) if 0 < u * u + v * v <= furthest}

    @pytest.mark.parametrize("number", BANDS)
    def test_each_band_has_low_and_high_ones(self, number: int) -> None:
        lengths = sorted(u * u + v * v for u, v in FREQUENCIES[number * BAND_BITS : (number + 1) * BAND_BITS])
        assert lengths[0] <= 4
        assert lengths[-1] >= 65


class TestForms:
    @pytest.mark.parametrize(
        ("first", "then", "both"),
        [
            (Form.ROTATE90, Form.ROTATE90, Form.ROTATE180),
            (Form.ROTATE90, Form.ROTATE180, Form.ROTATE270),
            (Form.ROTATE90, Form.ROTATE270, Form.IDENTITY),
            (Form.ROTATE180, Form.ROTATE180, Form.IDENTITY),
            (Form.FLIP_HORIZONTAL, Form.FLIP_HORIZONTAL, Form.IDENTITY),
            (Form.FLIP_HORIZONTAL, Form.FLIP_VERTICAL, Form.ROTATE180),
            (Form.TRANSPOSE, Form.TRANSPOSE, Form.IDENTITY),
            (Form.TRANSVERSE, Form.TRANSVERSE, Form.IDENTITY),
            (Form.TRANSPOSE, Form.FLIP_HORIZONTAL, Form.ROTATE90),
            (Form.FLIP_HORIZONTAL, Form.TRANSPOSE, Form.ROTATE270),
            (Form.TRANSPOSE, Form.ROTATE180, Form.TRANSVERSE),
        ],
    )
    @given(fingerprint=FINGERPRINTS)
    def test_one_after_the_other(self, first: Form, then: Form, both: Form, fingerprint: int) -> None:
        assert formed(formed(fingerprint, first), then) == formed(fingerprint, both)

    @given(one=FINGERPRINTS, other=FINGERPRINTS)
    def test_turning_both_keeps_their_distance(self, one: int, other: int) -> None:
        apart = {distance(*pair) for pair in zip(dihedral(one), dihedral(other), strict=True)}
        assert apart == {distance(one, other)}

    @given(fingerprint=FINGERPRINTS)
    def test_the_forms_of_a_form_are_the_same_ones(self, fingerprint: int) -> None:
        assert all(set(dihedral(form)) == set(dihedral(fingerprint)) for form in dihedral(fingerprint))


class TestBands:
    def test_radii_are_as_small_as_they_can_be(self) -> None:
        assert sum(radius + 1 for radius in RADII) == FARTHEST + 1

    @pytest.mark.parametrize("number", BANDS)
    def test_masks_are_all_within_the_radius(self, number: int) -> None:
        within = {mask for mask in range(1 << BAND_BITS) if mask.bit_count() <= RADII[number]}
        assert set(MASKS[number]) == within
        assert len(MASKS[number]) == len(within)

    @given(fingerprint=FINGERPRINTS, difference=DIFFERENCES)
    def test_whoever_is_near_is_found(self, fingerprint: int, difference: int) -> None:
        assert agree(fingerprint, fingerprint ^ difference)

    def test_one_bit_more_can_be_missed(self) -> None:
        """No band is wider than it must be: the farthest that nobody finds is just beyond the distance."""
        differing = sum(((1 << radius + 1) - 1) << BAND_BITS * number for number, radius in enumerate(RADII))
        assert differing.bit_count() == FARTHEST + 1
        assert agree(0, differing) == []
        assert all(agree(0, differing & ~(1 << bit)) for bit in range(BITS) if differing >> bit & 1)


class TestDistance:
    @pytest.mark.parametrize(
        ("one", "other", "bits"), [(0, 0, 0), (0, 1, 1), (0, (1 << 64) - 1, 64), (1 << 63, 0, 1), (0b1100, 0b1010, 2)]
    )
    def test_counts_the_bits_that_differ(self, one: int, other: int, bits: int) -> None:
        assert distance(one, other) == distance(other, one) == bits
