"""Frozen values that travel between the parts and inside Temporal payloads. Fields are only ever added, with defaults.

Lengths are pixels of the upright picture, sizes are bytes, digests are lower-case hex SHA-256.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

MIB = 1024 * 1024

MOST = 2**53 - 1
"""The largest number that every reader of JSON keeps exactly."""


class Value(BaseModel):
    """A frozen value that ignores fields it does not know, so that old code reads new payloads."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Status(StrEnum):
    """Where a media item stands; the legal transitions are in `mediagate.media.lifecycle`."""

    AWAITING_UPLOAD = "awaiting_upload"
    ACCEPTED = "accepted"
    PROCESSING = "processing"
    AWAITING_MODERATION = "awaiting_moderation"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    EXPIRED = "expired"
    TRASHED = "trashed"
    ERASED = "erased"


class Verdict(StrEnum):
    """The outcome of a decision. `review` is no end: a person decides next."""

    APPROVE = "approve"
    REJECT = "reject"
    QUARANTINE = "quarantine"
    REVIEW = "review"


class Refusal(StrEnum):
    """Why a file is refused before moderation. The value is the public `reason`."""

    EMPTY = "empty_file"
    TOO_LARGE = "file_too_large"
    OBJECT_MISSING = "object_missing"
    HASH_MISMATCH = "hash_mismatch"
    UNKNOWN_TYPE = "unknown_type"
    TYPE_MISMATCH = "type_mismatch"
    TRUNCATED = "truncated_file"
    CORRUPT = "corrupt_file"
    TRAILING_DATA = "trailing_data"
    TOO_MANY_PIXELS = "too_many_pixels"
    ABSURD_DIMENSIONS = "absurd_dimensions"
    TOO_MANY_FRAMES = "too_many_frames"
    MALWARE = "malware"
    UNSCANNABLE = "unscannable"
    """The malware scanner answers, but never with a verdict on this file."""

    @property
    def verdict(self) -> Verdict:
        """What such a file ends with: what may be malware is set apart, not merely rejected."""
        return Verdict.QUARANTINE if self in {Refusal.MALWARE, Refusal.UNSCANNABLE} else Verdict.REJECT


class Limits(Value):
    """Bounds that are checked on the header, before anything is decoded."""

    max_bytes: int = 64 * MIB
    max_pixels: int = 64_000_000
    max_edge: int = 30_000
    types: tuple[str, ...] = Field((), description="content types that are taken; none named: all that can be read")
    daily_files: int | None = Field(None, description="uploads per day (UTC)")
    daily_bytes: int | None = Field(None, description="bytes announced per day (UTC)")
    open_uploads: int | None = Field(None, description="uploads that may be under way at the same time")
    total_bytes: int | None = Field(
        None, description="bytes of uploads that may be kept, the trash and announced ones included"
    )


class LimitOverrides(BaseModel):
    """What a library, or a plan, has of its own; what is None is as below it: library, plan, deployment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: str | None = Field(None, max_length=63, description="of a library: the name of its plan")
    max_bytes: int | None = Field(None, ge=1, le=MOST)
    max_pixels: int | None = Field(None, ge=1, le=MOST)
    max_edge: int | None = Field(None, ge=1, le=MOST)
    types: tuple[str, ...] | None = Field(None, max_length=20)
    daily_files: int | None = Field(None, ge=0, le=MOST)
    daily_bytes: int | None = Field(None, ge=0, le=MOST)
    open_uploads: int | None = Field(None, ge=1, le=MOST)
    total_bytes: int | None = Field(None, ge=0, le=MOST)


class VariantName(StrEnum):
    """The pictures made of one upload."""

    ORIGINAL = "original"
    MEDIUM = "medium"
    THUMB = "thumb"
    MODERATION = "moderation"
    """Unmarked; what vendors and moderators see; never public."""
    W320 = "w320"
    W640 = "w640"
    W1280 = "w1280"
    W2048 = "w2048"
    """The responsive set, by longest edge."""


class ImageFormat(StrEnum):
    """What variants are encoded as. The first one exists of every picture; the others are its siblings."""

    JPEG = "jpeg"
    WEBP = "webp"
    AVIF = "avif"

    @property
    def extension(self) -> str:
        """Of file names, without the dot."""
        return "jpg" if self is ImageFormat.JPEG else self.value

    @property
    def content_type(self) -> str:
        """For HTTP."""
        return f"image/{self.value}"


class VariantFile(NamedTuple):
    """Which picture of an item, as URLs spell it: `medium`, `medium.webp`, `moderation-3`."""

    name: VariantName
    format: ImageFormat = ImageFormat.JPEG
    frame: int = 0
    """Of an animation: 0 is the poster, the first frame; others exist of the moderation copy only."""

    def __str__(self) -> str:
        sibling = "" if self.format is ImageFormat.JPEG else f".{self.format.extension}"
        return self._stem + sibling

    @property
    def file_name(self) -> str:
        """As object keys spell it, always with an extension."""
        return f"{self._stem}.{self.format.extension}"

    @property
    def _stem(self) -> str:
        return f"{self.name.value}-{self.frame}" if self.frame else self.name.value

    @classmethod
    def parse(cls, text: str) -> "VariantFile":
        """The inverse of `str`.

        Raises:
            ValueError: it is no such name.
        """
        found = _VARIANT_FILE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not a valid VariantName.")
        name, frame, sibling = found.groups()
        return cls(VariantName(name), ImageFormat(sibling or ImageFormat.JPEG), int(frame or 0))


_VARIANT_FILE = re.compile(
    rf"({'|'.join(VariantName)})(?:-([1-9][0-9]?))?(?:\.({ImageFormat.WEBP}|{ImageFormat.AVIF}))?"
)


class VariantSpec(Value):
    """What a variant may be at most. Never upscaled; dimensions step down when the quality floor is reached."""

    name: VariantName
    max_edge: int
    quality: int = Field(description="quality asked for, on the scale of the format's encoder; JPEG: 1..95")
    max_bytes: int
    min_quality: int = Field(40, description="the floor below which dimensions give way instead")
    format: ImageFormat = ImageFormat.JPEG
    progressive: bool = Field(False, description="JPEG only: coarse to fine while it loads")
    background: str = Field("#ffffff", description="JPEG only: the colour under transparency, #rrggbb")

    @property
    def file(self) -> VariantFile:
        """The picture that it specifies, the poster of an animation."""
        return VariantFile(self.name, self.format)


# Rows I1 of the requirements; the moderation copy is ours.
ORIGINAL = VariantSpec(name=VariantName.ORIGINAL, max_edge=4000, quality=90, max_bytes=2 * MIB)
MEDIUM = VariantSpec(name=VariantName.MEDIUM, max_edge=600, quality=85, max_bytes=100 * 1024)
THUMB = VariantSpec(name=VariantName.THUMB, max_edge=150, quality=80, max_bytes=30 * 1024)
MODERATION = VariantSpec(name=VariantName.MODERATION, max_edge=2048, quality=85, max_bytes=1 * MIB)

MOST_FRAMES = 12
"""Frames of an animation that moderation sees at most."""


_COLOUR = "^#[0-9a-fA-F]{6}$"


class Position(StrEnum):
    """Where a watermark stands; `tile` repeats it over the whole picture."""

    TOP_LEFT = "top-left"
    TOP = "top"
    TOP_RIGHT = "top-right"
    LEFT = "left"
    CENTER = "center"
    RIGHT = "right"
    BOTTOM_LEFT = "bottom-left"
    BOTTOM = "bottom"
    BOTTOM_RIGHT = "bottom-right"
    TILE = "tile"


class WatermarkOverride(Value):
    """What is different about the mark on one variant; what is None is as on the others."""

    text: str | None = Field(None, description="also takes the place of an image")
    colour: str | None = Field(None, pattern=_COLOUR)
    position: Position | None = None
    opacity: float | None = Field(None, ge=0, le=1)
    scale: float | None = Field(None, gt=0, le=1)
    margin: float | None = Field(None, ge=0, le=0.5)


class WatermarkSpec(Value):
    """A library's mark: a text, or an image object in the store; the image wins if both are set."""

    text: str = ""
    image_key: str | None = None
    position: Position = Position.BOTTOM_RIGHT
    opacity: float = Field(0.5, ge=0, le=1)
    scale: float = Field(0.2, gt=0, le=1, description="width of the mark as a share of the picture's width")
    margin: float = Field(0.02, ge=0, le=0.5, description="distance from the edges as a share of the shorter edge")
    variants: tuple[VariantName, ...] = Field(
        (VariantName.ORIGINAL,), description="which are marked, in all their formats; the moderation copy never is"
    )
    colour: str = Field("#ffffff", pattern=_COLOUR, description="of a text; its outline is dark or light against it")
    rotation: float = Field(0, ge=-90, le=90, description="degrees anticlockwise; of tiles only")
    overrides: dict[VariantName, WatermarkOverride] = Field({}, description="what is different on some variants")

    @property
    def empty(self) -> bool:
        """True if no variant is marked."""
        return all(self.of(name) is None for name in self.variants)

    def of(self, name: VariantName) -> "WatermarkSpec | None":
        """The mark of that variant, without overrides; None if it has none. The moderation copy never has one."""
        if name is VariantName.MODERATION or name not in self.variants:
            return None
        look = self.look(name)
        return None if look.opacity == 0 or not (look.text or look.image_key) else look

    def look(self, name: VariantName) -> "WatermarkSpec":
        """The mark as it would be on that variant, whether it is one of `variants` or not."""
        own = self.overrides.get(name, WatermarkOverride()).model_dump(exclude_none=True)
        if "text" in own:
            own["image_key"] = None
        return self.model_copy(update={**own, "variants": (name,), "overrides": {}})


class PhotoFacts(Value):
    """Metadata facts; stored apart and never shipped in variants, except credit, copyright and licence."""

    camera: str = ""
    taken_at: datetime | None = None
    has_gps: bool = False
    credit: str = ""
    copyright: str = ""
    licence: str = Field("", description="address of its text, or of who grants it")


class ImageFacts(Value):
    """What the header says of a picture that was not refused."""

    format: str = Field(description="jpeg, png, webp, gif, avif, heic or tiff")
    content_type: str
    width: int
    height: int
    frames: int = 1
    orientation: int = Field(1, description="EXIF orientation 1..8 as stored; width and height are already upright")
    has_alpha: bool = False
    decode_bytes: int = Field(0, description="predicted peak memory of a full decode, in bytes")
    photo: PhotoFacts = PhotoFacts()


class Variant(Value):
    """One line of the variant manifest."""

    name: VariantName
    format: ImageFormat = ImageFormat.JPEG
    frame: int = 0
    width: int
    height: int
    bytes: int
    quality: int
    sha256: str
    engine: str = Field("", description="name and version of the pipeline that made it; stale ones are found by it")
    trade: str = Field("", description="what gave way to meet the byte cap; empty if nothing did")
    trials: int = Field(1, description="encodes at full size that the byte cap took")
    recipe: str = Field("", description="digest of engine, spec and mark; another one means that it is stale")
    key: str = Field("", description="object key where the bytes stand now")

    @property
    def file(self) -> VariantFile:
        """Which picture this is."""
        return VariantFile(self.name, self.format, self.frame)
