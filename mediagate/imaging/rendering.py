"""The pictures made of one upload, and their manifest."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import PIL
from PIL import Image, features

from mediagate.imaging.container import Container
from mediagate.imaging.decoding import decode, fitted, resized
from mediagate.imaging.encoding import encode_within
from mediagate.imaging.formats import Format
from mediagate.imaging.inspection import walk
from mediagate.imaging.metadata import credit_exif
from mediagate.imaging.watermark import Watermark
from mediagate.media.values import ImageFacts, Limits, Variant, VariantName, VariantSpec

_PIPELINE = 1
"""raised whenever the same source would give other bytes"""

ENGINE = f"imaging {_PIPELINE}, Pillow {PIL.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}"
"""What made a variant: a re-run by the same engine gives identical bytes."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """One variant: its bytes and its line of the manifest (`key` is left empty)."""

    data: bytes
    variant: Variant


def _silent() -> None:
    return None


def render_marked(
    source: Path,
    facts: ImageFacts,
    spec: VariantSpec,
    watermark: Watermark | None,
    *,
    progress: Callable[[], None] = _silent,
) -> Rendering:
    """One variant from a full decode, marked if a watermark is given. The same call gives the same bytes.

    `progress` is called after every stage; what it raises ends the work.

    Raises:
        Refused: the pixels cannot be decoded, or the file is not the one that `facts` describe.
        OSError: the file cannot be read.
    """
    form, container = _reopen(source, facts)
    progress()
    picture = decode(form, container, spec.max_edge)
    progress()
    if watermark is not None and spec.name is not VariantName.MODERATION:
        watermark.stamp(picture)
    return _encode(picture, spec, facts, progress)


def render_variants(
    source: Path,
    facts: ImageFacts,
    specs: Sequence[VariantSpec],
    watermark: Watermark | None = None,
    marked: Collection[VariantName] | None = None,
    *,
    progress: Callable[[], None] = _silent,
) -> list[Rendering]:
    """Several variants from one decode, scaled if the format can; each is reduced from the next larger, unmarked one.

    In the order of `specs`. `marked` names those that get the watermark, by default those of its spec; the moderation
    copy never does. `progress` and errors as in `render_marked`.
    """
    if not specs:
        return []
    form, container = _reopen(source, facts)
    progress()
    wanted = watermark.spec.variants if watermark is not None and marked is None else marked or ()
    names = set(wanted) - {VariantName.MODERATION}
    order = sorted(range(len(specs)), key=lambda i: specs[i].max_edge, reverse=True)
    picture = decode(form, container, specs[order[0]].max_edge, scaled=True)
    progress()
    done: dict[int, Rendering] = {}
    for i in order:
        picture = resized(picture, fitted((facts.width, facts.height), specs[i].max_edge))
        shown = picture
        if watermark is not None and specs[i].name in names:
            shown = picture.copy()
            watermark.stamp(shown)
        done[i] = _encode(shown, specs[i], facts, progress)
    return [done[i] for i in range(len(specs))]


def _reopen(source: Path, facts: ImageFacts) -> tuple[Format, Container]:
    """Walk the file again, within what is known of it: a file that grew since is refused."""
    pixels = facts.width * facts.height * facts.frames
    limits = Limits(max_pixels=pixels, max_edge=max(facts.width, facts.height))
    return walk(source.read_bytes(), facts.content_type, limits)


def _encode(picture: Image.Image, spec: VariantSpec, facts: ImageFacts, progress: Callable[[], None]) -> Rendering:
    encoded = encode_within(picture, spec, credit_exif(facts.photo), progress)
    variant = Variant(
        name=spec.name,
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
