"""Whatever a decoder returns to opaque 8-bit sRGB."""

from io import BytesIO

from PIL import Image, ImageChops, ImageCms

_SRGB = ImageCms.createProfile("sRGB")
_COLOUR_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
_LARGEST_PROFILE = 4 * 1024 * 1024

# 16-bit samples to 8 bit: Pillow's own conversion clips everything above 255 to white.
_TO_8_BIT = [(value * 255 + 32767) // 65535 for value in range(65536)]

# Six steps per channel, enough to tell a profile that is sRGB in all but name from one that is not.
_PROBE_STEPS = (0, 51, 102, 153, 204, 255)


def opaque(picture: Image.Image) -> Image.Image:
    """The picture in mode L, RGB or CMYK with 8 bits, transparency laid on white."""
    if picture.mode in ("I;16", "I"):
        return picture.convert("I").point(_TO_8_BIT, "L")
    if picture.mode == "1" and "transparency" not in picture.info:
        return picture.convert("L")
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA"):
        layered = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(layered, mask=layered)
        return white
    return picture if picture.mode in _COLOUR_SPACES else picture.convert("RGB")


def to_srgb(picture: Image.Image, icc: bytes) -> Image.Image:
    """A picture in mode L, RGB or CMYK in mode RGB, converted by its ICC profile; an unusable profile is ignored.

    CMYK goes by the profile's perceptual table, the rest colorimetrically with black point compensation.
    """
    if picture.mode == "L" and icc[16:20] == b"RGB ":
        picture = picture.convert("RGB")
    transform = _transform(icc, picture.mode) if icc else None
    if transform is not None:
        return transform.apply(picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None if the profile is broken, is for other pixels, or changes nothing."""
    if len(icc) > _LARGEST_PROFILE or icc[36:40] != b"acsp" or icc[16:20].decode("latin-1") != _COLOUR_SPACES[mode]:
        return None
    intent = ImageCms.Intent.PERCEPTUAL if mode == "CMYK" else ImageCms.Intent.RELATIVE_COLORIMETRIC
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(BytesIO(icc)),
            _SRGB,
            mode,
            "RGB",
            renderingIntent=intent,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return None if mode != "CMYK" and _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    steps = _PROBE_STEPS
    colours = [(v, v, v) for v in steps] if mode == "L" else [(r, g, b) for r in steps for g in steps for b in steps]
    probe = Image.frombytes("RGB", (len(colours), 1), bytes(v for colour in colours for v in colour))
    return max(ImageChops.difference(transform.apply(probe.convert(mode)), probe).tobytes()) <= 1
