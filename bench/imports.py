"""An import of thousands of small objects, paused, resumed, and with its workers killed in the middle.

    python -m bench.imports [--files 5000] [--at-once 20] [--singles 20]

Meanwhile another library sends single uploads, timed from the request to the item being approved, first on an idle
stack. In the end the books are checked: every object became one item that was accepted and decided once, and never more
uploads were under way than asked for.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.stack import Bench, own_stack, photographs, quantile, until_decided
from cli.demo.public_api import PublicApi
from devstack.environment import applied, whole_environment
from mediagate import wiring

SOURCE, LIBRARY = "archive", "importer"
PREFIX = "imports/bench/"
PAUSE = 3.0
PAUSED = 10.0
"""Seconds for which the import rests, after what was under way has ended."""
_UNDER_WAY = """
    SELECT coalesce(max(open), 0) FROM (
        SELECT sum(change) OVER (ORDER BY at, change) AS open FROM (
            SELECT accepted_at AS at, 1 AS change FROM media WHERE batch_id = %s
            UNION ALL SELECT filed_at, -1 FROM media WHERE batch_id = %s AND filed_at IS NOT NULL) AS moments) AS sums
"""
_BOOKS = """
    SELECT count(*), count(*) FILTER (WHERE status = 'approved'), count(DISTINCT sha256),
           (SELECT count(*) FROM media_event e JOIN media n ON n.id = e.media_id
            WHERE n.batch_id = %s AND e.kind = 'accepted'),
           (SELECT count(*) FROM decision d JOIN media n ON n.id = d.media_id WHERE n.batch_id = %s AND d.final)
    FROM media WHERE batch_id = %s
"""


async def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.imports", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--singles", type=int, default=20, help="uploads of the other library, at least, in each phase")
    asked = parser.parse_args()
    with applied({"MEDIAGATE_IMPORT_SOURCES": json.dumps({SOURCE: {"libraries": [LIBRARY], "prefix": PREFIX}})}):
        async with own_stack() as bench, bench.library(LIBRARY), bench.library("single") as single:
            manifest = await _stocked(bench, asked.files)
            numbers = iter(range(10**6, 2 * 10**6))
            await _singles(single, numbers, 5)  # caches, connections, picture processes
            idle = await _singles(single, numbers, asked.singles)
            began = time.monotonic()
            one = await _mediagate(bench, "start", manifest, "--library", LIBRARY, "--source", SOURCE, *_at_once(asked))
            following = asyncio.create_task(_disturbed(bench, one["id"], asked.files))
            during = await _singles(single, numbers, asked.singles, until=following)
            await following
            _show(bench, one["id"], asked, time.monotonic() - began, idle, during)


def _at_once(asked: argparse.Namespace) -> tuple[str, str]:
    return "--at-once", str(asked.at_once)


async def _stocked(bench: Bench, files: int) -> Path:
    """Put the objects where the source begins; the manifest that names them."""
    store, lines = wiring.open_store(bench.stack.settings), []
    for start in range(0, files, 50):
        some = photographs(min(50, files - start), edge=320, start=start)
        await asyncio.gather(
            *(store.put(PREFIX + one.filename, one.data or b"", content_type=one.content_type) for one in some)
        )
        lines += [json.dumps({"key": PREFIX + one.filename, "caption": one.caption}) for one in some]
    store.close()
    manifest = bench.stack.state.path / "manifest.jsonl"
    await asyncio.to_thread(manifest.write_text, "\n".join(lines))
    return manifest


async def _disturbed(bench: Bench, import_id: str, files: int) -> None:
    """Pause and resume at a third, kill the worker at a half, and wait for the end."""
    await _until(bench, import_id, f"imported >= {files // 3}")
    await _mediagate(bench, "pause", import_id)
    await _until(bench, import_id, "under_way = 0")
    at = _imported(bench, import_id)
    await asyncio.sleep(PAUSED)
    if _imported(bench, import_id) != at:
        raise SystemExit("The import went on while it was paused.")
    print(f"paused at {at} of {files}, and resumed {PAUSED:.0f} s after the last one under way had ended")
    await _mediagate(bench, "resume", import_id)
    await _until(bench, import_id, f"imported >= {files // 2}")
    os.kill(bench.stack.pids["worker"], signal.SIGKILL)
    print("the worker was killed at a half")
    await _until(bench, import_id, "ended_at IS NOT NULL")


async def _until(bench: Bench, import_id: str, condition: str, *, patience: float = 7200) -> None:
    give_up = time.monotonic() + patience
    while time.monotonic() < give_up:
        if bench.rows(f"SELECT {condition} FROM import WHERE id = %s", import_id)[0][0]:
            return
        await asyncio.sleep(0.5)
    raise SystemExit(f"Not within {patience:.0f} s: {condition}.")


def _imported(bench: Bench, import_id: str) -> int:
    return int(str(bench.rows("SELECT imported FROM import WHERE id = %s", import_id)[0][0]))


async def _singles(
    api: PublicApi, numbers: Iterator[int], count: int, *, until: "asyncio.Task[None] | None" = None
) -> list[float]:
    """Seconds that single uploads took, one after the other: so many, and on until that task is done."""
    times: list[float] = []
    while len(times) < count or not (until is None or until.done()):
        began = time.monotonic()
        (item,) = await api.send(photographs(1, edge=640, start=next(numbers)))
        await until_decided(api, item["media_id"])
        times.append(time.monotonic() - began)
        await asyncio.sleep(PAUSE)
    return times


async def _mediagate(bench: Bench, *arguments: object) -> dict[str, Any]:
    """What `mediagate imports …` says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "imports", *map(str, arguments), "--json"),
        env=whole_environment(bench.stack.environment),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"mediagate imports {arguments[0]}: {output.decode()}")
    found: dict[str, Any] = json.loads(output)
    return found


def _show(
    bench: Bench, import_id: str, asked: argparse.Namespace, seconds: float, idle: list[float], during: list[float]
) -> None:
    (widest,) = bench.rows(_UNDER_WAY, import_id, import_id)[0]
    items, approved, distinct, accepted, decided = bench.rows(_BOOKS, import_id, import_id, import_id)[0]
    print(f"{asked.files} objects in {seconds:.0f} s, {asked.files / seconds:.2f}/s, all rests included")
    print(f"items {items}, approved {approved}, distinct {distinct}, accepted {accepted}, decided {decided}")
    print(f"under way at a time: at most {widest}, asked for {asked.at_once}")
    for name, times in (("idle", idle), ("during the import", during)):
        print(
            f"{name:>18}: {len(times)} single uploads, p50 {statistics.median(times):.2f} s,"
            f" p95 {quantile(times, 0.95):.2f} s, most {max(times):.2f} s"
        )
    if (items, approved, distinct, accepted, decided) != (asked.files,) * 5 or int(str(widest)) > asked.at_once:
        raise SystemExit("The books are wrong.")


if __name__ == "__main__":
    asyncio.run(main())
