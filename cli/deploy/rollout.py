"""Carrying a plan out: step after step, and back, the last one first, where one fails."""

import asyncio
import fcntl
import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Literal

from cli.deploy.plan import RELEASE, Command, Plan, Step, filled
from mediagate.errors import Conflict

TAIL = 30
"""Lines of a failed command that are shown."""
KILL_AFTER = 10.0
"""Seconds for a command to end after SIGTERM."""


class Outcome(StrEnum):
    """How it ended."""

    DEPLOYED = "deployed"
    REFUSED = "refused"
    """A step failed before anything was changed."""
    ROLLED_BACK = "rolled_back"
    STUCK = "stuck"
    """Something was changed and could not be brought back, or there was nothing to go back to."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """What became of one step."""

    name: str
    state: Literal["done", "skipped", "failed", "undone"]
    seconds: float
    tries: int = 1
    detail: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a deploy."""

    outcome: Outcome
    release: str
    previous: str
    steps: list[StepReport]
    log: str


class _Failed(Exception):
    """A command did not succeed; the message says how, `output` has its last lines."""

    def __init__(self, message: str, output: str = "") -> None:
        self.output = output
        super().__init__(message)


@dataclass(slots=True)
class Rollout:
    """One release on its way. `tell` hears of each step; everything else is in `log`."""

    plan: Plan
    folder: Path
    release: str
    variables: Mapping[str, str]
    log: Path
    tell: Callable[[StepReport], None] | None = None
    _reports: list[StepReport] = field(default_factory=list)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def values(self, previous: str) -> dict[str, str]:
        """What placeholders stand for."""
        return {**self.variables, "release": self.release, "previous": previous}

    def is_left_out(self, step: Step, values: Mapping[str, str]) -> bool:
        """True where what the step needs is not there."""
        return step.needs is not None and not values[step.needs]

    async def look(self) -> str:
        """The release that runs now; empty if none does, or it cannot be told."""
        with suppress(_Failed):
            return await self._current()
        return ""

    async def carry_out(self, *, lock: Path) -> Report:
        """Do it, unless another deploy of this plan is under way on this machine.

        Raises:
            Conflict: one is.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with _alone(lock), self._stopping():
            return await self._carry_out()

    async def _carry_out(self) -> Report:
        try:
            previous = await self._current()
        except _Failed as error:
            self._note(StepReport("current", "failed", 0, detail=str(error), output=error.output))
            return self._report(Outcome.REFUSED, "")
        values, begun = self.values(previous), list[Step]()
        for step in self.plan.steps:
            if self.is_left_out(step, values):
                self._note(StepReport(step.name, "skipped", 0, tries=0, detail=f"{step.needs} is empty"))
                continue
            begun.append(step)
            if not await self._step(step, step.run, values, running=self.release, state="done"):
                return self._report(await self._way_back(begun, values, previous), previous)
        return self._report(Outcome.DEPLOYED, previous)

    async def _way_back(self, begun: list[Step], values: Mapping[str, str], previous: str) -> Outcome:
        if not any(step.is_change for step in begun):
            return Outcome.REFUSED
        if not previous:
            return Outcome.STUCK
        self._stop.clear()  # from here on, a further signal is about the way back
        well = True
        for step in reversed(begun):
            if step.undo:
                well &= await self._step(step, step.undo, values, running=previous, state="undone")
        for step in begun:
            if step.after_undo:
                well &= await self._step(step, step.run, values, running=previous, state="done")
        return Outcome.ROLLED_BACK if well else Outcome.STUCK

    async def _step(
        self,
        step: Step,
        commands: tuple[Command, ...],
        values: Mapping[str, str],
        *,
        running: str,
        state: Literal["done", "undone"],
    ) -> bool:
        began, tries = time.monotonic(), 0
        try:
            for command in commands:
                tries = max(tries, await self._until_well(step, filled(command, values), running))
        except _Failed as error:
            seconds = round(time.monotonic() - began, 1)
            self._note(StepReport(step.name, "failed", seconds, max(tries, 1), str(error), error.output))
            return False
        self._note(StepReport(step.name, state, round(time.monotonic() - began, 1), tries))
        return True

    async def _until_well(self, step: Step, command: Command, running: str) -> int:
        """How many tries it took."""
        deadline, tries = time.monotonic() + step.within, 1
        while True:
            try:
                await self._run(command, running, step.timeout)
            except _Failed:
                if self._stop.is_set() or time.monotonic() + step.pause > deadline:
                    raise
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), step.pause)
                tries += 1
            else:
                return tries

    async def _current(self) -> str:
        said = await self._run(filled(self.plan.current, self.values("")), self.release, 60)
        release = said.strip().strip("'\"")
        if release and not RELEASE.fullmatch(release):
            raise _Failed("what it printed is no release", said)
        return release

    async def _run(self, command: Command, running: str, timeout: float) -> str:
        """Its output. `running`: the release that is to run after it."""
        if self._stop.is_set():
            raise _Failed("interrupted")
        self._log(f"$ {shlex.join(command)}")
        with self._output() as file:
            start = file.seek(0, os.SEEK_END)
            try:
                process = await asyncio.create_subprocess_exec(
                    *command, cwd=self.folder, env=os.environ | {"RELEASE": running}, stdin=asyncio.subprocess.DEVNULL,
                    stdout=file, stderr=file, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise _Failed(f"{command[0]} cannot be run: {error.strerror}") from error
            ending = await self._wait(process, timeout)
            file.seek(start)
            output = file.read().decode(errors="replace")
        if ending or process.returncode:
            tail = "\n".join(output.rstrip().splitlines()[-TAIL:])
            raise _Failed(ending or f"{shlex.join(command)} ended with {process.returncode}", tail)
        return output

    async def _wait(self, process: asyncio.subprocess.Process, timeout: float) -> str:
        """Why it was ended; empty if it ended by itself."""
        ended, stopped = asyncio.create_task(process.wait()), asyncio.create_task(self._stop.wait())
        await asyncio.wait({ended, stopped}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if ended.done():
            return ""
        _end(process, signal.SIGTERM)
        await asyncio.wait({ended}, timeout=KILL_AFTER)
        if not ended.done():
            _end(process, signal.SIGKILL)
            await ended
        return "interrupted" if self._stop.is_set() else f"it took longer than {timeout:g} s"

    def _output(self) -> IO[bytes]:
        """Where commands write, and what they wrote can be read."""
        return self._opened() if self.log.parent.exists() else TemporaryFile()

    def _opened(self) -> IO[bytes]:
        # What commands print is not ours to judge, so nobody else reads it.
        return os.fdopen(os.open(self.log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b")

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, self._stop.set)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def _note(self, report: StepReport) -> None:
        self._reports.append(report)
        self._log(f"# {report.name}: {report.state} after {report.seconds} s {report.detail}".rstrip())
        if self.tell:
            self.tell(report)

    def _report(self, outcome: Outcome, previous: str) -> Report:
        self._log(f"# {outcome}: {self.release}, before: {previous or 'nothing'}")
        return Report(outcome, self.release, previous, self._reports, str(self.log))

    def _log(self, text: str) -> None:
        if not self.log.parent.exists():
            return  # a dry run keeps none
        with self._opened() as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n".encode())


def _end(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """It and what it started: each command leads a session of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict("Another deploy of this plan is under way on this machine.") from error
        yield
