"""HEIC and AVIF files (ISO/IEC 23008-12, MIAF ISO/IEC 23000-22, AV1 Image File Format 1.1).

Only the primary picture and its transparency are decoded; thumbnails, depth and gain maps and other pictures are not
even looked at. The decoder gets a file that is made anew, so it meets nothing that was not understood here.
"""

from mediagate.imaging.cicp import named_profile
from mediagate.imaging.coded_size import av1_sizes, hevc_sizes
from mediagate.imaging.container import Container, corrupt
from mediagate.imaging.heif_items import Items, read_items
from mediagate.imaging.heif_picture import Codec, Picture, parts, properties, read_picture
from mediagate.imaging.heif_sequence import NO_SEQUENCE, read_sequence
from mediagate.imaging.heif_transformation import transformation
from mediagate.imaging.heif_writer import written
from mediagate.imaging.isobmff import brands, top_level
from mediagate.imaging.refusal import check_frames
from mediagate.media.values import Limits

_HEIC = Codec("HEIC", b"heic", b"hvc1", b"hvcC", hevc_sizes, 64)
_AVIF = Codec("AVIF", b"avif", b"av01", b"av1C", av1_sizes, 0)
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}

_ALPHA = (
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha",
    b"urn:mpeg:hevc:2015:auxid:1",
    b"urn:mpeg:avc:2015:auxid:1",
)
_XMP_TYPE = b"application/rdf+xml"
_LARGEST_METADATA = 4 * 1024 * 1024


def is_heic(data: bytes) -> bool:
    """True for the brands of HEVC pictures, unless those of AV1 are there too."""
    return bool(brands(data) & _HEIC_BRANDS) and not is_avif(data)


def is_avif(data: bytes) -> bool:
    """True for the brands of AV1 pictures and sequences."""
    return bool(brands(data) & _AVIF_BRANDS)


def walk_heic(data: bytes, limits: Limits) -> Container:
    """Read a HEIC file. Sequences are counted; only their primary picture can be decoded.

    Raises:
        Refused: the structure is broken, incomplete, over the limits, or something follows it.
    """
    return _walk(data, limits, _HEIC)


def walk_avif(data: bytes, limits: Limits) -> Container:
    """Read an AVIF file. Raises as `walk_heic`."""
    return _walk(data, limits, _AVIF)


def _walk(data: bytes, limits: Limits, codec: Codec) -> Container:
    found = top_level(codec.kind, data)
    if b"meta" not in found:
        raise corrupt(codec.kind, "it has no still picture")
    items = read_items(codec.kind, data, found[b"meta"][0])
    picture = read_picture(items, items.item(items.primary), codec, limits)
    alpha = _alpha(items, picture, codec, limits)
    moov = found.get(b"moov")
    sequence = read_sequence(codec, data, moov[0], found[b"meta"][0], limits) if moov else NO_SEQUENCE
    check_frames(picture.width, picture.height, len(sequence.durations), limits)
    crop, orientation = transformation(items, picture)
    return Container(
        width=picture.width,
        height=picture.height,
        stream=_stream(items, codec, picture, alpha),
        pixel_bytes=_pixel_bytes(codec, _is_deep(items, picture, codec), alpha is not None, bool(sequence.stream)),
        frames=max(1, len(sequence.durations)),
        has_alpha=alpha is not None,
        exif=_exif(items, picture),
        icc=_profile(items, picture),
        xmp=_xmp(items, picture),
        crop=crop,
        orientation=orientation,
        animation=sequence.stream,
        durations=sequence.durations,
    )


def _alpha(items: Items, picture: Picture, codec: Codec, limits: Limits) -> Picture | None:
    for number in items.pointing_at(b"auxl", picture.item.number):
        item = items.item(number)
        kinds = [payload[4:].partition(b"\0")[0] for payload in properties(items, item, b"auxC")]
        if not set(kinds) & set(_ALPHA):
            continue
        alpha = read_picture(items, item, codec, limits)
        if (alpha.width, alpha.height) != (picture.width, picture.height):
            raise corrupt(codec.kind, "the transparency has another size than the picture")
        return alpha
    return None


def _stream(items: Items, codec: Codec, picture: Picture, alpha: Picture | None) -> bytes:
    if alpha is None:
        return written(codec.brand, parts(items, picture, codec, 1, ()))
    number = 2 if not picture.grid else 2 + len(picture.tiles)
    premultiplied = alpha.item.number in items.pointed_at(b"prem", picture.item.number)
    colour = parts(items, picture, codec, 1, ((b"prem", number),) if premultiplied else ())
    return written(codec.brand, colour + parts(items, alpha, codec, number, ((b"auxl", 1),)))


def _described_by(items: Items, picture: Picture, kind: bytes, content_type: bytes = b"") -> bytes:
    """The bytes of the first item of that kind that describes the picture; none if it cannot be read."""
    for number in items.pointing_at(b"cdsc", picture.item.number):
        item = items.items.get(number)
        if item is not None and (item.kind, item.content_type) == (kind, content_type) and not item.elsewhere:
            payload = items.payload(item) if item.extents else b""
            return payload if len(payload) <= _LARGEST_METADATA else b""
    return b""


def _exif(items: Items, picture: Picture) -> bytes:
    """The block begins with the place of its TIFF header (ISO/IEC 23008-12 A.2.1)."""
    payload = _described_by(items, picture, b"Exif")
    return payload[4 + int.from_bytes(payload[:4], "big") :]


def _xmp(items: Items, picture: Picture) -> bytes:
    return _described_by(items, picture, b"mime", _XMP_TYPE)


def _profile(items: Items, picture: Picture) -> bytes:
    for item in (picture.item, picture.tiles[0]):
        for payload in properties(items, item, b"colr"):
            if payload[:4] in (b"prof", b"rICC"):
                return payload[4:]
    for payload in properties(items, picture.item, b"colr"):
        if payload[:4] == b"nclx" and len(payload) >= 8:
            return named_profile(int.from_bytes(payload[4:6], "big"), int.from_bytes(payload[6:8], "big"))
    return b""


def _is_deep(items: Items, picture: Picture, codec: Codec) -> bool:
    """True for samples of more than 8 bits, as the configuration of the decoder says."""
    config = properties(items, picture.tiles[0], codec.config)[0]
    return bool(config[17] & 7) if codec.config == b"hvcC" else bool(config[2] & 0x40)


def _pixel_bytes(codec: Codec, deep: bool, alpha: bool, animated: bool) -> int:
    """Measured: the planes, the decoder's interleaved pixels, their copy in Python, the picture; all four for alpha."""
    heic = codec.brand == _HEIC.brand
    return (10 if heic else 12) + 6 * alpha + 4 * deep + 6 * animated
