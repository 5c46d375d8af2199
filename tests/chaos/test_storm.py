"""Everything that can go wrong goes wrong under load, in an order that a seed gives; then the books are checked.

`MEDIAGATE_CHAOS_SOAK=1800` goes on for that many seconds (`make soak`), checking the books after every round.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from devstack.discard import discard
from devstack.folders import write_json
from tests.chaos import ledger
from tests.chaos.books import assert_in_order
from tests.chaos.conftest import VARIABLES
from tests.chaos.faults import FAULTS
from tests.chaos.killable import KillableStack
from tests.chaos.load import shipments
from tests.chaos.network import Network, cuttable
from tests.chaos.test_kill_everything import SEED, SETTLE_SECONDS, Load, repeatable
from tests.chaos.uploader import Uploader
from tests.chaos.waits import Waits

SOAK = float(os.environ.get("MEDIAGATE_CHAOS_SOAK", "0"))
FILES_OF_A_FAULT = 3


@pytest.fixture
async def cut_stack(tmp_path: Path) -> AsyncIterator[tuple[KillableStack, Network]]:
    """A running `mediagate dev` whose app reaches Postgres, S3 and Temporal through a proxy."""
    folder = tmp_path / "state"
    async with cuttable(tmp_path) as network:
        stack = KillableStack(folder, VARIABLES | network.variables)
        write_json(stack.state.ports_file, network.ports)
        try:
            await stack.start()
            yield stack, network
        finally:
            await stack.stop()
            discard(folder)


@pytest.mark.timeout(max(600, SOAK + 600))
async def test_whatever_happens_nothing_is_lost_doubled_or_left_over(
    cut_stack: tuple[KillableStack, Network], capsys: pytest.CaptureFixture[str]
) -> None:
    stack, network = cut_stack
    random, began, rounds = Random(SEED), time.monotonic(), 0
    with repeatable():
        async with stack.http() as http:
            uploader = Uploader(http, stack.addresses["library"], Random(SEED))
            while not rounds or time.monotonic() - began < SOAK:
                rounds += 1
                said = await _storm(stack, network, random, uploader)
                with capsys.disabled():
                    sys.stdout.write(f"\n  seed {SEED}, round {rounds}: {said}\n")


async def _storm(stack: KillableStack, network: Network, random: Random, uploader: Uploader) -> str:
    """Every fault once; what a run tells of it."""
    began, names, load = time.monotonic(), list(FAULTS), Load(uploader)
    random.shuffle(names)
    files = shipments(random, FILES_OF_A_FAULT * len(names))
    async with stack.frequent_sweeps():
        for number, name in enumerate(names):
            load.send(files[number * FILES_OF_A_FAULT : (number + 1) * FILES_OF_A_FAULT])
            await asyncio.sleep(random.uniform(0.1, 0.6))
            async with FAULTS[name](stack, network):
                await asyncio.sleep(random.uniform(1.0, 3.0))
        await load.answered()
        answered = time.monotonic() - began
        waits = Waits(stack)
        rows = await ledger.settled(stack, seconds=SETTLE_SECONDS, waits=waits)
    settled = time.monotonic() - began
    objects, longest = await assert_in_order(stack, rows, uploader)
    return (
        f"{len(files)} files under {len(names)} faults ({', '.join(names)}); {len(rows.accepted)} accepted in all,"
        f" {objects} objects; answered after {answered:.0f} s, settled after {settled:.0f} s; sent again:"
        f" {dict(uploader.retries)}; longest history {longest} events; waited at the end for: {waits.longest()}"
    )
