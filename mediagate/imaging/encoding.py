"""JPEG under a byte cap, by an informed search: quality gives way first, then dimensions.

libjpeg multiplies its quantisation tables by S = 5000/q below quality 50 and by S = 200 - 2q from there on
(jcparam.c). The size of a picture falls about linearly in log S, so two trials tell where the cap is met.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from mediagate.imaging.decoding import resized
from mediagate.media.values import VariantSpec

# d log(size) / d log(S) of photographs; the first guess, replaced by what two trials show.
_SLOPE = -0.62
_SLOPES = (-1.6, -0.15)

_AIM = 0.97
"""share of the cap that a prediction aims at"""
_WORTHWHILE = 0.85
"""below this share of the cap, one more trial may buy quality back"""
_HOPELESS = 1.15
"""a prediction for the lowest quality that is over the cap by this much saves the trial"""

# Better Huffman tables cost a second pass: a third of the time at 12 megapixels, nothing at thumbnail size.
_OPTIMISED_PIXELS = 1_000_000

# Headers and tables, which do not shrink with the picture.
_OVERHEAD = 640


@dataclass(frozen=True, slots=True)
class Encoded:
    """A JPEG with what it took; `trade` says what gave way."""

    data: bytes
    width: int
    height: int
    quality: int
    trials: int
    trade: str


@dataclass(slots=True)
class _Encoder:
    exif: bytes
    progress: Callable[[], None]
    trials: int = 0

    def encode(self, picture: Image.Image, quality: int) -> bytes:
        """Baseline, 4:2:0, without ICC profile: what every browser takes for sRGB."""
        out = BytesIO()
        small = picture.width * picture.height <= _OPTIMISED_PIXELS
        picture.save(out, "JPEG", quality=quality, subsampling="4:2:0", optimize=small, exif=self.exif)
        self.trials += 1
        self.progress()
        return out.getvalue()


def encode_within(picture: Image.Image, spec: VariantSpec, exif: bytes, progress: Callable[[], None]) -> Encoded:
    """A picture in mode RGB as JPEG of at most `spec.max_bytes`, and at least one pixel."""
    encoder = _Encoder(exif, progress)
    asked = max(picture.size)
    quality, data, expected = _search_quality(encoder, picture, spec)
    while data is None:
        picture = resized(picture, _shrunk(picture.size, expected, spec.max_bytes, len(exif)))
        trial = encoder.encode(picture, quality)
        expected = len(trial)
        data = trial if expected <= spec.max_bytes or picture.size == (1, 1) else None
    trades = []
    if quality != spec.quality:
        trades.append(f"quality {spec.quality}→{quality}")
    if max(picture.size) != asked:
        trades.append(f"{asked}→{max(picture.size)} px")
    return Encoded(data, *picture.size, quality, encoder.trials, ", ".join(trades))


def _search_quality(encoder: _Encoder, picture: Image.Image, spec: VariantSpec) -> tuple[int, bytes | None, int]:
    """The best quality found, its bytes, their number; without bytes: the floor and the number expected there."""
    cap, floor = spec.max_bytes, min(spec.min_quality, spec.quality)
    quality, slope = spec.quality, _SLOPE
    data = encoder.encode(picture, quality)
    while len(data) > cap:
        lower = min(_quality_for(quality, len(data), cap * _AIM, slope), quality - 1)
        if lower < floor:
            expected = _size_at(floor, quality, len(data), slope)
            if quality == floor or (expected > cap * _HOPELESS and encoder.trials > 1):
                return floor, None, round(expected)
            if expected > cap * _HOPELESS * 2:
                return floor, None, round(expected)
            lower = floor
        trial = encoder.encode(picture, lower)
        slope = _slope_between((quality, len(data)), (lower, len(trial)))
        if len(trial) <= cap:
            return _raised(encoder, picture, cap, (lower, trial), quality, slope)
        quality, data = lower, trial
    return quality, data, len(data)


def _raised(
    encoder: _Encoder, picture: Image.Image, cap: int, fits: tuple[int, bytes], too_high: int, slope: float
) -> tuple[int, bytes, int]:
    """Try once to win back what a prediction gave away."""
    quality, data = fits
    higher = min(_quality_for(quality, len(data), cap * _AIM, slope), too_high - 1)
    if len(data) < cap * _WORTHWHILE and higher > quality:
        trial = encoder.encode(picture, higher)
        if len(trial) <= cap:
            return higher, trial, len(trial)
    return quality, data, len(data)


def _scale(quality: int) -> float:
    return 5000 / quality if quality < 50 else max(200 - 2 * quality, 1)


def _size_at(quality: int, known_quality: int, known_size: int, slope: float) -> float:
    return known_size * math.exp(slope * math.log(_scale(quality) / _scale(known_quality)))


def _quality_for(known_quality: int, known_size: int, size: float, slope: float) -> int:
    scale = _scale(known_quality) * math.exp(math.log(size / known_size) / slope)
    return max(0, min(95, math.floor(5000 / scale if scale > 100 else (200 - scale) / 2)))


def _slope_between(first: tuple[int, int], second: tuple[int, int]) -> float:
    over = math.log(_scale(first[0]) / _scale(second[0]))
    slope = math.log(first[1] / second[1]) / over if over else _SLOPE
    return min(max(slope, _SLOPES[0]), _SLOPES[1])


def _shrunk(size: tuple[int, int], expected: int, cap: int, exif: int) -> tuple[int, int]:
    """The size at which the pixels' share of the bytes is predicted to meet the cap."""
    overhead = _OVERHEAD + exif
    room = max(cap * _AIM - overhead, 1) / max(expected - overhead, 1)
    factor = min(0.95, max(0.1, math.sqrt(room)))
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))
