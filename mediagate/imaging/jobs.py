"""What the picture pool runs: whole pieces of work, as functions of values that can be sent to another process."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from mediagate.errors import WatermarkUnusable
from mediagate.imaging.frames import render_frames
from mediagate.imaging.hashing import hash_jpeg
from mediagate.imaging.refusal import Refused
from mediagate.imaging.rendering import ENGINE, Rendering, render_variants
from mediagate.imaging.watermark import Watermark, watermark_for
from mediagate.media.renditions import recipe
from mediagate.media.values import ImageFacts, VariantFile, VariantName, VariantSpec, WatermarkSpec


@dataclass(frozen=True, slots=True)
class Mark:
    """A library's mark as it is stored: the spec, the bytes behind `image_key`, and the font of this deployment."""

    spec: WatermarkSpec
    image: bytes | None = None
    font: Path | None = None

    def ready(self) -> Watermark | None:
        """Decoded and laid out; kept by the process for the next picture.

        Raises:
            WatermarkUnusable: its image or text cannot be drawn. That is not the uploader's fault: the upload waits.
        """
        if self.spec.empty:
            return None
        try:
            return watermark_for(self.spec, self.image, self.font)
        except Refused as error:
            raise WatermarkUnusable(f"The library's watermark cannot be used: {error}", retry_after=60) from error


@dataclass(frozen=True, slots=True)
class Rendered:
    """Everything made of one upload. `phash`: of the unmarked moderation copy, if one was made."""

    pictures: list[Rendering]
    phash: int | None = None


def render(source: Path, facts: ImageFacts, specs: tuple[VariantSpec, ...], mark: Mark) -> Rendered:
    """The variants, each with its recipe; of an animation also the sampled frames of the moderation copy.

    Raises:
        Refused: the picture cannot be decoded.
        WatermarkUnusable: the mark cannot be drawn.
    """
    pictures = render_variants(source, facts, specs, mark.ready())
    copy = next((i for i, spec in enumerate(specs) if spec.name is VariantName.MODERATION), None)
    frames = render_frames(source, facts, specs[copy]) if copy is not None and facts.frames > 1 else []
    made_by = recipes(specs, mark.spec)
    return Rendered(
        pictures=[_named(picture, made_by) for picture in [*pictures, *frames]],
        phash=None if copy is None else hash_jpeg(pictures[copy].data),
    )


def recipes(specs: Iterable[VariantSpec], mark: WatermarkSpec) -> dict[VariantFile, str]:
    """What each of these pictures would be made by now; another recipe in the manifest is a stale picture."""
    return {spec.file: recipe(ENGINE, spec, mark.of(spec.name)) for spec in specs}


def _named(picture: Rendering, made_by: dict[VariantFile, str]) -> Rendering:
    poster = picture.variant.file._replace(frame=0)
    return replace(picture, variant=picture.variant.model_copy(update={"recipe": made_by[poster]}))
