"""Which pictures a library wants of every upload, and whether one that exists is still what it wants. Pure.

The upload itself makes `upload_specs`; everything else is a rendition, made after the approval or when first asked for.
"""

import hashlib
from enum import StrEnum
from itertools import pairwise

from pydantic import Field, field_validator

from mediagate.media.values import (
    MEDIUM,
    MIB,
    MODERATION,
    ORIGINAL,
    THUMB,
    ImageFormat,
    Value,
    VariantFile,
    VariantName,
    VariantSpec,
    WatermarkSpec,
)


class Build(StrEnum):
    """When renditions are made."""

    EAGER = "eager"
    """as soon as an item is approved"""
    LAZY = "lazy"
    """when one is first asked for"""


WIDTHS = {320: VariantName.W320, 640: VariantName.W640, 1280: VariantName.W1280, 2048: VariantName.W2048}
"""The responsive set: longest edge in pixels to the variant's name."""

_RESPONSIVE_QUALITY = 82
_BYTES_PER_PIXEL = 0.35
"""of a square picture of that edge; beyond this a photograph of quality 82 is noise"""

# JPEG's quality, and the one with the same SSIM in that format: medians over four phone photographs and a drawn one at
# 600, 1280 and 2048 px, which lie within ±7 from 80 up. WebP then has 0.76 of the bytes, AVIF 0.66.
_SAME_LIKENESS = {
    ImageFormat.WEBP: ((40, 37), (60, 60), (80, 79), (90, 88)),
    ImageFormat.AVIF: ((40, 45), (60, 53), (80, 67), (90, 79)),
}


class ImagePolicy(Value):
    """A library's wishes, `settings["images"]`; the defaults cost nothing beyond the upload's own variants."""

    background: str = Field("#ffffff", pattern="^#[0-9a-fA-F]{6}$", description="under transparency in JPEG")
    progressive: bool = Field(False, description="public JPEGs load coarse to fine")
    responsive: tuple[int, ...] = Field((), description="longest edges in pixels, out of 320, 640, 1280, 2048")
    siblings: tuple[ImageFormat, ...] = Field((), description="webp, avif: also in these formats")
    build: Build = Build.LAZY

    @field_validator("responsive")
    @classmethod
    def _known(cls, edges: tuple[int, ...]) -> tuple[int, ...]:
        unknown = sorted(set(edges) - WIDTHS.keys())
        if unknown:
            raise ValueError(f"{unknown[0]} is not one of {', '.join(map(str, WIDTHS))}")
        return tuple(sorted(set(edges)))

    @field_validator("siblings")
    @classmethod
    def _siblings(cls, formats: tuple[ImageFormat, ...]) -> tuple[ImageFormat, ...]:
        return tuple(fmt for fmt in ImageFormat if fmt in formats and fmt is not ImageFormat.JPEG)


def upload_specs(policy: ImagePolicy) -> tuple[VariantSpec, ...]:
    """What every upload gets before it is moderated, all JPEG: original, moderation copy, medium, thumb."""
    public = {"background": policy.background, "progressive": policy.progressive}
    return (
        ORIGINAL.model_copy(update=public),
        MODERATION.model_copy(update={"background": policy.background}),
        MEDIUM.model_copy(update=public),
        THUMB.model_copy(update=public),
    )


def public_specs(policy: ImagePolicy) -> dict[VariantFile, VariantSpec]:
    """Everything that an approved item may have: the upload's public variants, the responsive set, all siblings."""
    jpegs = [spec for spec in upload_specs(policy) if spec.name is not VariantName.MODERATION]
    jpegs += [_responsive(edge, policy) for edge in policy.responsive]
    siblings = [_sibling(spec, fmt) for spec in jpegs for fmt in policy.siblings]
    return {spec.file: spec for spec in [*jpegs, *siblings]}


def has_renditions(policy: ImagePolicy) -> bool:
    """True if more is wanted than every upload gets."""
    return bool(policy.responsive or policy.siblings)


def recipe(engine: str, spec: VariantSpec, mark: WatermarkSpec | None) -> str:
    """A digest (16 hex digits) of all that decides about the bytes, apart from the source."""
    parts = [engine, spec.model_dump_json(), mark.model_dump_json() if mark else ""]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _responsive(edge: int, policy: ImagePolicy) -> VariantSpec:
    return VariantSpec(
        name=WIDTHS[edge],
        max_edge=edge,
        quality=_RESPONSIVE_QUALITY,
        max_bytes=min(MIB, round(edge * edge * _BYTES_PER_PIXEL)),
        progressive=policy.progressive,
        background=policy.background,
    )


def _sibling(spec: VariantSpec, fmt: ImageFormat) -> VariantSpec:
    quality, floor = _same_likeness(spec.quality, fmt), _same_likeness(spec.min_quality, fmt)
    return spec.model_copy(update={"format": fmt, "progressive": False, "quality": quality, "min_quality": floor})


def _same_likeness(quality: int, fmt: ImageFormat) -> int:
    """The quality in that format that looks like this one of JPEG, 1..100; straight lines between what was measured."""
    known = _SAME_LIKENESS[fmt]
    lines = list(pairwise(known))
    (left, low), (right, high) = next((line for line in lines if quality <= line[1][0]), lines[-1])
    return min(100, max(1, round(low + (quality - left) * (high - low) / (right - left))))
