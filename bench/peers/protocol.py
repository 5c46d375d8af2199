"""What every peer in Python does around its work: warm up, measure, say so in one line of JSON."""

import json
import re
import resource
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
"""Longest edge, quality asked for, most bytes; from large to small. Only the original is marked."""
MARKED = "original"
TEXT = "© Mediagate"
LOWEST = 40
"""quality"""


def binary_search(trial: Callable[[int], bytes], quality: int, cap: int) -> tuple[bytes, int]:
    """The bytes of the best quality under the cap, or else of the lowest; and the encodes that it took."""
    data, trials, low, high = trial(quality), 1, LOWEST, quality - 1
    if len(data) <= cap:
        return data, trials
    fits = b""
    while low <= high:
        middle = (low + high) // 2
        data, trials = trial(middle), trials + 1
        if len(data) <= cap:
            fits, low = data, middle + 1
        else:
            high = middle - 1
    return fits or data, trials


def run(work: Callable[[Path, Path], int], version: str) -> None:
    """`peer SOURCE FOLDER`; `work` writes `<name>.jpg` for every name of `LIMITS`, and returns how many encodes the
    original took at full size.
    """
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    with TemporaryDirectory() as scratch:
        tiny = Path(scratch, "tiny.jpg")
        Image.linear_gradient("L").convert("RGB").save(tiny)
        work(tiny, Path(scratch))
    baseline, cpu, wall = _peak(), time.process_time(), time.perf_counter()
    trials = work(source, folder)
    measured = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    memory = {"rss": _peak(), "baseline_rss": baseline}
    print(json.dumps({**measured, **memory, "trials": trials, "version": version}))


def _peak() -> int:
    """Bytes. On Linux not `ru_maxrss`, which a process inherits from the one that started it."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
