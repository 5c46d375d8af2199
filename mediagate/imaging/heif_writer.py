"""A HEIF file made anew, with one picture and nothing else: what the decoder gets instead of the uploaded one."""

import struct
from dataclasses import dataclass, field

from mediagate.imaging.isobmff import full_box, made_box


@dataclass(frozen=True, slots=True)
class Part:
    """One item; its number is its place in the list, from 1. `references` are (kind, numbers referred to)."""

    kind: bytes
    payload: bytes
    properties: tuple[bytes, ...]
    references: tuple[tuple[bytes, tuple[int, ...]], ...] = ()


@dataclass(slots=True)
class _Properties:
    known: dict[bytes, int] = field(default_factory=dict)

    def index(self, box: bytes) -> int:
        """Place in `ipco`, from 1; the same property is written once."""
        return self.known.setdefault(box, len(self.known) + 1)


# Essential as the formats demand: a reader that does not know them cannot show the picture.
_ESSENTIAL = {b"hvcC", b"av1C"}


def written(brand: bytes, parts: list[Part]) -> bytes:
    """The file; its primary item is the first part."""
    head = made_box(b"ftyp", brand, bytes(4), b"mif1miaf", brand)
    meta_size = len(_meta(parts, 0))
    payloads = [part.payload for part in parts]
    return b"".join((head, _meta(parts, len(head) + meta_size + 8), made_box(b"mdat", *payloads)))


def _meta(parts: list[Part], first: int) -> bytes:
    places, infos, references = b"", b"", b""
    associations, properties = b"", _Properties()
    for number, part in enumerate(parts, 1):
        places += struct.pack(">HHHHII", number, 0, 0, 1, first, len(part.payload))
        first += len(part.payload)
        hidden = part.kind != parts[0].kind and number > 1
        infos += full_box(b"infe", struct.pack(">HH4sB", number, 0, part.kind, 0), number=2, flags=int(hidden))
        for kind, targets in part.references:
            references += made_box(kind, struct.pack(f">HH{len(targets)}H", number, len(targets), *targets))
        indexes = [properties.index(p) | (0x8000 if p[4:8] in _ESSENTIAL else 0) for p in part.properties]
        associations += struct.pack(f">HB{len(indexes)}H", number, len(indexes), *indexes)
    count = struct.pack(">H", len(parts))
    return full_box(
        b"meta",
        full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
        full_box(b"pitm", struct.pack(">H", 1)),
        full_box(b"iloc", b"\x44\0", count, places, number=1),
        full_box(b"iinf", count, infos),
        full_box(b"iref", references) if references else b"",
        made_box(
            b"iprp",
            made_box(b"ipco", *properties.known),
            full_box(b"ipma", struct.pack(">I", len(parts)), associations, flags=1),
        ),
    )
