"""This project against sharp, libvips and a plain Pillow script: the same files, the same outputs, in one go.

    make bench-imaging                                  generated pictures of 2, 12 and 18 MP
    make bench-imaging ARGS="--photos DIR"              and every JPEG in that folder
    make bench-imaging ARGS="--only Pillow --rounds 1"  this project and one other, once
    make bench-imaging ARGS="--json"                    a line of JSON for every file, and one for the byte caps

docs/benches.md says how to read it. Nothing else should run on the machine.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from bench import byte_caps
from bench.outputs import judge, references
from bench.peers.protocol import LIMITS
from bench.pictures import write_photographs

ROOT = Path(__file__).parent.parent
PEERS = ROOT / "bench" / "peers"
OWN, FLOOR, TUNED = "mediagate", "floor", " tuned"
COMMANDS = {
    FLOOR: [sys.executable, "-m", "bench.peers.floor_peer"],
    OWN: [sys.executable, "-m", "bench.peers.own_peer"],
    "Pillow": [sys.executable, "-m", "bench.peers.pillow_peer"],
    "libvips": [sys.executable, "-m", "bench.peers.vips_peer"],
    "libvips" + TUNED: [sys.executable, "-m", "bench.peers.vips_peer", "--tuned"],
    "sharp": ["node", str(PEERS / "sharp.mjs")],
    "sharp" + TUNED: ["node", str(PEERS / "sharp.mjs"), "--tuned"],
}
MB = 1e6
MEDIANS = ("cpu", "wall", "startup", "rss", "baseline_rss")

Result = dict[str, Any]


def missing(peer: str) -> str:
    """Why this peer cannot run; empty if it can."""
    if peer.startswith("libvips"):
        return "" if find_spec("pyvips") else "pyvips is not installed (uv sync --inexact --group bench)"
    if not peer.startswith("sharp"):
        return ""
    if not shutil.which("node"):
        return "node is not installed"
    return (
        ""
        if (PEERS / "node_modules" / "sharp").exists()
        else "its packages are not installed (npm ci --prefix bench/peers)"
    )


def measure(peer: str, source: Path, folder: Path) -> Result:
    """One run of one peer in a process of its own; `startup` is all that is not the work."""
    folder.mkdir(exist_ok=True)
    program, *options = [part for part in COMMANDS[peer] if part != "--tuned"]
    command = [program, *options, str(source), str(folder), *(["--tuned"] if peer.endswith(TUNED) else [])]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    elapsed = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{peer} failed on {source.name}:\n{done.stderr}")
    found: Result = json.loads(done.stdout.splitlines()[-1])
    return found | {"startup": elapsed - found["wall"]}


def bench(source: Path, peers: list[str], rounds: int, folder: Path) -> Result:
    """Every peer on one file, in turns, each round begun by another one; medians, and the CPU seconds of every run."""
    runs: dict[str, list[Result]] = {peer: [] for peer in peers}
    for number in range(rounds):
        first = number % len(peers)
        for peer in peers[first:] + peers[:first]:
            runs[peer].append(measure(peer, source, folder / peer))
    wanted = references(source)
    rows: dict[str, Result] = {}
    for peer, those in runs.items():
        row: Result = {key: statistics.median(run[key] for run in those) for key in MEDIANS}
        row |= {"runs": [run["cpu"] for run in those], "version": those[-1]["version"], "trials": those[-1]["trials"]}
        row["wrong"], row["ssim"] = ([], {}) if peer == FLOOR else judge(folder / peer, wanted)
        rows[peer] = row
    with Image.open(source) as opened:
        pixels = opened.width * opened.height
    found = {"file": source.name, "bytes": source.stat().st_size, "pixels": pixels, "peers": rows}
    return found | {"verdicts": verdicts(rows, pixels)}


def verdicts(rows: dict[str, Result], pixels: int) -> list[tuple[str, float, float | None]]:
    """What is asked of this project, its figure, and the bound, None for what is only told.

    The bound on the CPU is against the others as their documentation recommends them; how far the tuned ones get is
    told. Peers whose outputs do not hold are left out, and between 3 and 11 MP nothing is asked.
    """
    own = rows[OWN]
    others = {peer: row["cpu"] for peer, row in rows.items() if peer not in (OWN, FLOOR) and not row["wrong"]}
    asked: list[tuple[str, float, float | None]] = [
        ("outputs outside their caps or dimensions", float(len(own["wrong"])), 0.0),
        ("× the floor's CPU", own["cpu"] / rows[FLOOR]["cpu"], 4.0),
        ("MB peak RSS", own["rss"] / MB, (8 * pixels + 60e6) / MB),
    ]
    target = 0.7 if pixels > 11e6 else 0.9 if pixels < 3e6 else None
    for kind, bound in ((False, target), (True, None)):
        if alike := {peer: cpu for peer, cpu in others.items() if peer.endswith(TUNED) is kind}:
            best = min(alike, key=alike.__getitem__)
            asked.append((f"× the best other's CPU ({best})", own["cpu"] / alike[best], bound))
    return asked


def show(found: Result, absent: dict[str, str]) -> None:
    """A table for people."""
    size = f"{found['pixels'] / 1e6:.1f} MP, {found['bytes'] / MB:.1f} MB"
    print(f"\n{found['file']}: {size}. SSIM of {', '.join(LIMITS)}.")
    print(
        f"  {'':14} {'CPU ms':>7} {'× floor':>7} {'wall':>6} {'start':>6} {'RSS MB':>6} {'idle':>5} {'trials':>6}  SSIM"
    )
    floor = found["peers"][FLOOR]["cpu"]
    for peer, row in found["peers"].items():
        times = (
            f"{row['cpu'] * 1000:7.0f} {row['cpu'] / floor:7.2f} {row['wall'] * 1000:6.0f} {row['startup'] * 1000:6.0f}"
        )
        memory = f"{row['rss'] / MB:6.0f} {row['baseline_rss'] / MB:5.0f} {row['trials']:6}"
        print(f"  {peer:14} {times} {memory}  {' '.join(f'{value:.4f}' for value in row['ssim'].values())}")
        for fault in row["wrong"]:
            print(f"  {'':14} {fault}")
    for peer, why in absent.items():
        print(f"  {peer:14} left out: {why}")
    print(f"  {'; '.join(sorted({row['version'] for row in found['peers'].values()}))}")
    for what, figure, bound in found["verdicts"]:
        word = "       " if bound is None else "met    " if figure <= bound else "MISSED "
        print(f"  {word}{figure:7.2f} {what}{'' if bound is None else f' (at most {bound:.2f})'}")


def show_caps(found: list[byte_caps.Case]) -> None:
    """The second table: the cases in which the cap binds, and what follows from them."""
    print("\nByte caps: this project's search | a binary search. SSIM against the picture before the encoding.")
    print(f"  {'picture':14} {'px':>5} {'cap kB':>7} {'trials':>10} {'kB':>13} {'SSIM':>15}  traded by this project")
    for case in (case for case in found if case.binds):
        trials, sizes = f"{case.trials} | {case.plain_trials}", f"{case.size / 1e3:.0f} | {case.plain_size / 1e3:.0f}"
        alike = f"{case.ssim:.4f} | {case.plain_ssim:.4f}"
        line = f"{case.edge:5} {case.cap / 1e3:7.0f} {trials:>10} {sizes:>13} {alike:>15}"
        print(f"  {case.picture[:14]:14} {line}  {case.trade}")
    total = byte_caps.summary(found)
    share, trials = total["cpu_share"], f"mean {total['mean_trials']:.2f}, most {total['most_trials']}"
    print(f"  cap binds in {total['binding']} of {total['cases']} cases; CPU {share:.2f} × that of the binary search")
    print(f"  trials: {trials}; binary search: mean {total['mean_plain_trials']:.2f}")
    print(f"  most SSIM lost where quality alone gave way: {total['most_ssim_lost_by_quality']:.4f}")
    for figure, bound, what in (
        (total["median_trials"], 2.0, f"median trials (the other {total['median_plain_trials']:.0f})"),
        (total["most_ssim_lost"], 0.002, f"most SSIM lost (median {total['median_ssim_lost']:.4f})"),
        (total["over_cap"], 0.0, "files over their cap"),
    ):
        print(f"  {'met    ' if figure <= bound else 'MISSED '}{figure:7.4f} {what} (at most {bound:g})")


def main() -> None:
    """Print tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="also every JPEG of this folder")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each peer on each file (5)")
    parser.add_argument("--only", action="append", choices=COMMANDS, help="besides this project; may be given again")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.rounds < 1:
        parser.error("--rounds must be at least 1")
    peers = [peer for peer in COMMANDS if peer in (FLOOR, OWN) or not asked.only or peer in asked.only]
    absent = {peer: why for peer in peers if (why := missing(peer))}
    peers = [peer for peer in peers if peer not in absent]
    with TemporaryDirectory() as folder:
        files = list(write_photographs(Path(folder)).values())
        if asked.photos:
            files += sorted(path for path in asked.photos.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
        for source in files:
            found = bench(source, peers, asked.rounds, Path(folder))
            if asked.json:
                print(json.dumps(found | {"absent": absent}), flush=True)
            else:
                show(found, absent)
        capped = list(byte_caps.cases(files))
    if asked.json:
        print(json.dumps({"byte_caps": [asdict(case) for case in capped], **byte_caps.summary(capped)}))
    else:
        show_caps(capped)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
