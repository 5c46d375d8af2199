"""Uploads with a vendor that fails a share of its calls: is everything decided, by whom, and how soon?

    python -m bench.moderation [--uploads 1000] [--failing 0.3] [--rate 2.5]

Uploads come evenly at `--rate` per second, so that the times are those of moderation and not of a queue in front of it.
A tenth of them is to be rejected. Time to verdict is counted from acceptance to the decision that ended the upload.
"""

import argparse
import asyncio
import time
from typing import cast

from bench.stack import Bench, own_stack, photographs, quantile
from cli.demo.public_api import PublicApi

LIBRARY = "bench"
_DECIDED = """
    SELECT EXTRACT(EPOCH FROM d.created_at - m.accepted_at)::float, d.verdict, d.decided_by,
           EXISTS (SELECT FROM decision r WHERE r.media_id = m.id AND NOT r.final)
    FROM media m JOIN library l ON l.id = m.library_id LEFT JOIN decision d ON d.media_id = m.id AND d.final
    WHERE l.slug = %s
"""


async def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.moderation", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--failing", type=float, default=0.3, help="share of the vendor's calls that fail (0..1)")
    parser.add_argument("--rate", type=float, default=2.5, help="uploads per second")
    asked = parser.parse_args()
    async with own_stack() as bench, bench.library(LIBRARY) as api:
        await bench.vendor("PUT", "/control/generic", json={"error_rate": asked.failing, "seed": 7})
        began = time.monotonic()
        await _send(api, asked.uploads, asked.rate)
        await _until_decided(bench, asked.uploads)
        _report(bench, asked.uploads, time.monotonic() - began)
        counts = (await bench.vendor("GET", "/control/generic")).json()
        print(f"vendor: {counts['calls']} calls, {counts['refused']} of them failed")


async def _send(api: PublicApi, uploads: int, rate: float) -> None:
    began = time.monotonic()
    async with asyncio.TaskGroup() as sending:
        for number in range(uploads):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            verdict = "reject" if number % 10 == 9 else "approve"
            sending.create_task(api.send(photographs(1, edge=640, vendor=verdict, start=number)))
            if number % 100 == 99:
                print(f"{number + 1} sent after {time.monotonic() - began:.0f} s", flush=True)


async def _until_decided(bench: Bench, uploads: int, *, patience: float = 1800) -> None:
    give_up = time.monotonic() + patience
    while time.monotonic() < give_up:
        rows = bench.rows(_DECIDED, LIBRARY)
        if len(rows) == uploads and all(row[0] is not None or row[3] for row in rows):
            return
        await asyncio.sleep(2)


def _report(bench: Bench, uploads: int, seconds: float) -> None:
    rows = bench.rows(_DECIDED, LIBRARY)
    times = sorted(cast("float", row[0]) for row in rows if row[0] is not None)
    alone = sum(row[0] is not None and not row[3] for row in rows)
    verdicts = {verdict: sum(row[1] == verdict for row in rows) for verdict in ("approve", "reject", "quarantine")}
    print(f"{uploads} uploads in {seconds:.0f} s: {len(rows)} accepted, {len(times)} decided ({verdicts})")
    print(f"decided {len(times) / uploads:.1%}, without a person {alone / uploads:.1%}")
    middle, late = quantile(times, 0.5), quantile(times, 0.95)
    print(f"time to verdict: p50 {middle:.2f} s, p95 {late:.2f} s, most {times[-1]:.2f} s")


if __name__ == "__main__":
    asyncio.run(main())
