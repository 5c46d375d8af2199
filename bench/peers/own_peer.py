"""This project: inspection and all variants of an upload, as the worker's pool runs them."""

from pathlib import Path

from bench.peers.protocol import TEXT, run
from mediagate.imaging import ENGINE, Watermark, inspect, render_variants
from mediagate.media.renditions import ImagePolicy, upload_specs
from mediagate.media.values import Limits, WatermarkSpec

MARK = Watermark(WatermarkSpec(text=TEXT))


def work(source: Path, folder: Path) -> int:
    """Write the pictures; the encodes at full size that the original took."""
    facts = inspect(source, declared_type="image/jpeg", limits=Limits())
    made = render_variants(source, facts, upload_specs(ImagePolicy()), MARK)
    for rendering in made:
        Path(folder, f"{rendering.variant.name}.jpg").write_bytes(rendering.data)
    return made[0].variant.trials


if __name__ == "__main__":
    run(work, ENGINE)
