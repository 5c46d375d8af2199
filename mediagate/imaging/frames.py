"""The frames of an animation that moderation sees besides the poster."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import Disposal

from mediagate.imaging.colour import flattened
from mediagate.imaging.container import Container
from mediagate.imaging.decoding import developed, open_picture
from mediagate.imaging.formats import Format
from mediagate.imaging.inspection import reopen
from mediagate.imaging.refusal import Refused
from mediagate.imaging.rendering import Rendering, rendering_of
from mediagate.imaging.resizing import fitted
from mediagate.media.values import MOST_FRAMES, ImageFacts, Refusal, VariantSpec


def sample_indices(durations: Sequence[int], at_most: int = MOST_FRAMES) -> list[int]:
    """Which frames stand for an animation of these durations: at most that many, rising, without repetition.

    Evenly spaced from the first to the last; the one after the first that is shown for the shortest time takes the
    place of its nearest neighbour, because that is where a picture is hidden. All if there are no more than `at_most`.

    >>> sample_indices([100, 100, 10, 100, 100, 100, 100, 100, 100], at_most=5)
    [0, 2, 4, 6, 8]
    """
    count = len(durations)
    if count <= at_most:
        return list(range(count))
    spaces = max(1, at_most - 1)
    chosen = {round(i * (count - 1) / spaces) for i in range(at_most)}
    shortest = min(range(1, count), key=lambda i: durations[i])
    between = chosen - {0, count - 1}
    if durations[shortest] < max(durations[1:]) and shortest not in chosen and between:
        chosen.remove(min(between, key=lambda i: abs(i - shortest)))
        chosen.add(shortest)
    return sorted(chosen)


def render_frames(source: Path, facts: ImageFacts, spec: VariantSpec) -> list[Rendering]:
    """The sampled frames behind the poster as unmarked JPEG, `Variant.frame` counting from 1; none of a still picture.

    Frames build on each other, so all up to the last are decoded. The limit on an animation's pixels (frames times
    size) bounds that to what one picture of the largest size taken costs. Nothing is decoded of HEIC sequences: what
    their decoder offers is the still picture.

    Raises:
        Refused: a frame cannot be decoded, or the file is not the one that `facts` describe.
        OSError: the file cannot be read.
    """
    form, container = reopen(source, facts)
    made = []
    for number, picture in enumerate(_sampled(form, container, spec), 1):
        shown = rendering_of(picture, spec, facts)
        made.append(replace(shown, variant=shown.variant.model_copy(update={"frame": number})))
    return made


def _sampled(form: Format, container: Container, spec: VariantSpec) -> Iterator[Image.Image]:
    """The sampled frames without the first: composed of what came before, upright, sRGB, within the spec."""
    if not container.animation:
        return
    indices = sample_indices(container.durations)[1:]
    while indices:
        with open_picture(form, container, animated=True) as picture:
            while indices:
                picture.seek(indices.pop(0))
                picture.load()
                if picture.size != (container.width, container.height):
                    raise Refused(Refusal.CORRUPT, "The frames of the animation have different sizes.")
                pixels = developed(picture, container, fitted(container.shown, spec.max_edge))
                yield flattened(pixels, spec.background)
                # Pillow draws the frames behind one that disposes of itself wrongly, once its pixels were looked at.
                if picture.info.get("disposal") == Disposal.OP_PREVIOUS:
                    break
