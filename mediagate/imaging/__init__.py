"""Bytes of a picture in, facts or bytes of a picture out; synchronous, made for a bounded pool.

Belongs here: file structure, metadata, colour, resizing, marks, encoding, and the memory that all this takes.
Does not belong here: where files come from or go to, what is shown in a picture, workflow steps, the network.
"""

from mediagate.imaging.frames import render_frames, sample_indices
from mediagate.imaging.inspection import inspect
from mediagate.imaging.memory import MemoryBudget
from mediagate.imaging.refusal import Refused
from mediagate.imaging.rendering import ENGINE, Rendering, render_variants
from mediagate.imaging.watermark import Watermark

__all__ = [
    "ENGINE",
    "MemoryBudget",
    "Refused",
    "Rendering",
    "Watermark",
    "inspect",
    "render_frames",
    "render_variants",
    "sample_indices",
]
