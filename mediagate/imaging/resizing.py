"""Smaller pictures."""

from PIL import Image

# Up to here an edge is so short that the better filter is cheap.
_SMALL_EDGE = 512

# Pillow resizes in two passes and keeps what lies between them, often as large as the picture itself. In bands of so
# many rows it stays in the processor's cache, and the peak is the two pictures alone. There are no seams: the filter
# looks beyond the box that it is given.
_BAND = 128


def fitted(size: tuple[int, int], max_edge: int) -> tuple[int, int]:
    """The size with the same aspect whose longest edge is at most `max_edge`, and no edge empty."""
    factor = min(1.0, max_edge / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def resized(picture: Image.Image, size: tuple[int, int], *, draft: bool = False) -> Image.Image:
    """The picture in that size. `draft`: a little softer in 60 % of the time, for what no public sees."""
    if picture.size == size:
        return picture
    if picture.mode == "RGBA":  # colours weigh as much as they show; done here once, and not by Pillow for every band
        return resized(picture.convert("RGBa"), size, draft=draft).convert("RGBA")
    if max(size) <= _SMALL_EDGE:  # a box filter may do the coarse part; doing more of it shows as moiré on fine lines
        return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    sampling = Image.Resampling.HAMMING if draft else Image.Resampling.BICUBIC
    out = Image.new(picture.mode, size, None)
    scale = picture.height / size[1]
    for top in range(0, size[1], _BAND):
        bottom = min(top + _BAND, size[1])
        box = (0, top * scale, picture.width, min(bottom * scale, picture.height))
        out.paste(picture.resize((size[0], bottom - top), sampling, box=box), (0, top))
    return out
