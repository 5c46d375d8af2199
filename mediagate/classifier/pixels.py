"""Our own JPEGs as the arrays that models take."""

from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from mediagate.classifier.config import Preprocessing
from mediagate.classifier.model import Geometry
from mediagate.errors import BrokenInvariant

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

MOST_PIXELS = 4096 * 4096
"""Far beyond any moderation copy."""
_SHARPNESS = 2
"""The decoder scales down to no less than this many times the wanted edge; the filter does the rest."""


def pixels(jpeg: bytes, geometry: Geometry, wanted: Preprocessing) -> "NDArray[float32]":
    """Height × width × 3, in the order and range that the model was trained on. Scaled down with antialiasing.

    Raises:
        BrokenInvariant: these are not bytes that we rendered.
    """
    import numpy as np

    image = _decoded(jpeg, geometry)
    size = (geometry.width, geometry.height)
    if wanted.resize == "center_crop":
        image = ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    else:
        image = image.resize(size, Image.Resampling.BILINEAR)
    array = np.asarray(image, dtype=np.float32)
    if wanted.channels == "bgr":
        array = array[:, :, ::-1]
    mean, std = (np.asarray(values, dtype=np.float32) for values in (wanted.mean, wanted.std))
    scaled: NDArray[float32] = (array * np.float32(wanted.scale) - mean) / std
    return scaled


def _decoded(jpeg: bytes, geometry: Geometry) -> Image.Image:
    try:
        image = JpegImageFile(BytesIO(jpeg))
        if image.width * image.height > MOST_PIXELS:
            raise BrokenInvariant(f"A picture of {image.width} × {image.height} pixels is no moderation copy.")
        image.draft("RGB", (geometry.width * _SHARPNESS, geometry.height * _SHARPNESS))
        return image.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise BrokenInvariant(f"The moderation copy is no readable JPEG: {error}") from error
