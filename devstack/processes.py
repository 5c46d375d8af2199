"""Child processes: started with a log and a record on disk, found again and ended by that record."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from devstack.folders import read_json, write_json

LAUNCHER = Path(__file__).resolve().parent / "launch.py"
LOGS_KEPT = 3


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged account that a program runs under when the stack runs as root."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Command:
    """How to run a program. `death_signal` is what it gets when its supervisor is killed."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    account: Account | None = None
    death_signal: signal.Signals = signal.SIGKILL

    def launcher_argv(self) -> list[str]:
        """The command line that goes through `devstack/launch.py`."""
        account = (str(self.account.uid), str(self.account.gid)) if self.account else ("-", "-")
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER)]
        return [*launcher, str(os.getpid()), str(int(self.death_signal)), *account, *self.argv]


def rotate_log(path: Path) -> None:
    """Move `name.log` to `name.log.1` and so on; the oldest is dropped."""
    for number in range(LOGS_KEPT, 0, -1):
        older = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number}"))


def log_tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 32_768))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


async def spawn(command: Command, *, log: Path, record: Path) -> asyncio.subprocess.Process:
    """Start the program in a session of its own, so that Ctrl-C reaches only the supervisor; log is appended to."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command.launcher_argv(),
            env=dict(command.env),
            cwd=command.cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    write_json(record, {"pid": process.pid, "create_time": create_time(process.pid)})
    return process


def create_time(pid: int) -> float:
    """When the process was made, in seconds since the epoch; 0 if it is gone. Not changed by exec."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def recorded_process(record: Path) -> psutil.Process | None:
    """The living process that a record names; None if it ended, even if its pid went to another one since."""
    content = read_json(record)
    try:
        process = psutil.Process(int(content["pid"]))
        same = process.create_time() == content["create_time"] and process.status() != psutil.STATUS_ZOMBIE
    except (KeyError, TypeError, ValueError, psutil.NoSuchProcess):
        return None
    return process if same else None


def end_processes(processes: list[psutil.Process], stop_signal: signal.Signals, seconds: float) -> None:
    """Signal them, wait, and kill those that are left."""
    for process in processes:
        _signal(process, stop_signal)
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=seconds)


def end_leftover(record: Path, stop_signal: signal.Signals, seconds: float) -> bool:
    """End what a previous run left behind; True if there was something. The record is removed."""
    leftover = recorded_process(record)
    if leftover is not None:
        end_processes([leftover], stop_signal, seconds)
    record.unlink(missing_ok=True)
    return leftover is not None


def processes_in(folder: Path, name: str) -> list[psutil.Process]:
    """Processes of that program name whose working folder this is."""
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"] == name and Path(process.cwd()) == folder:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
