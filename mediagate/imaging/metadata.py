"""Facts from EXIF, XMP and IPTC-IIM, and the only metadata that leaves with a variant: credit, copyright and licence.

Tags are those of CIPA DC-008 (Exif 3.0); XMP properties those of the IPTC Photo Metadata Standard.
"""

import html
import re
import struct
from datetime import UTC, datetime, timedelta, timezone

from mediagate.imaging.container import Container
from mediagate.imaging.iptc import BY_LINE, COPYRIGHT, CREDIT, iptc_texts
from mediagate.imaging.tiff import clean, read_directory
from mediagate.media.values import PhotoFacts

_MAKE, _MODEL, _ORIENTATION, _DATE_TIME, _ARTIST, _COPYRIGHT = 0x010F, 0x0110, 0x0112, 0x0132, 0x013B, 0x8298
_EXIF, _GPS = 0x8769, 0x8825
_TAKEN, _TAKEN_OFFSET = 0x9003, 0x9011
_LATITUDE, _LONGITUDE = 2, 4

_LONGEST_XMP = 256 * 1024


def read_orientation(container: Container) -> int:
    """How the stored pixels stand, 1..8 as in EXIF; 1 if nothing says it, or it is nonsense."""
    if container.orientation is not None:
        return container.orientation
    orientation = read_directory(container.exif).number(_ORIENTATION)
    return orientation if orientation is not None and 1 <= orientation <= 8 else 1


def read_photo_facts(container: Container) -> PhotoFacts:
    """What a camera or an editor wrote into the file. A time without a zone is taken for UTC."""
    main = read_directory(container.exif)
    shot = read_directory(container.exif, main.number(_EXIF) or 0)
    gps = read_directory(container.exif, main.number(_GPS) or 0)
    xmp = container.xmp[:_LONGEST_XMP].decode("utf-8", "replace")
    iptc = iptc_texts(container.iptc)
    make, model = main.text(_MAKE), main.text(_MODEL)
    return PhotoFacts(
        camera=model if model.casefold().startswith(make.casefold()) else f"{make} {model}".strip(),
        taken_at=_time(shot.text(_TAKEN) or main.text(_DATE_TIME), shot.text(_TAKEN_OFFSET)),
        has_gps={_LATITUDE, _LONGITUDE} <= gps.fields.keys() or "exif:GPSLatitude" in xmp,
        credit=main.text(_ARTIST)
        or _property(xmp, "dc:creator")
        or _property(xmp, "photoshop:Credit")
        or iptc.get(BY_LINE, "")
        or iptc.get(CREDIT, ""),
        copyright=main.text(_COPYRIGHT) or _property(xmp, "dc:rights") or iptc.get(COPYRIGHT, ""),
        licence=_property(xmp, "xmpRights:WebStatement")
        or _property(xmp, "cc:license")
        or _property(xmp, "plus:LicensorURL"),
    )


def credit_exif(photo: PhotoFacts) -> bytes:
    """An EXIF block with the credit (Artist) and the copyright in UTF-8, nothing else; empty without both.

    EXIF has no field for a licence: it follows the copyright.
    """
    rights = [photo.copyright, photo.licence if photo.licence not in photo.copyright else ""]
    texts = [
        (tag, text.encode() + b"\0")
        for tag, text in ((_ARTIST, photo.credit), (_COPYRIGHT, " ".join(filter(None, rights))))
        if text
    ]
    if not texts:
        return b""
    entries, values = b"", b""
    values_at = 8 + 2 + 12 * len(texts) + 4
    for tag, raw in texts:
        place = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack("<I", values_at + len(values))
        entries += struct.pack("<HHI", tag, 2, len(raw)) + place
        values += b"" if len(raw) <= 4 else raw + b"\0" * (len(raw) % 2)
    header = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(texts))
    return header + entries + struct.pack("<I", 0) + values


def _time(text: str, offset: str) -> datetime | None:
    numbers = re.fullmatch(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)", text)
    zone = re.fullmatch(r"([+-])(\d\d):(\d\d)", offset)
    if numbers is None:
        return None
    try:
        year, month, day, hour, minute, second = map(int, numbers.groups())
        shift = timedelta(hours=int(zone[2]), minutes=int(zone[3])) if zone else timedelta()
        tz = timezone(-shift if zone and zone[1] == "-" else shift) if shift else UTC
        return datetime(year, month, day, hour, minute, second, tzinfo=tz)
    except ValueError:
        return None


def _property(xmp: str, name: str) -> str:
    # XMP writes a property as an attribute, an element, an element around a list, or one that names a resource.
    found = re.search(
        rf"\b{name}=(?P<quote>[\"'])(?P<value>.{{1,500}}?)(?P=quote)"
        rf"|<{name}\s[^>]{{0,200}}?rdf:resource=[\"'](?P<resource>[^\"'>]{{1,500}})"
        rf"|<{name}[^>]{{0,200}}>(?P<inner>.{{1,2000}}?)</{name}>",
        xmp,
        re.DOTALL,
    )
    if found is None:
        return ""
    inner = found["inner"] or ""
    listed = ", ".join(re.findall(r"<rdf:li[^>]{0,200}>([^<]{1,500})</rdf:li>", inner))
    text = found["value"] or found["resource"] or listed or inner
    return clean(html.unescape(re.sub(r"<[^>]{0,200}>", " ", text)))
