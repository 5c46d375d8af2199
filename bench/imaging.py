"""This project against sharp, libvips and a plain Pillow script: the same files, the same outputs, in one go.

    make bench-imaging                      generated pictures of 2, 12 and 18 MP
    make bench-imaging ARGS="--photos DIR"  and every JPEG in that folder

Each peer runs in a process of its own for every file and round, and measures its CPU time around the work after a
warm-up, so that start-up and imports do not decide. The floor is one decode by libjpeg-turbo and one encode at quality
90 of the same picture. Nothing else should run on the machine.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from skimage.metrics import structural_similarity

from bench.peers.protocol import LIMITS
from bench.pictures import write_photographs

PEERS = Path(__file__).parent / "peers"
COMMANDS = {
    "mediagate": [sys.executable, "-m", "bench.peers.own_peer"],
    "Pillow": [sys.executable, "-m", "bench.peers.pillow_peer"],
    "libvips": [sys.executable, "-m", "bench.peers.vips_peer"],
    "sharp": ["node", str(PEERS / "sharp.mjs")],
}
OWN = "mediagate"
MB = 1e6

Result = dict[str, Any]


def floor_seconds(source: Path, rounds: int) -> float:
    """CPU seconds of a decode and an encode at quality 90."""
    data, found = source.read_bytes(), []
    for _ in range(rounds):
        start = time.process_time()
        with JpegImageFile(BytesIO(data)) as picture:
            picture.load()
            picture.save(BytesIO(), "JPEG", quality=90)
        found.append(time.process_time() - start)
    return statistics.median(found)


def measure(peer: str, source: Path, folder: Path) -> Result:
    """One run of one peer."""
    folder.mkdir(exist_ok=True)
    root = Path(__file__).parent.parent
    command = [*COMMANDS[peer], str(source), str(folder)]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=True)
    found: Result = json.loads(done.stdout.splitlines()[-1])
    return found | {"startup": time.perf_counter() - start - found["wall"]}


def faults(source: Path, folder: Path) -> tuple[list[str], float]:
    """What is wrong with a peer's outputs, and the SSIM of its moderation copy against a Lanczos reduction."""
    wrong = []
    with Image.open(source) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    for name, (edge, _, cap) in LIMITS.items():
        path = folder / f"{name}.jpg"
        with Image.open(path) as picture:
            if abs(max(picture.size) - min(edge, max(upright.size))) > 1:
                wrong.append(f"{name} is {picture.width}×{picture.height}")
        if path.stat().st_size > cap:
            wrong.append(f"{name} has {path.stat().st_size} bytes")
    reference = upright.copy()
    reference.thumbnail((2048, 2048), Image.Resampling.LANCZOS)
    with Image.open(folder / "moderation.jpg") as copy:
        shown = copy.convert("L").resize(reference.size)
    similarity: float = structural_similarity(np.asarray(reference.convert("L")), np.asarray(shown))
    return wrong, similarity


def bench(source: Path, peers: list[str], rounds: int, folder: Path) -> Result:
    """Every peer on one file, in turns; medians."""
    runs: dict[str, list[Result]] = {peer: [] for peer in peers}
    for _ in range(rounds):
        for peer in peers:
            runs[peer].append(measure(peer, source, folder / peer))
    with Image.open(source) as opened:
        pixels = opened.width * opened.height
    rows = {}
    for peer in peers:
        wrong, similarity = faults(source, folder / peer)
        medians = {key: statistics.median(run[key] for run in runs[peer]) for key in ("cpu", "wall", "rss", "startup")}
        last = runs[peer][-1]
        rows[peer] = medians | {
            "trials": last["trials"],
            "version": last["version"],
            "ssim": similarity,
            "wrong": wrong,
        }
    return {"file": source.name, "pixels": pixels, "floor": floor_seconds(source, rounds), "peers": rows}


def verdicts(found: Result) -> list[tuple[str, float, float]]:
    """What is asked of this project, its figure, and the bound."""
    own, pixels = found["peers"][OWN], found["pixels"]
    others = [row["cpu"] for peer, row in found["peers"].items() if peer != OWN and not row["wrong"]]
    asked = [
        ("× the floor", own["cpu"] / found["floor"], 4.0),
        ("MB peak", own["rss"] / MB, (8 * pixels + 60e6) / MB),
    ]
    if others:
        asked.insert(0, ("× the best peer", own["cpu"] / min(others), 0.9 if pixels < 6e6 else 0.7))
    return asked


def show(found: Result) -> None:
    """A table for people."""
    print(f"\n{found['file']}: {found['pixels'] / 1e6:.1f} MP, floor {found['floor'] * 1000:.0f} ms")
    print(f"  {'':10} {'CPU ms':>7} {'wall':>6} {'start':>6} {'RSS MB':>7} {'× floor':>8} {'trials':>6} {'SSIM':>7}")
    for peer, row in found["peers"].items():
        figures = (
            f"{row['cpu'] * 1000:7.0f} {row['wall'] * 1000:6.0f} {row['startup'] * 1000:6.0f} {row['rss'] / MB:7.0f}"
        )
        ratio = f"{row['cpu'] / found['floor']:8.2f} {row['trials']:6} {row['ssim']:7.4f}"
        print(f"  {peer:10} {figures} {ratio}  {row['version']}{'; '.join(['', *row['wrong']])}")
    for what, figure, bound in verdicts(found):
        print(f"  {'met   ' if figure <= bound else 'MISSED'} {figure:7.2f} {what} (at most {bound:.2f})")


def main() -> None:
    """Print tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="also every JPEG of this folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=COMMANDS, help="this peer; may be given again")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    peers = asked.only or list(COMMANDS)
    if "sharp" in peers and not (shutil.which("node") and (PEERS / "node_modules").exists()):
        print("sharp is left out: node or bench/peers/node_modules is missing.", file=sys.stderr)
        peers.remove("sharp")
    with TemporaryDirectory() as folder:
        files = list(write_photographs(Path(folder)).values())
        if asked.photos:
            files += sorted(path for path in asked.photos.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
        for source in files:
            found = bench(source, peers, asked.rounds, Path(folder))
            print(json.dumps(found)) if asked.json else show(found)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
