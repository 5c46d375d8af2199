"""This project: inspection and all variants of an upload, as a process of the worker's pool runs them."""

from pathlib import Path

from bench.peers.protocol import LIMITS, MARKED, TEXT, run
from mediagate.imaging import ENGINE, Watermark, inspect, render_variants
from mediagate.media.renditions import ImagePolicy, upload_specs
from mediagate.media.values import Limits, WatermarkSpec

MARK = Watermark(WatermarkSpec(text=TEXT))
SPECS = upload_specs(ImagePolicy())


def work(source: Path, folder: Path) -> int:
    """Write the pictures."""
    facts = inspect(source, declared_type="image/jpeg", limits=Limits())
    took = {}
    for made in render_variants(source, facts, SPECS, MARK):
        took[made.variant.name.value] = made.variant.trials
        Path(folder, f"{made.variant.name}.jpg").write_bytes(made.data)
    return took[MARKED]


if __name__ == "__main__":
    wanted = {spec.name.value: (spec.max_edge, spec.quality, spec.max_bytes) for spec in SPECS}
    if wanted != LIMITS:
        raise SystemExit(f"the peers make {LIMITS}, this project {wanted}")
    run(work, ENGINE)
