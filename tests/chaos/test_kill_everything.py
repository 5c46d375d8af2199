"""`kill -9` of every part at random moments under load: nothing is lost, nothing is filed twice, nothing is left over.

The schedule follows from `MEDIAGATE_CHAOS_SEED`; what it hits depends on timing, as in life.
"""

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest

from tests.chaos import ledger
from tests.chaos.books import assert_in_order
from tests.chaos.killable import PARTS, KillableStack
from tests.chaos.load import Shipment, shipments
from tests.chaos.uploader import Uploader
from tests.chaos.waits import Waits

SEED = int(os.environ.get("MEDIAGATE_CHAOS_SEED", "20261121"))
FILES = int(os.environ.get("MEDIAGATE_CHAOS_FILES", "72"))
KILLS_OF_EACH = 2
FORM = 3
"""Files that are sent together by every second request."""

BACKEND = "postgres backend"
CRASH = "everything"
SETTLE_SECONDS = 240
"""Patience, not a promise: an upload may lose three steps in a row to kills, each found out after up to 30 s."""


def schedule(random: Random) -> list[str]:
    """Every part twice and a backend of Postgres in some order, and everything at once in the middle."""
    kills = [BACKEND, *(part for part in PARTS for _ in range(KILLS_OF_EACH))]
    random.shuffle(kills)
    return [*kills[: len(kills) // 2], CRASH, *kills[len(kills) // 2 :]]


class Load:
    """Uploads that run beside the kills."""

    def __init__(self, uploader: Uploader) -> None:
        self._uploader = uploader
        self._tasks: list[asyncio.Task[Any]] = []

    def send(self, files: list[Shipment]) -> None:
        """Send these from now on: those that share a caption together, the others each alone."""
        together = [file for file in files if file.caption == "sim:approve"]
        jobs: list[Coroutine[Any, Any, Any]] = [self._uploader.send(file) for file in files if file not in together]
        if together:
            jobs.append(self._uploader.send_together(together))
        self._tasks += [asyncio.create_task(job) for job in jobs]

    async def answered(self) -> None:
        """Return when every file has its answer."""
        await asyncio.gather(*self._tasks)


@contextmanager
def repeatable() -> Iterator[None]:
    """Name the seed with a failure."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"Repeat it with MEDIAGATE_CHAOS_SEED={SEED}")
        raise


@pytest.mark.timeout(600)
async def test_killed_at_random_under_load_nothing_is_lost_doubled_or_left_over(
    stack: KillableStack, capsys: pytest.CaptureFixture[str]
) -> None:
    random, began = Random(SEED), time.monotonic()
    files, kills = shipments(random, FILES), schedule(random)
    with repeatable():
        async with stack.http() as http:
            uploader = Uploader(http, stack.addresses["library"], Random(SEED))
            load = Load(uploader)
            share = -(-len(files) // len(kills))
            for number, target in enumerate(kills):
                load.send(files[number * share : (number + 1) * share])
                await asyncio.sleep(random.uniform(0.2, 1.6))
                await _kill(stack, target)
            await load.answered()
            answered = time.monotonic() - began
            waits = Waits(stack)
            async with stack.frequent_sweeps():
                rows = await ledger.settled(stack, seconds=SETTLE_SECONDS, waits=waits)
        settled = time.monotonic() - began
        objects, longest = await assert_in_order(stack, rows, uploader)
    lines = [
        f"seed {SEED}: {len(files)} files; kills {dict(Counter(kills))}",
        f"{len(rows.accepted)} accepted, {len(rows.media) - len(rows.accepted)} sessions given up, {objects} objects",
        f"all answered after {answered:.0f} s, all settled after {settled:.0f} s; sent again: {dict(uploader.retries)}",
        f"waited at the end for: {waits.longest()}",
        f"longest history {longest} events; restarts { {part: stack.restarts(part) for part in PARTS} }",
    ]
    with capsys.disabled():
        sys.stdout.write("\n  ".join(["", *lines, ""]))


async def _kill(stack: KillableStack, target: str) -> None:
    if target == CRASH:
        await stack.crash()
        await stack.start()
    elif target == BACKEND:
        await stack.kill_backend()
    else:
        await stack.kill(target)
