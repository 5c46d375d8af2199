"""`mediagate dev` as a process of its own, on a state folder of its own, whose parts can be killed one by one."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from temporalio.client import Client
from temporalio.service import RPCError

from devstack.environment import OURS, settings_from
from devstack.folders import read_json
from devstack.ports import LOOPBACK
from devstack.processes import recorded_process
from devstack.state import StateDir
from mediagate import temporal
from mediagate.settings import Settings
from workflows.messages import SweepInput, SweepResult
from workflows.names import DEFAULT_PREFIX, Role, sweep_schedule_id, task_queue

PARTS = ("api", "worker", "temporal", "s3", "postgres")
START_SECONDS = 240
COMMAND = (sys.executable, "-m", "cli.main", "dev", "--json")


async def until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Return when it holds; fail after that many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.05)


def clean_environment() -> dict[str, str]:
    """Ours, without services of the caller's."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


class KillableStack:
    """A whole local stack. `variables` are added to what its processes find in their environment, `options` to the
    command."""

    def __init__(self, folder: Path, variables: dict[str, str], *options: str) -> None:
        self.state = StateDir.open(folder)
        self._command = (*COMMAND, *options)
        self._environment = clean_environment() | variables | {"MEDIAGATE_STATE_DIR": str(folder)}
        self._supervisor: subprocess.Popen[str] | None = None
        self.events: list[dict[str, Any]] = []
        """What the supervisor said, over all its lives."""

    async def start(self) -> None:
        """Start it and wait until everything is ready."""
        assert self._supervisor is None
        self._supervisor = process = self._launch()
        seen = len(self.events)

        def ready() -> bool:
            assert process.poll() is None, f"dev ended: {self.events[-8:]}"
            return any("s3_url" in event for event in self.events[seen:])

        await until(ready, seconds=START_SECONDS, what="the stack is ready")

    def _launch(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(self._command, env=self._environment, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        return process

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self.events.append(json.loads(line))

    async def stop(self) -> None:
        """Stop it in order; does nothing if it does not run."""
        if self._supervisor is not None:
            self._supervisor.send_signal(signal.SIGTERM)
            await asyncio.to_thread(self._supervisor.wait, 90)
            self._supervisor = None

    async def crash(self) -> None:
        """`kill -9` of the supervisor and every process below it, at once."""
        assert self._supervisor is not None
        supervisor = psutil.Process(self._supervisor.pid)
        everything = [supervisor, *supervisor.children(recursive=True)]
        for process in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        await asyncio.to_thread(self._supervisor.wait, 20)
        await asyncio.to_thread(psutil.wait_procs, everything, 20)
        self._supervisor = None

    # One part

    def process(self, part: str) -> psutil.Process | None:
        """Its process, also while it is still starting; None while there is none."""
        return recorded_process(self.state.record(part))

    async def living(self, part: str) -> psutil.Process:
        """Its process, once there is one."""
        await until(lambda: self.process(part) is not None, seconds=60, what=f"{part} lives")
        process = self.process(part)
        assert process is not None
        return process

    async def kill(self, part: str) -> None:
        """`kill -9`, as soon as there is somebody to kill."""
        with contextlib.suppress(psutil.NoSuchProcess):
            (await self.living(part)).kill()

    async def kill_backend(self) -> None:
        """`kill -9` of one process of Postgres that serves a client: Postgres then ends all others and recovers."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = (await self.living("postgres")).children()
            backends = [child for child in children if LOOPBACK in " ".join(child.cmdline())]
            if backends:
                backends[-1].kill()

    @asynccontextmanager
    async def replaced(self, part: str) -> AsyncIterator[None]:
        """The block ends this part's process; afterwards it is ready again."""
        seen = self.restarts(part)
        yield
        await until(lambda: self.restarts(part) > seen, seconds=60, what=f"{part} is back")

    def restarts(self, part: str) -> int:
        """How often it came back."""
        return sum(event["event"] == "restarted" and event["service"] == part for event in self.events)

    def away(self) -> list[str]:
        """Parts that ended by themselves, or were killed, and are not ready again."""
        last = {event["service"]: event["event"] for event in self.events if event["event"] in {"died", "restarted"}}
        return [part for part, event in last.items() if event == "died"]

    def deaths(self, part: str) -> list[str]:
        """How its processes ended by themselves, in the supervisor's words."""
        return [event["detail"] for event in self.events if event["event"] == "died" and event["service"] == part]

    @asynccontextmanager
    async def frozen(self, part: str) -> AsyncIterator[psutil.Process]:
        """It neither answers nor ends while the block runs, unless the block kills it."""
        process = await self.living(part)
        process.suspend()
        try:
            yield process
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def log(self, part: str) -> list[dict[str, Any]]:
        """The JSON lines of its log."""
        lines = self.state.log(part).read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    # Ways in

    @property
    def addresses(self) -> dict[str, Any]:
        """`stack.json` as of the last time that everything was ready."""
        return next(event for event in reversed(self.events) if "s3_url" in event)

    @property
    def environment(self) -> dict[str, str]:
        """What its processes were given."""
        return {name: str(value) for name, value in read_json(self.state.environment_file).items()}

    @property
    def settings(self) -> Settings:
        """As its processes read them."""
        return settings_from(self.environment)

    def http(self, **options: Any) -> httpx.AsyncClient:
        """A client with the library's key. `options`: of `httpx.AsyncClient`."""
        return httpx.AsyncClient(
            base_url=f"{self.addresses['api_url']}/api/v1",
            headers={"Authorization": f"Bearer {self.addresses['api_key']}"},
            timeout=30,
            trust_env=False,
            **options,
        )

    async def temporal(self) -> Client:
        """A client of its Temporal server."""
        return await Client.connect(self.addresses["temporal_address"], data_converter=temporal.DATA_CONVERTER)

    @asynccontextmanager
    async def frequent_sweeps(self) -> AsyncIterator[None]:
        """The schedule fires every few seconds while the block runs, not only every minute."""

        async def trigger() -> None:
            schedule = (await self.temporal()).get_schedule_handle(sweep_schedule_id(DEFAULT_PREFIX))
            while True:
                with contextlib.suppress(RPCError):
                    await schedule.trigger()
                await asyncio.sleep(5)

        triggering = asyncio.create_task(trigger())
        try:
            yield
        finally:
            triggering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await triggering

    @asynccontextmanager
    async def without_sweeps(self) -> AsyncIterator[None]:
        """The schedule rests while the block runs."""
        schedule = (await self.temporal()).get_schedule_handle(sweep_schedule_id(DEFAULT_PREFIX))
        await schedule.pause()
        try:
            yield
        finally:
            await (await self.temporal()).get_schedule_handle(schedule.id).unpause()

    async def sweep(self, name: str) -> SweepResult:
        """One sweep that leaves nothing to its own process; `name` makes the run's id."""
        client = await self.temporal()
        result: SweepResult = await client.execute_workflow(
            "SweepWorkflow",
            SweepInput(start_after=_NO_TIME),
            id=f"sweep-{name}",
            task_queue=task_queue(DEFAULT_PREFIX, Role.FLOW),
            result_type=SweepResult,
        )
        return result


_NO_TIME = SweepInput().start_after * 0
