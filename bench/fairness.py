"""One library imports thousands of files; how long does another one's single upload take meanwhile?

    python -m bench.fairness [--import 5000] [--singles 30]

The single uploads are timed from the request that sends the file to the item being approved: first on an idle stack,
then while the import is being sent, then while its backlog is worked on. Each phase waits between two singles, so that
they do not queue behind one another. The import is left unfinished at the end.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Iterator

from bench.stack import Bench, own_stack, photographs, quantile, until_decided
from cli.demo.public_api import PublicApi

FORM = 20
"""Files of one request of the import."""
PAUSE = 3.0


async def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.fairness", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--import", dest="files", type=int, default=5000)
    parser.add_argument("--singles", type=int, default=30, help="uploads of the other library in each phase")
    asked = parser.parse_args()
    async with own_stack() as bench, bench.library("importer") as importer, bench.library("single") as single:
        numbers = iter(range(10**6, 2 * 10**6))
        await _phase(single, numbers, 5)  # caches, connections, picture processes
        idle = await _phase(single, numbers, asked.singles)
        sending = asyncio.create_task(_import(importer, asked.files))
        during = await _phase(single, numbers, asked.singles)
        await sending
        backlog = _open(bench)
        after = await _phase(single, numbers, asked.singles)
        print(f"import: {asked.files} files; {backlog} open when all were sent, {_open(bench)} at the end")
        for name, times in (("idle", idle), ("while it is sent", during), ("while it is worked on", after)):
            middle, most = statistics.median(times), max(times)
            idle_middle = statistics.median(idle)
            print(
                f"{name:>22}: p50 {middle:.2f} s, p95 {quantile(times, 0.95):.2f} s, most {most:.2f} s;"
                f" delay against idle: p50 {middle - idle_middle:+.2f} s, most {most - idle_middle:+.2f} s"
            )


async def _phase(api: PublicApi, numbers: Iterator[int], singles: int) -> list[float]:
    times = []
    for _ in range(singles):
        began = time.monotonic()
        (item,) = await api.send(photographs(1, edge=640, start=next(numbers)))
        status = await until_decided(api, item["media_id"])
        if status != "approved":
            raise SystemExit(f"A single upload ended as {status}.")
        times.append(time.monotonic() - began)
        await asyncio.sleep(PAUSE)
    return times


async def _import(api: PublicApi, files: int) -> None:
    for start in range(0, files, FORM):
        await api.send(photographs(min(FORM, files - start), edge=320, start=start))
        api.exchanges.clear()


def _open(bench: Bench) -> int:
    query = """SELECT count(*) FROM media m JOIN library l ON l.id = m.library_id
               WHERE l.slug = 'importer' AND m.status IN ('accepted', 'processing', 'awaiting_moderation')"""
    return int(str(bench.rows(query)[0][0]))


if __name__ == "__main__":
    asyncio.run(main())
