"""A picture under a byte cap, by an informed search: quality gives way first, then dimensions.

How large a picture becomes is first estimated from bands of it, at a few per cent of the cost of encoding all of it.
The first trial at full size then says by how much the estimate is wrong for this picture, and that mends nearly all of
the error, so that a second trial, where a better quality seems to fit, is nearly always the last.
"""

import math
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image

from mediagate.imaging.resizing import resized
from mediagate.media.values import ImageFormat, VariantSpec

_AIM = 0.985
"""share of the cap that a first estimate aims at; one that a trial has corrected aims at all of it"""
_ROOMY = 0.35
"""bytes a pixel, which a photograph of quality 90 rarely takes: the first trial is made without an estimate"""
_ROOM = {ImageFormat.JPEG: 0.94, ImageFormat.WEBP: 0.97, ImageFormat.AVIF: 0.94}
"""below this share of the cap the next step of quality is tried whatever the estimate says; WebP keeps to no curve"""
_STEPS_LEFT = 4
"""of quality above the lowest, at which a smaller picture is as large as it may be"""
_MOST_TRIALS = 4
"""after which what fits is good enough"""
_HOPELESS = {ImageFormat.JPEG: 1.1, ImageFormat.WEBP: 1.5, ImageFormat.AVIF: 1.1}
"""an estimate for the lowest quality that is over the cap by this much saves the trial: it is never so wrong"""

# Better Huffman tables cost a second pass: a third of the time at 12 megapixels, nothing at thumbnail size.
_OPTIMISED_PIXELS = 1_000_000

# Bands of whole coding blocks, evenly over the height: few enough to be cheap, many enough to be typical.
_BANDS = 12
_BAND_ROWS = {ImageFormat.JPEG: 16, ImageFormat.WEBP: 16, ImageFormat.AVIF: 64}

# Headers and tables, which do not shrink with the picture.
_OVERHEAD = {ImageFormat.JPEG: 630, ImageFormat.WEBP: 60, ImageFormat.AVIF: 400}

_AVIF_SPEED = 8
"""of 0 to 10; what 6 saves is 4 % of the bytes for twice the time"""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture in its format, with what it took; `trade` says what gave way, `trials` counts encodes at full size."""

    data: bytes
    width: int
    height: int
    quality: int
    trials: int
    trade: str


@dataclass(slots=True)
class _Encoder:
    spec: VariantSpec
    exif: bytes
    trials: int = 0

    @property
    def lowest(self) -> int:
        """The quality below which dimensions give way."""
        return min(self.spec.min_quality, self.spec.quality)

    def trial(self, picture: Image.Image, quality: int) -> bytes:
        self.trials += 1
        return self.encode(picture, quality, optimised=picture.width * picture.height <= _OPTIMISED_PIXELS)

    def encode(self, picture: Image.Image, quality: int, *, optimised: bool) -> bytes:
        """Without an ICC profile: what every browser takes for sRGB. Chroma at half the resolution, in every format.

        The empty comment and profile are said because Pillow would else take those that the source was read with.
        """
        out = BytesIO()
        match self.spec.format:
            case ImageFormat.JPEG:
                picture.save(
                    out,
                    "JPEG",
                    quality=quality,
                    subsampling="4:2:0",
                    optimize=optimised,
                    progressive=self.spec.progressive,
                    exif=self.exif,
                    comment=b"",
                )
            case ImageFormat.WEBP:
                picture.save(out, "WEBP", quality=quality, method=4, exif=self.exif)
            case ImageFormat.AVIF:
                picture.save(
                    out,
                    "AVIF",
                    quality=quality,
                    subsampling="4:2:0",
                    speed=_AVIF_SPEED,
                    max_threads=1,
                    exif=self.exif or None,
                    icc_profile=b"",
                )
        return out.getvalue()


@dataclass(slots=True)
class _Estimate:
    """Bytes of the whole picture by quality, from bands of it."""

    encoder: _Encoder
    sample: Image.Image
    share: float
    """of the picture's rows that are in the sample"""
    optimised: bool
    correction: float = 1.0
    _known: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, encoder: _Encoder, picture: Image.Image) -> "_Estimate":
        rows = _BAND_ROWS[encoder.spec.format]
        bands = picture.height // (2 * rows)
        optimised = picture.width * picture.height <= _OPTIMISED_PIXELS
        if bands < 2:
            return cls(encoder, picture, 1.0, optimised)
        bands = min(bands, _BANDS * 16 // rows)
        sample = Image.new(picture.mode, (picture.width, bands * rows), None)
        for band in range(bands):
            top = (picture.height - rows) * band // (bands - 1) // rows * rows
            sample.paste(picture.crop((0, top, picture.width, top + rows)), (0, band * rows))
        return cls(encoder, sample, sample.height / picture.height, optimised)

    def size(self, quality: int) -> float:
        if quality not in self._known:
            whole = self.share == 1
            data = (
                self.encoder.trial(self.sample, quality)
                if whole
                else self.encoder.encode(self.sample, quality, optimised=self.optimised)
            )
            self._known[quality] = max(1, len(data) - self._overhead) / self.share
        return self._known[quality] * self.correction + self._overhead

    def correct(self, quality: int, actual: int) -> None:
        """Learn from a trial."""
        self.correction *= max(1, actual - self._overhead) / max(1.0, self.size(quality) - self._overhead)

    def best(self, low: int, high: int, room: float) -> int | None:
        """The best quality of a range whose estimate fits into `room` bytes; None if not even the lowest one's does.

        Sizes grow about exponentially with quality, so each step looks where the line through the logarithms of the
        two nearest known ones meets the bound; never further than the middle, when that does not help.
        """
        if self.size(high) <= room:
            return high
        if self.size(low) > room:
            return None
        while high - low > 1:
            below, above = math.log(self.size(low)), math.log(self.size(high))
            share = (math.log(room) - below) / (above - below) if above > below else 0.5
            middle = min(max(low + round(share * (high - low)), low + 1), high - 1)
            if self.size(middle) <= room:
                low = middle
            else:
                high = middle
        return low

    @property
    def _overhead(self) -> int:
        return _OVERHEAD[self.encoder.spec.format] + len(self.encoder.exif)


def encode_within(picture: Image.Image, spec: VariantSpec, exif: bytes) -> Encoded:
    """A picture in mode RGB, or RGBA for WebP and AVIF, of at most `spec.max_bytes`, and at least one pixel.

    `exif`: an EXIF block that is put into the file, as JPEG has it.
    """
    encoder = _Encoder(spec, exif)
    asked = max(picture.size)
    if spec.max_bytes >= _ROOMY * _area(picture.size):
        data = encoder.trial(picture, spec.quality)
        if len(data) <= spec.max_bytes:
            return Encoded(data, *picture.size, spec.quality, encoder.trials, "")
    estimate = _Estimate.of(encoder, picture)
    found = _search(encoder, estimate, picture)
    if not found:
        picture, found = _smaller(encoder, estimate, picture)
    quality, data = found
    trades = []
    if quality != spec.quality:
        trades.append(f"quality {spec.quality}→{quality}")
    if max(picture.size) != asked:
        trades.append(f"{asked}→{max(picture.size)} px")
    return Encoded(data, *picture.size, quality, encoder.trials, ", ".join(trades))


def _search(encoder: _Encoder, estimate: _Estimate, picture: Image.Image) -> tuple[int, bytes] | None:
    """The best quality under the cap, and the bytes; None if the lowest one is over it: the picture must be smaller."""
    cap, low, high = encoder.spec.max_bytes, encoder.lowest, encoder.spec.quality
    quality = estimate.best(low, high, cap * _AIM)
    if picture.size == (1, 1):
        return low, encoder.trial(picture, low)
    if quality is None and estimate.size(low) > cap * _HOPELESS[encoder.spec.format]:
        return None
    quality = low if quality is None else quality
    fits: tuple[int, bytes] | None = None
    while True:
        data = encoder.trial(picture, quality)
        estimate.correct(quality, len(data))
        if len(data) <= cap:
            fits, low = (quality, data), quality + 1
        else:
            high = quality - 1
        if low > high or (fits and encoder.trials >= _MOST_TRIALS):
            return fits
        better = estimate.best(low, high, cap)
        if better is None and fits and len(fits[1]) < cap * _ROOM[encoder.spec.format]:
            better = low
        if better is None:
            return fits
        quality = better


def _smaller(encoder: _Encoder, estimate: _Estimate, whole: Image.Image) -> tuple[Image.Image, tuple[int, bytes]]:
    """As large as the lowest quality fits, found from how the bytes fell with the first step down; and its search."""
    cap, low = encoder.spec.max_bytes, encoder.lowest
    above, exponent = (whole.size, estimate.size(low)), 1.0
    best: tuple[Image.Image, tuple[int, bytes]] | None = None
    while True:
        size = _shrunk(*above, cap, exponent, _OVERHEAD[encoder.spec.format] + len(encoder.exif))
        picture = resized(whole, size)
        estimate = _Estimate.of(encoder, picture)
        found = _search(encoder, estimate, picture)
        if best:
            return (picture, found) if found else best
        expected = estimate.size(low)
        exponent = (
            math.log(above[1] / expected) / math.log(_area(above[0]) / _area(size)) if expected < above[1] else 1.0
        )
        if found and (found[0] - low <= _STEPS_LEFT or size == (1, 1)):
            return picture, found
        if found:
            best = (picture, found)
        else:
            above = (size, expected)


def _shrunk(size: tuple[int, int], expected: float, cap: int, exponent: float, overhead: int) -> tuple[int, int]:
    """The size at which the bytes, that fall with this power of the area, are predicted to meet the cap."""
    room = max(cap * _AIM - overhead, 1) / max(expected - overhead, 1)
    factor = min(0.98, max(0.1, room ** (0.5 / min(max(exponent, 0.3), 2.0))))
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]
