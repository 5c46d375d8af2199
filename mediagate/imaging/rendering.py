"""The pictures made of one upload, and their manifest."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import PIL
import pillow_heif
from PIL import Image, features

from mediagate.imaging.colour import flattened
from mediagate.imaging.decoding import decode
from mediagate.imaging.encoding import encode_within
from mediagate.imaging.inspection import reopen
from mediagate.imaging.metadata import credit_exif
from mediagate.imaging.resizing import fitted, resized
from mediagate.imaging.watermark import Watermark
from mediagate.media.values import ImageFacts, ImageFormat, Variant, VariantName, VariantSpec

_PIPELINE = 3
"""raised whenever the same source would give other bytes"""

_LIBRARIES = {
    "libjpeg_turbo": "libjpeg-turbo",
    "webp": "libwebp",
    "avif": "libavif",
    "littlecms2": "Little CMS",
    "freetype2": "FreeType",
}

ENGINE = ", ".join(
    [f"imaging {_PIPELINE}", f"Pillow {PIL.__version__}", f"pillow-heif {pillow_heif.__version__}"]
    + [f"{name} {features.version(part)}" for part, name in _LIBRARIES.items()]
)
"""What made a variant: a re-run by the same engine gives identical bytes."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """One variant: its bytes and its line of the manifest (`key` is left empty)."""

    data: bytes
    variant: Variant


def render_variants(
    source: Path, facts: ImageFacts, specs: Sequence[VariantSpec], watermark: Watermark | None = None
) -> list[Rendering]:
    """Variants in any format, all from one decode, in the order of `specs`. The same call gives the same bytes.

    Each is reduced from the next larger size, unmarked; the watermark says which of them it marks.

    Raises:
        Refused: the pixels cannot be decoded, or the file is not the one that `facts` describe.
        OSError: the file cannot be read.
    """
    if not specs:
        return []
    form, container = reopen(source, facts)
    picture = decode(form, container, max(spec.max_edge for spec in specs), scaled=True, keep_alpha=True)
    del container
    sizes = [fitted((facts.width, facts.height), spec.max_edge) for spec in specs]
    unmarked = dict[tuple[int, int], Image.Image]()
    for size in sorted(set(sizes), reverse=True):
        shown_as = {spec.name for spec, its in zip(specs, sizes, strict=True) if its == size}
        picture = unmarked[size] = resized(picture, size, draft=shown_as == {VariantName.MODERATION})
    del picture
    done: dict[int, Rendering] = {}
    for size in sorted(unmarked):
        picture = unmarked.pop(size)
        # The marked ones last: then the mark can be laid on the picture itself, which nobody needs unmarked any more.
        group = sorted((i for i in range(len(specs)) if sizes[i] == size), key=lambda i: _marks(watermark, specs[i]))
        for i in group:
            shown = flattened(picture, specs[i].background) if specs[i].format is ImageFormat.JPEG else picture
            if watermark is not None and _marks(watermark, specs[i]):
                shown = shown.copy() if shown is picture and i != group[-1] else shown
                watermark.stamp(shown, specs[i].name)
            done[i] = rendering_of(shown, specs[i], facts)
    return [done[i] for i in range(len(specs))]


def rendering_of(picture: Image.Image, spec: VariantSpec, facts: ImageFacts) -> Rendering:
    """A finished picture, encoded within its spec."""
    encoded = encode_within(picture, spec, credit_exif(facts.photo))
    variant = Variant(
        name=spec.name,
        format=spec.format,
        width=encoded.width,
        height=encoded.height,
        bytes=len(encoded.data),
        quality=encoded.quality,
        sha256=hashlib.sha256(encoded.data).hexdigest(),
        engine=ENGINE,
        trade=encoded.trade,
        trials=encoded.trials,
    )
    return Rendering(encoded.data, variant)


def _marks(watermark: Watermark | None, spec: VariantSpec) -> bool:
    return watermark is not None and watermark.spec.of(spec.name) is not None
