"""The search for the quality under a byte cap: what the gate does against a plain binary search."""

import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps

from bench.outputs import Grey, grey, similarity
from bench.peers.protocol import binary_search
from mediagate.imaging.encoding import encode_within
from mediagate.media.values import ImageFormat, VariantName, VariantSpec

_KB = 1024
CAPS = {
    4000: (2048 * _KB, 1280 * _KB, 768 * _KB),
    2048: (1024 * _KB, 384 * _KB, 192 * _KB),
    600: (100 * _KB, 48 * _KB, 24 * _KB),
}
"""Bytes by longest edge: those of the gate, and tighter ones."""
QUALITY = 90
_ONE_PASS = 1_000_000
"""pixels above which the gate's encoder, and so the other one here, does without optimised Huffman tables"""
_STEP = 0.9
"""of the edges, when the lowest quality is over the cap in the plain search"""


@dataclass(frozen=True)
class Case:
    """One picture under one cap, by the gate and by the plain search; SSIM against the picture before the encoding."""

    picture: str
    edge: int
    cap: int
    trials: int
    plain_trials: int
    size: int
    plain_size: int
    ssim: float
    plain_ssim: float
    cpu: float
    plain_cpu: float
    trade: str
    smaller: bool
    """quality alone was not enough for one of the two"""

    @property
    def binds(self) -> bool:
        """True if the quality asked for is over the cap."""
        return self.plain_trials > 1


def cases(files: Iterable[Path]) -> Iterator[Case]:
    """Every cap of `CAPS` for every picture that has the pixels for it."""
    for path in files:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB")
        for edge, caps in CAPS.items():
            if max(upright.size) < edge:
                continue
            picture = upright.copy()
            picture.thumbnail((edge, edge), Image.Resampling.LANCZOS)
            reference = grey(picture)
            for cap in caps:
                yield _case(path.stem, picture, reference, cap)


def summary(found: list[Case]) -> dict[str, float]:
    """Over the cases in which the cap binds; differences are the plain search's minus the gate's."""
    binding = [case for case in found if case.binds]
    lost = [case.plain_ssim - case.ssim for case in binding]
    by_quality = [case.plain_ssim - case.ssim for case in binding if not case.smaller]
    return {
        "cases": len(found),
        "binding": len(binding),
        "median_trials": statistics.median(case.trials for case in binding),
        "mean_trials": statistics.mean(case.trials for case in binding),
        "most_trials": max(case.trials for case in binding),
        "median_plain_trials": statistics.median(case.plain_trials for case in binding),
        "mean_plain_trials": statistics.mean(case.plain_trials for case in binding),
        "median_ssim_lost": statistics.median(lost),
        "most_ssim_lost": max(lost),
        "most_ssim_lost_by_quality": max(by_quality),
        "over_cap": sum(case.size > case.cap for case in found),
        "cpu_share": sum(case.cpu for case in binding) / sum(case.plain_cpu for case in binding),
    }


def _case(name: str, picture: Image.Image, reference: Grey, cap: int) -> Case:
    spec = VariantSpec(name=VariantName.ORIGINAL, max_edge=max(picture.size), quality=QUALITY, max_bytes=cap)
    start = time.process_time()
    ours = encode_within(picture, spec, b"")
    between = time.process_time()
    plain, plain_trials, plain_size = _plain(picture, cap)
    ended = time.process_time()
    return Case(
        picture=name,
        edge=max(picture.size),
        cap=cap,
        trials=ours.trials,
        plain_trials=plain_trials,
        size=len(ours.data),
        plain_size=len(plain),
        ssim=_alike(reference, ours.data),
        plain_ssim=_alike(reference, plain),
        cpu=between - start,
        plain_cpu=ended - between,
        trade=ours.trade,
        smaller=(ours.width, ours.height) != picture.size or plain_size != picture.size,
    )


def _plain(picture: Image.Image, cap: int) -> tuple[bytes, int, tuple[int, int]]:
    """A binary search; when the lowest quality is over the cap, another one in nine tenths of the size."""
    trials = 0
    while True:
        data, took = binary_search(partial(_encode, picture), QUALITY, cap)
        trials += took
        if len(data) <= cap:
            return data, trials, picture.size
        smaller = round(picture.width * _STEP), round(picture.height * _STEP)
        picture = picture.resize(smaller, Image.Resampling.LANCZOS)


def _encode(picture: Image.Image, quality: int) -> bytes:
    out = BytesIO()
    optimised = picture.width * picture.height <= _ONE_PASS
    picture.save(out, ImageFormat.JPEG, quality=quality, subsampling="4:2:0", optimize=optimised)
    return out.getvalue()


def _alike(reference: Grey, data: bytes) -> float:
    with Image.open(BytesIO(data)) as opened:
        shown = opened.convert("L")
    if shown.size != reference.shape[::-1]:
        shown = shown.resize(reference.shape[::-1], Image.Resampling.LANCZOS)
    return similarity(reference, grey(shown))
