"""The check of a file before anything is decoded."""

from pathlib import Path

from mediagate.imaging.container import Container
from mediagate.imaging.decoding import open_picture
from mediagate.imaging.formats import Format, recognise, refuse_polyglot
from mediagate.imaging.memory import predict_decode_bytes, return_freed
from mediagate.imaging.metadata import read_orientation, read_photo_facts
from mediagate.imaging.refusal import Refused
from mediagate.media.values import MIB, ImageFacts, Limits, Refusal

_TURNED = {5, 6, 7, 8}

# For a file that was inspected: what it has is compared with what was found then.
_ANY = Limits(max_bytes=1 << 40, max_pixels=1 << 40, max_edge=1 << 30)


def inspect(path: Path, *, declared_type: str, limits: Limits) -> ImageFacts:
    """The facts of a picture, from its header and structure.

    The declared content type, the magic bytes and Pillow's decoder must agree on the type; the structure is followed to
    its end.

    Raises:
        Refused: with the reason; the file is bad.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    if size > limits.max_bytes:
        raise Refused(Refusal.TOO_LARGE, f"The file has {size} bytes; {limits.max_bytes / MIB:g} MiB are allowed.")
    data = path.read_bytes()
    form, container = walk(data, declared_type, limits)
    with open_picture(form, container):
        pass  # opening reads the header: the decoder's vote on the type
    orientation = read_orientation(container)
    width, height = container.shown
    return ImageFacts(
        format=form.name,
        content_type=form.content_type,
        width=height if orientation in _TURNED else width,
        height=width if orientation in _TURNED else height,
        frames=container.frames,
        orientation=orientation,
        has_alpha=container.has_alpha,
        decode_bytes=predict_decode_bytes(container, len(data)),
        photo=read_photo_facts(container),
    )


def walk(data: bytes, declared_type: str | None, limits: Limits) -> tuple[Format, Container]:
    """Establish the type and follow the structure to its end.

    Raises:
        Refused: with the reason.
    """
    if not data:
        raise Refused(Refusal.EMPTY, "The file has no bytes.")
    form = recognise(data, declared_type)
    container = form.walk(data, limits)
    refuse_polyglot(data)
    return form, container


def reopen(source: Path, facts: ImageFacts) -> tuple[Format, Container]:
    """Walk a file again that was inspected.

    Raises:
        Refused: it is not the one that `facts` describe.
        OSError: the file cannot be read.
    """
    form, container = walk(source.read_bytes(), facts.content_type, _ANY)
    return_freed()  # the file as it was sent, of which the container has a copy
    if sorted(container.shown) != sorted((facts.width, facts.height)) or container.frames > facts.frames:
        raise Refused(Refusal.CORRUPT, "The file is not the one that was inspected.")
    return form, container
