"""What every peer in Python does around its work: warm up, measure, say so in one line of JSON."""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

LIMITS = {
    "original": (4000, 90, 2 * 1024 * 1024),
    "moderation": (2048, 85, 1024 * 1024),
    "medium": (600, 85, 100 * 1024),
    "thumb": (150, 80, 30 * 1024),
}
"""Longest edge, quality asked for, most bytes; the floor of quality is 40."""
TEXT = "© Mediagate"


def _peak() -> int:
    """Bytes. Not `ru_maxrss`, which a process inherits from the one that started it."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def run(work: Callable[[Path, Path], int], version: str) -> None:
    """`peer SOURCE FOLDER`; `work` writes `<name>.jpg` for every name of `LIMITS`, and returns how many encodes the
    original took at full size.
    """
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    with TemporaryDirectory() as scratch:
        tiny = Path(scratch, "tiny.jpg")
        Image.linear_gradient("L").convert("RGB").save(tiny)
        work(tiny, Path(scratch))
    cpu, wall = time.process_time(), time.perf_counter()
    trials = work(source, folder)
    print(
        json.dumps(
            {
                "cpu": time.process_time() - cpu,
                "wall": time.perf_counter() - wall,
                "rss": _peak(),
                "trials": trials,
                "version": version,
            }
        )
    )
