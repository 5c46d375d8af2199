"""Processes for pictures: what they give back, and what ends with them."""

import asyncio
import operator
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from mediagate.errors import DecoderDied
from mediagate.imaging import MemoryBudget, Refused, inspect
from mediagate.imaging.pool import PicturePool
from mediagate.media.values import MIB, Limits, Refusal

BUDGET = 64 * MIB


@pytest.fixture
async def pool() -> AsyncIterator[PicturePool]:
    made = PicturePool(1, MemoryBudget(BUDGET), time_limit=20)
    yield made
    await asyncio.to_thread(made.close)


class TestWork:
    async def test_runs_elsewhere_and_gives_its_result_back(self, pool: PicturePool) -> None:
        assert await pool.run(1, os.getpid) != os.getpid()

    async def test_a_refusal_comes_back_as_it_was_raised(self, pool: PicturePool, tmp_path: Path) -> None:
        path = tmp_path / "x"
        path.write_bytes(b"no picture")
        with pytest.raises(Refused) as caught:
            await pool.run(1, inspect, path, declared_type="image/png", limits=Limits())
        assert caught.value.reason is Refusal.UNKNOWN_TYPE

    async def test_has_a_bound_on_memory_and_writes_no_core(self, pool: PicturePool) -> None:
        space, _ = await pool.run(1, resource.getrlimit, resource.RLIMIT_AS)
        core, _ = await pool.run(1, resource.getrlimit, resource.RLIMIT_CORE)
        assert BUDGET < space <= BUDGET + 4 * 1024 * MIB
        assert core == 0


class TestAHostileFile:
    async def test_that_crashes_its_decoder_ends_only_its_own_work(self, pool: PicturePool) -> None:
        first = await pool.run(1, os.getpid)
        with pytest.raises(DecoderDied, match="exit code -11"):
            await pool.run(1, signal.raise_signal, signal.SIGSEGV)
        assert await pool.run(1, os.getpid) != first

    async def test_that_hangs_its_decoder_is_stopped(self) -> None:
        impatient = PicturePool(1, MemoryBudget(BUDGET), time_limit=0.2)
        with pytest.raises(DecoderDied, match=r"still at work after 0\.2 s"):
            await impatient.run(1, signal.pause)
        assert await impatient.run(1, operator.add, 1, 2) == 3
        await asyncio.to_thread(impatient.close)

    async def test_that_wants_all_memory_gets_none(self, pool: PicturePool) -> None:
        with pytest.raises(DecoderDied, match="more memory"):
            await pool.run(1, bytearray, 64 * 1024 * MIB)
        assert await pool.run(1, operator.add, 1, 2) == 3


class TestClosing:
    async def test_ends_what_is_at_work_and_what_waits_for_its_turn(self, tmp_path: Path) -> None:
        """A worker that drains would stand still otherwise, until somebody killed it."""
        busy, begun = PicturePool(1, MemoryBudget(BUDGET), time_limit=60), tmp_path / "begun"
        work = [asyncio.create_task(busy.run(1, _hang, begun)) for _ in range(2)]
        async with asyncio.timeout(20):
            while not begun.exists():
                await asyncio.sleep(0.01)
            await asyncio.to_thread(busy.close)
        ends = await asyncio.gather(*work, return_exceptions=True)
        assert [(type(end), "its worker ends" in str(end)) for end in ends] == [(DecoderDied, True)] * 2


def _hang(begun: Path) -> None:
    begun.touch()
    signal.pause()


OWNER = """
import asyncio, os
from mediagate.imaging import MemoryBudget
from mediagate.imaging.pool import PicturePool
pool = PicturePool(1, MemoryBudget(1 << 20), time_limit=60)
print(asyncio.run(pool.run(1, os.getpid)), flush=True)
os.kill(os.getpid(), 9)
"""


class TestTheOwnersEnd:
    def test_a_killed_worker_leaves_no_process_behind(self) -> None:
        owner = subprocess.run([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, timeout=60, check=False)
        child, deadline = int(owner.stdout), time.monotonic() + 30
        while psutil.pid_exists(child) and time.monotonic() < deadline:
            os.sched_yield()
        assert owner.returncode == -signal.SIGKILL
        assert not psutil.pid_exists(child)
