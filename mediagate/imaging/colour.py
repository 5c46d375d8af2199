"""Whatever a decoder returns to 8-bit sRGB."""

from io import BytesIO

from PIL import Image, ImageChops, ImageCms

_SRGB = ImageCms.createProfile("sRGB")
_COLOUR_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
_PLAIN = {*_COLOUR_SPACES, "LA", "RGBA"}
_UNMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}
_LARGEST_PROFILE = 4 * 1024 * 1024

# 16-bit samples to 8 bit: Pillow's own conversion clips everything above 255 to white.
_TO_8_BIT = [(value * 255 + 32767) // 65535 for value in range(65536)]

# The tag of the table from device values to colours, perceptual (ICC.1:2022 9.2.1).
_PERCEPTUAL_TABLE = b"A2B0"

# Six steps per channel, enough to tell a profile that is sRGB in all but name from one that is not.
_PROBE_STEPS = (0, 51, 102, 153, 204, 255)


def plain(picture: Image.Image) -> Image.Image:
    """The picture in mode L, LA, RGB, RGBA or CMYK with 8 bits."""
    if picture.mode.startswith("I"):
        return _reduced(picture)
    if "transparency" in picture.info or picture.mode == "PA":
        return picture.convert("RGBA")
    if picture.mode in _UNMULTIPLIED:
        return picture.convert(_UNMULTIPLIED[picture.mode])
    if picture.mode == "1":
        return picture.convert("L")
    return picture if picture.mode in _PLAIN else picture.convert("RGB")


def flattened(picture: Image.Image, background: str) -> Image.Image:
    """A picture in mode RGB, or RGBA laid on that colour (`#rrggbb`)."""
    if picture.mode == "RGB":
        return picture
    ground = Image.new("RGB", picture.size, background)
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


def to_srgb(picture: Image.Image, icc: bytes) -> Image.Image:
    """A plain picture in mode RGB, or RGBA if it has transparency, by its ICC profile; an unusable one is ignored.

    Matrix profiles go colorimetrically with black point compensation. Profiles with tables, among them all of CMYK, go
    by their perceptual one: a table is how a device's maker says that its gamut is best shown in a smaller one. CMYK
    without a profile is taken for ideal inks, as browsers do.
    """
    if picture.mode in ("LA", "RGBA"):
        alpha = picture.getchannel("A")
        picture = to_srgb(picture.getchannel("L") if picture.mode == "LA" else picture.convert("RGB"), icc)
        picture.putalpha(alpha)
        return picture
    if picture.mode == "L" and icc[16:20] == b"RGB ":
        picture = picture.convert("RGB")
    transform = _transform(icc, picture.mode) if icc else None
    if transform is not None:
        return transform.apply(picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _reduced(picture: Image.Image) -> Image.Image:
    """16-bit grey in 8 bits, LA if one value of it is transparent."""
    deep = picture.convert("I")
    grey = deep.point(_TO_8_BIT, "L")
    key = picture.info.get("transparency")
    if isinstance(key, int) and 0 <= key < len(_TO_8_BIT):
        grey.putalpha(deep.point([0 if value == key else 255 for value in range(len(_TO_8_BIT))], "L"))
    return grey


def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None if the profile is broken, is for other pixels, or changes nothing."""
    if len(icc) > _LARGEST_PROFILE or icc[36:40] != b"acsp" or icc[16:20].decode("latin-1") != _COLOUR_SPACES[mode]:
        return None
    tables = _PERCEPTUAL_TABLE in icc[128 : 132 + 12 * 100]
    intent = ImageCms.Intent.PERCEPTUAL if tables else ImageCms.Intent.RELATIVE_COLORIMETRIC
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
