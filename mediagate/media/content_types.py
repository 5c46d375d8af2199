"""The types of files that are taken, as they are declared and as they are registered (IANA media types). Pure."""

_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/apng": "image/png",
    "image/heif": "image/heic",
    "image/heic-sequence": "image/heic",
    "image/heif-sequence": "image/heic",
    "image/avif-sequence": "image/avif",
    "image/x-tiff": "image/tiff",
    "image/tif": "image/tiff",
}

REGISTERED = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/avif", "image/heic", "image/tiff")


_EXTENSIONS = {
    **{name.removeprefix("image/"): name for name in REGISTERED},
    "jpg": "image/jpeg",
    "jpe": "image/jpeg",
    "apng": "image/png",
    "heif": "image/heic",
    "tif": "image/tiff",
}


def type_by_name(filename: str) -> str | None:
    """The registered name that a file name's extension stands for; None if it stands for none."""
    return _EXTENSIONS.get(filename.rpartition(".")[2].lower()) if "." in filename else None


def registered(declared: str) -> str | None:
    """The registered name of a declared content type, whatever its parameters; None if it is not taken."""
    name = declared.partition(";")[0].strip().lower()
    known = _ALIASES.get(name, name)
    return known if known in REGISTERED else None
