"""Texts of the IPTC Information Interchange Model (IIM 4.2), as Photoshop keeps them in JPEG and TIFF files."""

from mediagate.imaging.tiff import clean

BY_LINE, CREDIT, COPYRIGHT = 80, 110, 116

_RESOURCE = 0x0404
_EDITORIAL = 2
_MOST_RECORDS = 1000


def iptc_records(resources: bytes) -> bytes:
    """The IIM block among image resources (Adobe Photoshop file formats, image resource blocks); empty if none."""
    at = 0
    while resources[at : at + 4] == b"8BIM":
        name = resources[at + 6] if at + 6 < len(resources) else 0
        start = at + 6 + (name + 2 & ~1) + 4
        size = int.from_bytes(resources[start - 4 : start], "big")
        if int.from_bytes(resources[at + 4 : at + 6], "big") == _RESOURCE:
            return resources[start : start + size]
        at = start + size + (size & 1)
    return b""


def iptc_texts(block: bytes) -> dict[int, str]:
    """The first text of every data set of the editorial record; what is malformed ends the reading."""
    found: dict[int, str] = {}
    at = 0
    for _ in range(_MOST_RECORDS):
        head = block[at : at + 5]
        size = int.from_bytes(head[3:5], "big")
        if len(head) < 5 or head[0] != 0x1C or size & 0x8000 or at + 5 + size > len(block):
            break
        if head[1] == _EDITORIAL:
            found.setdefault(head[2], _text(block[at + 5 : at + 5 + size]))
        at += 5 + size
    return found


def _text(raw: bytes) -> str:
    """UTF-8 or, as most old programs write it, Latin-1; the data set that names the character set is often wrong."""
    try:
        return clean(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return clean(raw.decode("latin-1"))
