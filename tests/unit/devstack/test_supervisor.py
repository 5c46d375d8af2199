"""Processes are watched, restarted and stopped; the processes here are one-line Python programs."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from devstack.errors import StackFailed
from devstack.events import Event
from devstack.folders import read_json, write_json
from devstack.processes import Command, create_time, end_leftover
from devstack.state import StateDir
from devstack.supervisor import Service, Supervisor

STAY = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(300)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + STAY
ENDS = "print('the reason'); raise SystemExit(7)"


@dataclass
class Bench:
    """A supervisor and what it says."""

    state: StateDir
    events: "asyncio.Queue[Event]" = field(default_factory=asyncio.Queue)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(self.state, self.events.put_nowait, self.hurry)

    def service(self, name: str, program: str, *, start_seconds: float = 30, stop_seconds: float = 30) -> Service:
        """Ready once the program has made the file that it is given."""
        flag = self.state.path / f"{name}.ready"
        command = Command((sys.executable, "-c", program, str(flag)), env={"PATH": os.defpath})

        async def ready(started: datetime) -> str | None:
            return None if flag.exists() and flag.stat().st_mtime >= started.timestamp() - 0.1 else "no file yet"

        return Service(name, command, ready=ready, start_seconds=start_seconds, stop_seconds=stop_seconds)

    async def heard(self, kind: str) -> Event:
        """The next event of this kind."""
        async with asyncio.timeout(30):
            while (event := await self.events.get()).kind != kind:
                continue
        return event


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(StateDir.open(tmp_path / "state"))
    yield bench
    bench.hurry.set()
    await bench.supervisor.stop()


class TestSupervisor:
    async def test_a_process_that_dies_is_started_again_with_a_new_record(self, bench: Bench) -> None:
        await bench.supervisor.start(bench.service("one", STAY))
        first = bench.supervisor.pids["one"]
        os.kill(first, signal.SIGKILL)
        died = await bench.heard("died")
        await bench.heard("restarted")
        second = bench.supervisor.pids["one"]
        assert "SIGKILL" in died.text
        assert first != second == read_json(bench.state.record("one"))["pid"]

    async def test_a_process_that_ends_at_once_fails_the_start_with_its_log(self, bench: Bench) -> None:
        with pytest.raises(StackFailed, match=r"one ended with code 7\.\nthe reason"):
            await bench.supervisor.start(bench.service("one", ENDS))

    async def test_a_process_that_is_not_ready_in_time_fails_the_start_and_says_why(self, bench: Bench) -> None:
        service = bench.service("one", "import time; time.sleep(300)", start_seconds=0.2)
        with pytest.raises(StackFailed, match=r"one was not ready after 0\.2 s: no file yet"):
            await bench.supervisor.start(service)

    async def test_a_failed_preparation_names_the_service(self, bench: Bench) -> None:
        async def prepare() -> None:
            raise OSError("no such thing")

        service = bench.service("one", STAY)
        with pytest.raises(StackFailed, match="one could not be prepared: no such thing"):
            await bench.supervisor.start(Service(service.name, service.command, ready=service.ready, prepare=prepare))

    async def test_stop_ends_all_and_removes_the_records(self, bench: Bench) -> None:
        await bench.supervisor.start(bench.service("one", STAY))
        await bench.supervisor.start(bench.service("two", STAY))
        pids = bench.supervisor.pids
        await bench.supervisor.stop()
        assert set(pids) == {"one", "two"}
        assert not any(psutil.pid_exists(pid) for pid in pids.values())
        assert list(bench.state.run.iterdir()) == []

    async def test_a_process_that_ignores_the_signal_is_killed_at_its_deadline(self, bench: Bench) -> None:
        await bench.supervisor.start(bench.service("one", STUBBORN, stop_seconds=0.2))
        pid = bench.supervisor.pids["one"]
        await bench.supervisor.stop()
        assert not psutil.pid_exists(pid)
        assert "killed" in (await bench.heard("warning")).text

    async def test_a_hurry_does_not_wait_for_the_deadline(self, bench: Bench) -> None:
        await bench.supervisor.start(bench.service("one", STUBBORN, stop_seconds=300))
        bench.hurry.set()
        async with asyncio.timeout(20):
            await bench.supervisor.stop()
        assert bench.supervisor.pids == {}


class TestLeftovers:
    async def test_a_process_of_a_previous_run_is_ended_before_the_start(self, bench: Bench) -> None:
        # Not our child, as after a kill of the supervisor that started it.
        shell = await asyncio.create_subprocess_exec(
            "sh", "-c", "sleep 300 >/dev/null & echo $!", stdout=asyncio.subprocess.PIPE
        )
        pid = int((await shell.communicate())[0])
        write_json(bench.state.record("one"), {"pid": pid, "create_time": create_time(pid)})
        await bench.supervisor.start(bench.service("one", STAY))
        assert not psutil.pid_exists(pid)
        assert "previous run" in (await bench.heard("warning")).text

    def test_no_record_means_nothing_to_end(self, tmp_path: Path) -> None:
        assert end_leftover(tmp_path / "none.json", signal.SIGTERM, 1) is False
