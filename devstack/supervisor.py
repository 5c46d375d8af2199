"""Starts processes, waits until they are ready, restarts those that die, and stops all in reverse order."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from devstack.errors import StackFailed
from devstack.events import Event, Report
from devstack.processes import Command, end_leftover, log_tail, rotate_log, spawn
from devstack.state import StateDir

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 5.0
STEADY_SECONDS = 60.0
"""A process that lived this long starts again without delay."""

Probe = Callable[[datetime], Awaitable[str | None]]
"""Given when the process was started: None if it is ready, else why not yet. An exception counts as not ready."""


@dataclass(frozen=True, slots=True)
class Service:
    """One supervised process. `prepare` runs before every start, also before a restart."""

    name: str
    command: Command
    ready: Probe
    prepare: Callable[[], Awaitable[None]] | None = None
    start_seconds: float = 60
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10


class Supervised:
    """A service and its present process."""

    def __init__(self, service: Service, state: StateDir, report: Report) -> None:
        self.service = service
        self._state = state
        self._report = report
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The pid while the process lives."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if alive and self._process else None

    async def start(self) -> None:
        """Start, wait until ready, and watch from then on.

        Raises:
            StackFailed: it ended, or was not ready in time; the message carries the end of its log.
        """
        name = self.service.name
        leftover = self._state.record(name)
        if await asyncio.to_thread(end_leftover, leftover, self.service.stop_signal, self.service.stop_seconds):
            self._report(Event("warning", f"ended {name} of a previous run", name))
        rotate_log(self._state.log(name))
        began = time.monotonic()
        await self._launch()
        self._report(Event("ready", f"{name} is ready ({time.monotonic() - began:.1f} s)", name))
        self._watch = asyncio.create_task(self._keep(), name=f"keep {name}")

    async def stop(self, hurry: asyncio.Event) -> None:
        """Ask it to end; kill it when the deadline passes or there is a hurry. Never raises for a dead process."""
        self._stopping = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self.pid is not None and self._process is not None:
            self._signal(self.service.stop_signal)
            ended, hurried = asyncio.create_task(self._process.wait()), asyncio.create_task(hurry.wait())
            await asyncio.wait({ended, hurried}, timeout=self.service.stop_seconds, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
            if self.pid is not None:
                self._report(Event("warning", f"{self.service.name} did not end in time: killed", self.service.name))
                self._signal(signal.SIGKILL)
            await ended
        self._state.record(self.service.name).unlink(missing_ok=True)

    async def _launch(self) -> None:
        service = self.service
        if service.prepare is not None:
            await self._prepare(service.prepare)
        started = datetime.now(UTC)
        log = self._state.log(service.name)
        self._process = await spawn(service.command, log=log, record=self._state.record(service.name))
        deadline = time.monotonic() + service.start_seconds
        reason = await self._not_ready(started)
        while reason is not None:
            if self._process.returncode is not None:
                raise StackFailed(f"{service.name} ended with code {self._process.returncode}.\n{log_tail(log)}")
            if time.monotonic() > deadline:
                raise StackFailed(
                    f"{service.name} was not ready after {service.start_seconds:g} s: {reason}.\n{log_tail(log)}"
                )
            await asyncio.sleep(0.05)
            reason = await self._not_ready(started)

    async def _prepare(self, prepare: Callable[[], Awaitable[None]]) -> None:
        try:
            await prepare()
        except StackFailed:
            raise
        except Exception as error:
            raise StackFailed(f"{self.service.name} could not be prepared: {error}") from error

    async def _not_ready(self, started: datetime) -> str | None:
        try:
            async with asyncio.timeout(5):
                return await self.service.ready(started)
        except Exception as error:
            return f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(". ")

    async def _keep(self) -> None:
        name = self.service.name
        backoff = FIRST_BACKOFF
        while self._process is not None:
            began = time.monotonic()
            code = await self._process.wait()
            backoff = FIRST_BACKOFF if time.monotonic() - began > STEADY_SECONDS else backoff
            self._report(Event("died", f"{name} ended by itself ({_spell(code)}); again in {backoff:g} s", name))
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)
            try:
                await self._launch()
            except (StackFailed, OSError) as error:
                self._report(Event("warning", str(error).partition("\n")[0], name))
                await self._discard()
            else:
                self._report(Event("restarted", f"{name} is ready again (pid {self.pid})", name))

    async def _discard(self) -> None:
        # Started but not ready in time: end it, so that the next round starts a fresh one.
        if self.pid is not None and self._process is not None:
            self._signal(signal.SIGKILL)
            await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)


def _spell(code: int) -> str:
    return f"code {code}" if code >= 0 else signal.Signals(-code).name


class Supervisor:
    """All processes of one stack. Waves start in the order of the calls and stop in reverse."""

    def __init__(self, state: StateDir, report: Report, hurry: asyncio.Event | None = None) -> None:
        """`hurry`: set it to kill what is still stopping."""
        self._state = state
        self._report = report
        self._hurry = hurry or asyncio.Event()
        self._waves: list[list[Supervised]] = []

    @property
    def pids(self) -> dict[str, int]:
        """Name → pid of every living process."""
        every = (supervised for wave in self._waves for supervised in wave)
        return {supervised.service.name: supervised.pid for supervised in every if supervised.pid is not None}

    async def start(self, *services: Service) -> None:
        """Start these at the same time and return when all of them are ready.

        Raises:
            StackFailed: one of them did not come up; call `stop` all the same.
        """
        wave = [Supervised(service, self._state, self._report) for service in services]
        self._waves.append(wave)
        starts = [asyncio.create_task(supervised.start()) for supervised in wave]
        try:
            await asyncio.gather(*starts)
        finally:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)

    async def stop(self) -> None:
        """Stop everything, the last started first."""
        while self._waves:
            await asyncio.gather(*(supervised.stop(self._hurry) for supervised in self._waves.pop()))
