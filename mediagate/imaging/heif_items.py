"""The items of a HEIF file: what its `meta` box says about pictures, their properties and where their bytes are.

ISO/IEC 14496-12 8.11 (meta, iloc, iinf, iref, idat) and ISO/IEC 23008-12 9.3 (iprp).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mediagate.imaging.container import corrupt, truncated
from mediagate.imaging.isobmff import Box, Reader, boxes, version

_MOST_ITEMS = 2048
_MOST_EXTENTS = 4096
_MOST_PROPERTIES = 64
_REUSE = 2
"""bytes of all items, as a multiple of those of the file: some may stand for two items, nothing is multiplied"""
_LARGEST_META = 4 * 1024 * 1024
"""it holds a colour profile at most; the pictures are elsewhere"""


@dataclass(slots=True)
class Item:
    """One item: a picture, a part of one, or metadata."""

    number: int
    kind: bytes = b""
    content_type: bytes = b""
    """of a `mime` item"""
    hidden: bool = False
    extents: list[tuple[int, int]] = field(default_factory=list)
    """start and end in the file"""
    properties: list[tuple[Box, bool]] = field(default_factory=list)
    """in the order of their association, which is the order in which they apply; and whether they are essential"""
    elsewhere: bool = False
    """its bytes are in another file or in another item"""


@dataclass(slots=True)
class Items:
    """The `meta` box. `references` are (kind, from, to), in the file's order."""

    kind: str
    data: bytes
    primary: int = 0
    items: dict[int, Item] = field(default_factory=dict)
    references: list[tuple[bytes, int, tuple[int, ...]]] = field(default_factory=list)

    def item(self, number: int) -> Item:
        """The item. Raises Refused: there is none of that number."""
        found = self.items.get(number)
        if found is None:
            raise corrupt(self.kind, f"it names an item {number} that is not there")
        return found

    def payload(self, item: Item) -> bytes:
        """The item's bytes, joined.

        Raises:
            Refused: they are not in this file.
        """
        if item.elsewhere or not item.extents:
            raise corrupt(self.kind, f"the bytes of item {item.number} are not in the file")
        return b"".join(self.data[start:end] for start, end in item.extents)

    def pointed_at(self, kind: bytes, source: int) -> tuple[int, ...]:
        """What `source` refers to by that kind of reference."""
        return next((to for name, start, to in self.references if (name, start) == (kind, source)), ())

    def pointing_at(self, kind: bytes, target: int) -> list[int]:
        """What refers to `target` by that kind of reference."""
        return [start for name, start, to in self.references if name == kind and target in to]


def read_items(kind: str, data: bytes, meta: Box) -> Items:
    """Everything in a `meta` box.

    Raises:
        Refused: it contradicts itself, or names bytes beyond the file.
    """
    if meta.end - meta.start > _LARGEST_META:
        raise corrupt(kind, "the description of its pictures is too long")
    inner = {box.name: box for box in boxes(kind, data, meta.start + 4, meta.end)}
    for name in (b"pitm", b"iinf", b"iloc", b"iprp"):
        if name not in inner:
            raise corrupt(kind, f"box {name.decode()} is missing")
    found = Items(kind, data)
    found.primary = _reader(kind, data, inner[b"pitm"], 4).number(2 if version(data, inner[b"pitm"]) == 0 else 4)
    _read_infos(found, inner[b"iinf"])
    _read_locations(found, inner[b"iloc"], inner.get(b"idat"))
    _read_properties(found, inner[b"iprp"])
    if b"iref" in inner:
        _read_references(found, inner[b"iref"])
    return found


def _reader(kind: str, data: bytes, box: Box, skip: int) -> Reader:
    return Reader(kind, data, box.start + skip, box.end)


def _read_infos(found: Items, box: Box) -> None:
    kind, data = found.kind, found.data
    skip = 4 + (2 if version(data, box) == 0 else 4)
    for entry in boxes(kind, data, box.start + skip, box.end):
        number = version(data, entry)
        if entry.name != b"infe" or number not in (2, 3):
            raise corrupt(kind, "an entry of the list of items is of a kind that no picture uses")
        reader = _reader(kind, data, entry, 3)
        hidden = bool(reader.number(1) & 1)
        item = Item(reader.number(2 if number == 2 else 4), hidden=hidden)
        reader.number(2)
        item.kind = reader.take(4)
        if item.kind == b"mime":
            reader.text()
            item.content_type = reader.text()
        if item.number in found.items or len(found.items) >= _MOST_ITEMS:
            raise corrupt(kind, "an item is there twice, or there are too many")
        found.items[item.number] = item


def _read_locations(found: Items, box: Box, idat: Box | None) -> None:
    kind, data, number = found.kind, found.data, version(found.data, box)
    if number not in (0, 1, 2):
        raise corrupt(kind, "the list of places is of an unknown version")
    reader, extents, total = _reader(kind, data, box, 4), 0, 0
    sizes = reader.number(2)
    offset_size, length_size, base_size, index_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15
    index_size = index_size if number else 0
    if not {offset_size, length_size, base_size, index_size} <= {0, 4, 8}:
        raise corrupt(kind, "the list of places has impossible sizes")
    for _ in range(reader.number(2 if number < 2 else 4)):
        item = found.items.get(reader.number(2 if number < 2 else 4), Item(0))
        method = reader.number(2) & 15 if number else 0
        item.elsewhere = reader.number(2) != 0 or method > 1
        base, count = reader.number(base_size), reader.number(2)
        extents += count
        if extents > _MOST_EXTENTS or item.extents:
            raise corrupt(kind, "the list of places is absurd")
        for _ in range(count):
            reader.number(index_size)
            start, length = base + reader.number(offset_size), reader.number(length_size)
            if not item.elsewhere:
                item.extents.append(_extent(found, idat if method == 1 else None, method, start, length))
                total += item.extents[-1][1] - item.extents[-1][0]
    if total > _REUSE * len(data):
        raise corrupt(kind, "its items have more bytes than the file")


def _extent(found: Items, idat: Box | None, method: int, start: int, length: int) -> tuple[int, int]:
    """A length of 0 means all that there is."""
    if method == 1 and idat is None:
        raise corrupt(found.kind, "it names bytes of a box idat that is missing")
    floor, ceiling = (idat.start, idat.end) if idat else (0, len(found.data))
    end = floor + start + length if length else ceiling
    if end > ceiling or floor + start >= end:
        if idat:
            raise corrupt(found.kind, "an item lies outside of the box idat")
        raise truncated(found.kind, "the bytes of an item")
    return floor + start, end


def _read_properties(found: Items, box: Box) -> None:
    kind, data = found.kind, found.data
    properties: list[Box] = []
    for part in boxes(kind, data, box.start, box.end):
        if part.name == b"ipco":
            properties += boxes(kind, data, part.start, part.end)
        elif part.name == b"ipma":
            for number, index, essential in _associations(found, part):
                if index > len(properties):
                    raise corrupt(kind, "an item has a property that is not there")
                item = found.items.get(number)
                if item is None or not index:
                    continue
                item.properties.append((properties[index - 1], essential))
                if len(item.properties) > _MOST_PROPERTIES:
                    raise corrupt(kind, "an item has too many properties")


def _associations(found: Items, box: Box) -> Iterator[tuple[int, int, bool]]:
    """Item, index of the property from 1, whether it is essential."""
    reader = _reader(found.kind, found.data, box, 3)
    wide = reader.number(1) & 1
    id_size = 2 if version(found.data, box) == 0 else 4
    for _ in range(reader.number(4)):
        number = reader.number(id_size)
        for _ in range(reader.number(1)):
            value = reader.number(2 if wide else 1)
            top = 0x8000 if wide else 0x80
            yield number, value & (top - 1), bool(value & top)


def _read_references(found: Items, box: Box) -> None:
    size = 2 if version(found.data, box) == 0 else 4
    for entry in boxes(found.kind, found.data, box.start + 4, box.end):
        reader = Reader(found.kind, found.data, entry.start, entry.end)
        source, count = reader.number(size), reader.number(2)
        found.references.append((entry.name, source, tuple(reader.number(size) for _ in range(count))))
