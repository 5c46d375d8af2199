"""TIFF files as pictures (TIFF 6.0, its technical note 2 on JPEG, Adobe Photoshop TIFF notes).

The first page is the picture. Pages behind it are counted, to a bound, and never shown. The decoder gets a file that is
made anew of the first page's strips or tiles and of the fields that describe pixels.
"""

from dataclasses import dataclass

from mediagate.imaging.container import Container, corrupt, truncated
from mediagate.imaging.iptc import iptc_records
from mediagate.imaging.refusal import Refused, check_dimensions
from mediagate.imaging.tiff import Directory, byte_order, directory_offset, next_directory, read_directory
from mediagate.imaging.tiff_writer import written
from mediagate.media.values import Limits, Refusal

_KIND, _DNG = 254, 50706
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANES, _PREDICTOR, _COLOURS = 273, 277, 278, 279, 284, 317, 320
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _EXTRA, _FORMAT = 322, 323, 324, 325, 338, 339
_FAX3, _FAX4, _JPEG_TABLES, _SUBSAMPLING, _XMP, _IPTC, _PHOTOSHOP, _ICC = 292, 293, 347, 530, 700, 33723, 34377, 34675

# Fields that say how pixels are stored; the places of strips and tiles are written anew.
_PIXEL_FIELDS = (
    *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES, _ROWS, _PLANES, _PREDICTOR, _COLOURS),
    *(_TILE_WIDTH, _TILE_HEIGHT, _EXTRA, _FORMAT, _FAX3, _FAX4, _JPEG_TABLES, _SUBSAMPLING),
)

_PLAIN, _HUFFMAN, _GROUP3, _GROUP4, _LZW, _JPEG, _DEFLATE, _OLD_DEFLATE, _PACKBITS = 1, 2, 3, 4, 5, 7, 8, 32946, 32773
_FAX = {_HUFFMAN, _GROUP3, _GROUP4}

# At most so many bytes come out of one, by the format: LZW has codes of 9 bits or more for at most 4096 bytes.
_EXPANSION = {_PLAIN: 1, _PACKBITS: 64, _LZW: 3641, _DEFLATE: 1032, _OLD_DEFLATE: 1032}

_WHITE_IS_ZERO, _GREY, _RGB, _PALETTE, _INKS, _YCC = 0, 1, 2, 3, 5, 6

# Photometric interpretation to the layouts taken: bits per sample, and how many samples carry colour.
_LAYOUTS = {
    _WHITE_IS_ZERO: ({1, 2, 4, 8}, 1),
    _GREY: ({1, 2, 4, 8, 16}, 1),
    _RGB: ({8, 16}, 3),
    _PALETTE: ({1, 2, 4, 8}, 1),
    _INKS: ({8, 16}, 4),
    _YCC: ({8}, 3),
}

_MOST_PAGES = 1000
_MOST_PARTS = 65_536
_LARGEST_METADATA = 4 * 1024 * 1024

# A tile may reach beyond the picture, but its buffer is part of what decoding takes.
_LARGEST_SPARE_TILE = 1024


@dataclass(frozen=True, slots=True)
class _Page:
    """The numbers of one page that everything else follows from."""

    width: int
    height: int
    bits: int
    samples: int
    compression: int
    photometric: int
    planar: bool
    alpha: bool

    @property
    def row_bits(self) -> int:
        return self.bits * (1 if self.planar else self.samples)


def walk(data: bytes, limits: Limits) -> Container:
    """Read a TIFF file. Bytes that no page names are no reason to refuse: editors leave gaps where they like.

    Raises:
        Refused: the structure is broken, incomplete, over the limits, or of a kind not taken (BigTIFF, float, Lab).
    """
    if data[2:4] in (b"\0+", b"+\0"):
        raise Refused(Refusal.UNKNOWN_TYPE, "The file is a BigTIFF, which is not taken here.")
    if byte_order(data) is None:
        raise truncated("TIFF", "the header")
    first = read_directory(data)
    if _DNG in first.fields or (first.number(_KIND) or 0) & 1:
        raise Refused(Refusal.UNKNOWN_TYPE, "The file is a camera's raw data, of which its first page is a preview.")
    _check_pages(data)
    page = _read_page(first, limits)
    parts = _parts(first, page, data)
    tiled = _TILES in first.fields
    kept = {tag: first.fields[tag] for tag in _PIXEL_FIELDS if tag in first.fields}
    return Container(
        width=page.width,
        height=page.height,
        stream=written(first.order, kept, parts, _TILES if tiled else _STRIPS, _TILE_BYTES if tiled else _STRIP_BYTES),
        pixel_bytes=_pixel_bytes(page),
        has_alpha=page.alpha,
        exif=data,
        icc=_bytes(first, _ICC),
        xmp=_bytes(first, _XMP),
        iptc=_bytes(first, _IPTC) or iptc_records(_bytes(first, _PHOTOSHOP)),
    )


def _check_pages(data: bytes) -> None:
    """Refuse a chain of pages that leaves the file, comes back, or is endless."""
    seen: set[int] = set()
    offset = directory_offset(data)
    while offset:
        if offset in seen or len(seen) >= _MOST_PAGES:
            raise corrupt("TIFF", "its pages are in a loop" if offset in seen else f"more than {_MOST_PAGES} pages")
        seen.add(offset)
        following = next_directory(data, offset)
        if following is None:
            raise truncated("TIFF", "the description of a page")
        offset = following
    if not seen:
        raise corrupt("TIFF", "it has no page")


def _read_page(first: Directory, limits: Limits) -> _Page:
    width, height = first.number(_WIDTH) or 0, first.number(_HEIGHT) or 0
    check_dimensions(width, height, limits)
    bits, formats = first.numbers(_BITS) or [1], first.numbers(_FORMAT) or [1]
    samples, extra = first.number(_SAMPLES) or 1, first.numbers(_EXTRA)
    photometric, compression = first.number(_PHOTOMETRIC), first.number(_COMPRESSION) or _PLAIN
    depths, colours = _LAYOUTS.get(-1 if photometric is None else photometric, (set[int](), 0))
    if samples == 1 and photometric == _YCC:
        colours = 1
    spare = samples - colours
    taken = (
        set(formats) == {1}
        and len(set(bits)) == 1
        and len(bits) in (1, samples)
        and bits[0] in depths
        and spare in ((0, 1) if photometric in (_GREY, _RGB) else (0,))
        and len(extra) <= spare
        and not (spare and photometric == _GREY and (bits[0] != 8 or not extra))
    )
    if photometric is None or not taken or not _fits(compression, bits[0], photometric):
        raise Refused(
            Refusal.UNKNOWN_TYPE,
            f"The TIFF picture is of a kind not taken here: compression {compression}, colours {photometric}, "
            f"{samples} samples of {bits[0]} bits.",
        )
    planar = first.number(_PLANES) == 2 and samples > 1
    if planar and (bits[0] != 8 or compression == _JPEG):
        raise Refused(Refusal.UNKNOWN_TYPE, "The TIFF picture stores its colours apart in a way not taken here.")
    alpha = bool(spare) and (not extra or extra[0] in (1, 2))
    return _Page(width, height, bits[0], samples, compression, photometric, planar, alpha)


def _fits(compression: int, bits: int, photometric: int) -> bool:
    """True if that compression is taken for these samples."""
    if compression in _FAX:
        return bits == 1 and photometric in (_WHITE_IS_ZERO, _GREY)
    if compression == _JPEG:
        return bits == 8 and photometric in (_GREY, _RGB, _YCC, _INKS)
    return compression in _EXPANSION and photometric != _YCC


def _parts(first: Directory, page: _Page, data: bytes) -> list[bytes]:
    """The strips or tiles, as many as the picture has, each within the file."""
    if _TILES in first.fields:
        edges = first.number(_TILE_WIDTH) or 0, first.number(_TILE_HEIGHT) or 0
        for edge, whole in zip(edges, (page.width, page.height), strict=True):
            if not edge or edge % 16 or edge > max(_LARGEST_SPARE_TILE, -(-whole // 16) * 16):
                raise corrupt("TIFF", "its tiles have an absurd size")
        places, sizes = first.numbers(_TILES), first.numbers(_TILE_BYTES)
    else:
        edges = page.width, min(first.number(_ROWS) or page.height, page.height)
        places, sizes = first.numbers(_STRIPS), first.numbers(_STRIP_BYTES)
    count = -(-page.width // edges[0]) * -(-page.height // edges[1]) * (page.samples if page.planar else 1)
    if count > _MOST_PARTS or len(places) != count or len(sizes) != count:
        raise corrupt("TIFF", f"it does not have the {count} parts that its size needs")
    for start, size in zip(places, sizes, strict=True):
        if start + size > len(data):
            raise truncated("TIFF", "the picture data")
    if sum(sizes) > len(data):
        raise corrupt("TIFF", "its parts have more bytes than the file")
    needed = page.height * -(-page.width * page.row_bits // 8) * (page.samples if page.planar else 1)
    if sum(sizes) * _EXPANSION.get(page.compression, needed) < needed:
        raise truncated("TIFF", "the picture data: there is too little of it for the size of the picture")
    return [data[start : start + size] for start, size in zip(places, sizes, strict=True)]


def _pixel_bytes(page: _Page) -> int:
    """A strip as large as the picture, the picture, and what it is widened to."""
    return -(-page.bits * page.samples // 8) + 4 + (8 if page.alpha else 4)


def _bytes(first: Directory, tag: int) -> bytes:
    raw = first.fields.get(tag, (0, b""))[1]
    return raw if len(raw) <= _LARGEST_METADATA else b""
