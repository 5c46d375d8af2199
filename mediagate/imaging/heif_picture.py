"""One picture of a HEIF file: coded as a whole, or as a grid of tiles (ISO/IEC 23008-12 6.6.2.3)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mediagate.imaging.container import corrupt
from mediagate.imaging.heif_items import Item, Items
from mediagate.imaging.heif_writer import Part
from mediagate.imaging.isobmff import Box, Reader
from mediagate.imaging.refusal import Refused, check_dimensions
from mediagate.media.values import Limits, Refusal


@dataclass(frozen=True, slots=True)
class Codec:
    """How the pictures of a format are coded. `margin`: how far a coded picture may be larger than the shown one."""

    kind: str
    brand: bytes
    item: bytes
    config: bytes
    sizes: Callable[[bytes, bytes], Iterator[tuple[int, int]]]
    margin: int


# Applied to the whole picture, so never those of a tile.
TRANSFORMS = {b"clap", b"irot", b"imir"}
_KNOWN = {b"ispe", b"pixi", b"colr", b"pasp", b"auxC", b"hvcC", b"av1C", b"clli", b"mdcv", b"a1lx", *TRANSFORMS}

# Decoders stop at a thousand items (libheif's security limit).
_MOST_TILES = 960


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of this size, and the items that it is made of: itself, or its tiles."""

    item: Item
    width: int
    height: int
    grid: bytes
    tiles: tuple[Item, ...]


def properties(items: Items, item: Item, name: bytes) -> list[bytes]:
    """Payloads of the item's properties of that name."""
    return [items.data[box.start : box.end] for box, _ in item.properties if box.name == name]


def read_picture(items: Items, item: Item, codec: Codec, limits: Limits) -> Picture:
    """The picture, its structure checked down to the sizes that its coded parts announce.

    Raises:
        Refused: it is of another kind, contradicts itself or is over the limits.
    """
    _refuse_unknown(items, item)
    width, height = _size(items, item)
    check_dimensions(width, height, limits)
    if item.kind == codec.item:
        _check_coded(items, item, codec, (width, height))
        return Picture(item, width, height, b"", (item,))
    if item.kind != b"grid":
        kind = item.kind.decode("latin-1")
        raise Refused(Refusal.UNKNOWN_TYPE, f"The {codec.kind} picture is of a kind ({kind!r}) not taken here.")
    grid = items.payload(item)
    rows, columns, shown = _grid(codec.kind, grid)
    numbers = items.pointed_at(b"dimg", item.number)
    distinct = len(set(numbers))
    if shown != (width, height) or not len(numbers) == distinct == rows * columns or distinct > _MOST_TILES:
        raise corrupt(codec.kind, "the grid of tiles contradicts itself")
    tiles = tuple(items.item(number) for number in numbers)
    size = _size(items, tiles[0])
    if not _covers(size[0], columns, width) or not _covers(size[1], rows, height):
        raise corrupt(codec.kind, "the tiles do not have the size of the picture")
    for tile in tiles:
        _refuse_unknown(items, tile)
        if tile.kind != codec.item or _size(items, tile) != size or {p.name for p, _ in tile.properties} & TRANSFORMS:
            raise corrupt(codec.kind, "the tiles are of different kinds")
        _check_coded(items, tile, codec, size)
    return Picture(item, width, height, grid, tiles)


def parts(items: Items, picture: Picture, codec: Codec, first: int, more: tuple[tuple[bytes, int], ...]) -> list[Part]:
    """The picture's items, numbered from `first`; `more` are references from its main item, (kind, number)."""
    references: list[tuple[bytes, tuple[int, ...]]] = [(kind, (number,)) for kind, number in more]
    main = picture.item
    if not picture.grid:
        return [Part(codec.item, items.payload(main), _kept(items, main), tuple(references))]
    references.insert(0, (b"dimg", tuple(range(first + 1, first + 1 + len(picture.tiles)))))
    grid = Part(b"grid", picture.grid, _kept(items, main), tuple(references))
    return [grid, *(Part(codec.item, items.payload(tile), _kept(items, tile)) for tile in picture.tiles)]


def _kept(items: Items, item: Item) -> tuple[bytes, ...]:
    """What the decoder needs: no profile (we apply it), no transformation (ours too), nothing that only informs."""

    def wanted(box: Box) -> bool:
        nclx = box.name == b"colr" and items.data[box.start : box.start + 4] == b"nclx"
        return nclx or box.name in (b"ispe", b"pixi", b"auxC", b"hvcC", b"av1C")

    return tuple(items.data[box.at : box.end] for box, _ in item.properties if wanted(box))


def _refuse_unknown(items: Items, item: Item) -> None:
    for box, essential in item.properties:
        if essential and box.name not in _KNOWN:
            name = box.name.decode("latin-1")
            raise Refused(Refusal.UNKNOWN_TYPE, f"The {items.kind} picture needs something ({name!r}) not taken here.")


def _size(items: Items, item: Item) -> tuple[int, int]:
    extents = properties(items, item, b"ispe")
    if len(extents) != 1 or len(extents[0]) != 12:
        raise corrupt(items.kind, "a picture does not say how large it is")
    return int.from_bytes(extents[0][4:8], "big"), int.from_bytes(extents[0][8:12], "big")


def _check_coded(items: Items, item: Item, codec: Codec, size: tuple[int, int]) -> None:
    configs = properties(items, item, codec.config)
    if len(configs) != 1:
        raise corrupt(codec.kind, "the configuration of the decoder is missing")
    found = list(codec.sizes(configs[0], items.payload(item)))
    for width, height in found:
        if width > size[0] + codec.margin or height > size[1] + codec.margin:
            raise corrupt(codec.kind, f"a picture of {size[0]}×{size[1]} is coded as {width}×{height}")
    if not found:
        raise corrupt(codec.kind, "a coded picture does not say how large it is")


def _grid(kind: str, payload: bytes) -> tuple[int, int, tuple[int, int]]:
    """Rows, columns, size of the picture."""
    reader = Reader(kind, payload, 0, len(payload))
    reader.number(1)
    size = 4 if reader.number(1) & 1 else 2
    return reader.number(1) + 1, reader.number(1) + 1, (reader.number(size), reader.number(size))


def _covers(tile: int, count: int, whole: int) -> bool:
    return tile > 0 and tile * (count - 1) < whole <= tile * count
