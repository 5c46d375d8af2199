"""The formats that are taken, and how a file's type is established.

A new format is one line of `FORMATS`: how it starts, how its structure is walked, which decoder opens it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from PIL import AvifImagePlugin
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifImageFile
from pillow_heif import options as heif_options

from mediagate.imaging import gif, heif, jpeg, png, tiff_file, webp
from mediagate.imaging.container import Container
from mediagate.imaging.refusal import Refused
from mediagate.media.content_types import registered
from mediagate.media.values import Limits, Refusal


@dataclass(frozen=True, slots=True)
class Format:
    """One format; `decoder` is the only plugin that ever sees a file of it."""

    name: str
    content_type: str
    recognises: Callable[[bytes], object]
    """truthy for data that starts like this format"""
    walk: Callable[[bytes, Limits], Container]
    decoder: type[ImageFile]


FORMATS = (
    Format("jpeg", "image/jpeg", re.compile(rb"\xff\xd8\xff").match, jpeg.walk, JpegImageFile),
    Format("png", "image/png", re.compile(re.escape(png.SIGNATURE)).match, png.walk, PngImageFile),
    Format("webp", "image/webp", re.compile(rb"RIFF....WEBP", re.DOTALL).match, webp.walk, WebPImageFile),
    Format("gif", "image/gif", re.compile(rb"GIF8[79]a").match, gif.walk, GifImageFile),
    Format("avif", "image/avif", heif.is_avif, heif.walk_avif, AvifImageFile),
    Format("heic", "image/heic", heif.is_heic, heif.walk_heic, HeifImageFile),
    Format("tiff", "image/tiff", re.compile(rb"II\*\0|MM\0[*+]|II\+\0").match, tiff_file.walk, TiffImageFile),
)

# One piece of work is one thread: how many run at once is decided by memory, not by the decoders. Neither plugin takes
# this as an argument. Files made anew have no thumbnails, depth maps or other auxiliary pictures to look for.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
heif_options.DECODE_THREADS = 1
heif_options.THUMBNAILS = heif_options.DEPTH_IMAGES = heif_options.AUX_IMAGES = False

# What browsers look at to guess a type (WHATWG MIME Sniffing 7: 1445 bytes); PDF readers search the first 1024.
_SNIFFED = 1445
_DOCUMENT = re.compile(rb"<(?:!doctype|html|head|body|script|iframe|svg|\?php)|%PDF-", re.IGNORECASE)

_ZIP_END, _ZIP_END_SIZE, _ZIP_COMMENT = b"PK\x05\x06", 22, 0xFFFF


def recognise(data: bytes, declared_type: str | None) -> Format:
    """The format by magic bytes, which the declared content type must agree with; None declares nothing.

    Raises:
        Refused: `unknown_type`, `type_mismatch`.
    """
    found = next((f for f in FORMATS if f.recognises(data)), None)
    if found is None:
        raise Refused(
            Refusal.UNKNOWN_TYPE, "The file does not start like a JPEG, PNG, WebP, GIF, AVIF, HEIC or TIFF picture."
        )
    if declared_type is not None and registered(declared_type) != found.content_type:
        declared = declared_type.partition(";")[0].strip().lower() or "nothing"
        raise Refused(Refusal.TYPE_MISMATCH, f"The file was declared as {declared!r} but is {found.content_type}.")
    return found


def refuse_polyglot(data: bytes) -> None:
    """Refuse a well-formed picture that other software would take for something else.

    Raises:
        Refused: `type_mismatch`.
    """
    head = data[:_SNIFFED]
    document = _DOCUMENT.search(head)
    if document:
        name = "a PDF document" if document[0].startswith(b"%") else "a web page or a script"
        raise Refused(Refusal.TYPE_MISMATCH, f"The file is a picture and {name} at once.")
    # As JavaScript, `GIF89a` is a name; a comment or an assignment must follow it, where a GIF has its width.
    script = head[6:8] == b"/*" or (head[6:7] == b"=" and b"/*" in head[7:64])
    if data.startswith(b"GIF8") and script and b"*/" in data:
        raise Refused(Refusal.TYPE_MISMATCH, "The file is a GIF picture and a JavaScript at once.")
    end = data.rfind(_ZIP_END, max(0, len(data) - _ZIP_END_SIZE - _ZIP_COMMENT))
    if end >= 0 and end + _ZIP_END_SIZE + int.from_bytes(data[end + 20 : end + 22], "little") == len(data):
        raise Refused(Refusal.TYPE_MISMATCH, "The file is a picture and a ZIP archive at once.")
