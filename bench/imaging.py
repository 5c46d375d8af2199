"""CPU seconds and results of the imaging pipeline for pictures given as arguments, or for the demo's.

python bench/imaging.py [PICTURE…]
"""

import mimetypes
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from devstack.samples import write_set
from mediagate.imaging import ENGINE, Refused, Watermark, inspect, render_marked, render_variants
from mediagate.media.values import MEDIUM, MODERATION, ORIGINAL, THUMB, Limits, WatermarkSpec

T = TypeVar("T")

ROUNDS = 3


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """The best CPU time of a few rounds, and the result."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return best, result


def measure(path: Path, mark: Watermark) -> str:
    """One line for one picture."""
    declared = mimetypes.guess_type(path.name)[0] or ""
    try:
        inspected, facts = timed(lambda: inspect(path, declared_type=declared, limits=Limits()))
        marked, original = timed(lambda: render_marked(path, facts, ORIGINAL, mark))
        varied, _ = timed(lambda: render_variants(path, facts, [MODERATION, MEDIUM, THUMB]))
    except Refused as refused:
        return f"{path.name:32} refused: {refused.reason.value}"
    size = f"{facts.width}×{facts.height}"
    seconds = (
        f"inspect {inspected:.3f}  original {marked:.3f}  variants {varied:.3f}  sum {inspected + marked + varied:.3f}"
    )
    trade = f"{original.variant.trials} trials {original.variant.trade}"
    return f"{path.name:32} {size:>11}  {seconds}  {trade}"


def main() -> None:
    """Print the table."""
    mark = Watermark(WatermarkSpec(text="© Mediagate"))
    print(ENGINE)
    with tempfile.TemporaryDirectory() as folder:
        for path in [Path(name) for name in sys.argv[1:]] or write_set(Path(folder)):
            print(measure(path, mark))


if __name__ == "__main__":
    main()
