"""The worker as a process: it drains, it quits, it dies, and no upload suffers."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import psycopg
import pytest

from devstack.folders import ROOT
from tests.chaos import ledger
from tests.chaos.killable import KillableStack, clean_environment, until
from tests.chaos.load import shipment
from tests.chaos.test_owed_work import one, reject
from tests.chaos.uploader import Uploader

pytestmark = pytest.mark.timeout(300)

BLOCKED = """
SELECT count(DISTINCT client_port) AS n FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND client_port <> ALL (%s)
"""


class Blockade:
    """Locks that hold the activities up at a chosen point, without failing them."""

    def __init__(self, stack: KillableStack, connection: "psycopg.Connection[Any]") -> None:
        self._stack = stack
        self._connection = connection
        self._gone: list[int] = []

    def renderings(self) -> None:
        """No rendering can write its manifest."""
        self._connection.execute("LOCK TABLE variant IN EXCLUSIVE MODE")

    def commit_of(self, media_id: str) -> None:
        """Its filing makes all copies, but cannot commit."""
        self._connection.execute("SELECT 1 FROM media WHERE id = %s FOR NO KEY UPDATE", (media_id,))

    async def holds(self, count: int) -> None:
        """Return when that many of the living worker's connections wait for a lock."""
        waiting = lambda: (one(self._stack, BLOCKED, self._gone) or {"n": 0})["n"] >= count  # noqa: E731
        await until(waiting, seconds=60, what=f"{count} activities are held up")

    def forget_the_dead(self) -> None:
        """Backends of a killed client wait on for their locks: from here on others are meant."""
        query = "SELECT client_port FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        self._gone += [row[0] for row in self._connection.execute(query)]

    def lift(self) -> None:
        """Let everything go on."""
        self._connection.rollback()


@contextmanager
def blockade(stack: KillableStack) -> Iterator[Blockade]:
    """Locks for the time of the block at most."""
    with psycopg.connect(stack.addresses["database_url"]) as connection:
        yield Blockade(stack, connection)


class TestSignals:
    async def test_sigterm_lets_running_work_finish_and_ends_with_zero(self, stack: KillableStack) -> None:
        file = shipment("drained.jpg", "approve", Random(3))
        async with stack.http() as http:
            with blockade(stack) as held:
                held.renderings()
                media_id = await Uploader(http, stack.addresses["library"], Random(3)).send(file)
                await held.holds(1)
                async with stack.replaced("worker"):
                    worker = await stack.living("worker")
                    worker.send_signal(signal.SIGTERM)
                    await until(lambda: "worker.draining" in _words(stack), seconds=10, what="it drains")
                    held.lift()
                    await asyncio.to_thread(worker.wait, 30)
        attempts = {line["activity"]: line["attempt"] for line in _done(stack, media_id)}
        assert attempts["verify_and_render"] == 1
        assert stack.deaths("worker")[-1].partition(";")[0] == "worker ended by itself (code 0)"
        ended = await ledger.settled(stack, seconds=60)
        ledger.assert_promises_kept(ended, {media_id: file})
        ledger.assert_once(ended)

    async def test_a_second_signal_quits_at_once(self, stack: KillableStack) -> None:
        file = shipment("quit.jpg", "approve", Random(4))
        async with stack.http() as http:
            with blockade(stack) as held:
                held.renderings()
                await Uploader(http, stack.addresses["library"], Random(4)).send(file)
                await held.holds(1)
                async with stack.replaced("worker"):
                    worker = await stack.living("worker")
                    worker.send_signal(signal.SIGTERM)
                    await until(lambda: "worker.draining" in _words(stack), seconds=10, what="it drains")
                    worker.send_signal(signal.SIGTERM)
                    await asyncio.to_thread(worker.wait, 2)
                    held.lift()
        assert stack.deaths("worker")[-1].partition(";")[0] == "worker ended by itself (code 143)"

    async def test_sigterm_while_temporal_is_away_still_ends_it(self, stack: KillableStack) -> None:
        async with stack.replaced("worker"), stack.frozen("temporal"):
            worker = await stack.living("worker")
            worker.send_signal(signal.SIGTERM)
            await asyncio.to_thread(worker.wait, stack.settings.shutdown_grace + 5)
        assert stack.deaths("worker")[-1].partition(";")[0] == "worker ended by itself (code 1)"

    def test_without_temporal_it_ends_with_one_clear_line(self) -> None:
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))  # nobody listens
            address = f"127.0.0.1:{reserved.getsockname()[1]}"
            secrets = {"MEDIAGATE_DELIVERY_SECRETS": "s", "MEDIAGATE_VENDOR_WEBHOOK_SECRETS": "whsec_c2VjcmV0"}
            ended = subprocess.run(
                [sys.executable, "worker.py"],
                cwd=ROOT,
                env=clean_environment() | secrets | {"TEMPORAL_ADDRESS": address, "TEMPORAL_CONFIG_FILE": "/dev/null"},
                capture_output=True,
                text=True,
                check=False,
                timeout=30,
            )
        lines = (ended.stdout + ended.stderr).splitlines()
        assert ended.returncode == 1
        assert len(lines) == 1
        assert address in lines[0]


class TestRoles:
    def test_one_that_does_not_exist_is_named_beside_those_that_do(self) -> None:
        ended = subprocess.run(
            [sys.executable, "worker.py", "--role", "io,gpu"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 2
        assert "no role: gpu; there are flow, io, cpu, vendor, all" in ended.stderr


class TestKilled:
    async def test_twice_in_the_middle_of_rendering_and_filing_condemns_nobody(self, stack: KillableStack) -> None:
        rendered, filed = (
            shipment("innocent.jpg", "approve", Random(5)),
            shipment("half-filed.jpg", "silent", Random(6)),
        )
        async with stack.http() as http:
            uploader = Uploader(http, stack.addresses["library"], Random(5))
            filing = await uploader.send(filed)
            submitted = "SELECT 1 FROM media_event WHERE media_id = %s AND kind = 'submitted'"
            await until(lambda: one(stack, submitted, filing) is not None, seconds=60, what="it is submitted")
            with blockade(stack) as held:
                held.commit_of(filing)
                await reject(stack, http, filing)
                await held.holds(1)
                held.renderings()
                rendering = await uploader.send(rendered)
                await held.holds(2)
                for expected in (1, 0):  # the rendering comes back after its heartbeat's timeout, the filing later
                    held.forget_the_dead()
                    async with stack.replaced("worker"):
                        await stack.kill("worker")
                    await held.holds(expected)
                held.lift()
            ended = await ledger.settled(stack, seconds=90)
        assert one(stack, "SELECT status, reason FROM media WHERE id = %s", rendering) == {
            "status": "approved",
            "reason": "clean",
        }
        assert one(stack, "SELECT status FROM media WHERE id = %s", filing) == {"status": "rejected"}
        ledger.assert_once(ended)
        await ledger.assert_objects_match(stack, ended)


def _words(stack: KillableStack) -> set[str]:
    return {str(line["event"]) for line in _last_life(stack)}


def _last_life(stack: KillableStack) -> list[dict[str, Any]]:
    """What the last worker process said that has started."""
    lines = stack.log("worker")
    starts = [number for number, line in enumerate(lines) if line["event"] == "worker.started"]
    return lines[starts[-1] :]


def _done(stack: KillableStack, media_id: str) -> list[dict[str, Any]]:
    return [
        line for line in stack.log("worker") if line["event"] == "activity.done" and line.get("media_id") == media_id
    ]
