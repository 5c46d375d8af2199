"""A stack for the time of a block: `async with running_stack(...)`, for `dev`, `demo` and the tests."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack import environment as env
from devstack.assembly import Assembly, Options, Provision, VendorMode
from devstack.errors import AlreadyRunning, StackFailed
from devstack.events import Report, silent
from devstack.folders import read_json
from devstack.state import StateDir, held, holder
from mediagate.settings import Settings

ATTACH_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack. `addresses` is the content of `stack.json`, `environment` what its processes were given."""

    state: StateDir
    environment: Mapping[str, str]
    addresses: Mapping[str, Any]
    attached: bool = False

    @property
    def settings(self) -> Settings:
        """Settings as the stack's processes read them."""
        return env.settings_from(self.environment)

    @property
    def pids(self) -> dict[str, int]:
        """Name → pid as of the last start or restart."""
        return dict(read_json(self.state.stack_file).get("pids", {}))


@contextlib.asynccontextmanager
async def running_stack(
    state_dir: Path,
    options: Options | None = None,
    *,
    report: Report = silent,
    attach: bool = False,
    hurry: asyncio.Event | None = None,
) -> AsyncIterator[Stack]:
    """Have a stack on this state folder for the time of the block.

    Args:
        state_dir: made if missing; its data is kept afterwards.
        options: what to run.
        report: told what happens.
        attach: a stack that already runs there is used, and left running.
        hurry: set it to kill what is still stopping.

    Raises:
        AlreadyRunning: one runs there and `attach` is off.
        StackFailed: something did not come up; everything is stopped again.
    """
    state = await asyncio.to_thread(StateDir.open, state_dir)
    if attach and holder(state) is not None:
        yield await _attached(state)
        return
    with held(state):
        assembly = Assembly(state, options or Options(), report, hurry)
        try:
            environment = await assembly.start()
            yield Stack(state, environment, read_json(state.stack_file))
        finally:
            await assembly.stop()


async def _attached(state: StateDir) -> Stack:
    deadline = time.monotonic() + ATTACH_SECONDS
    while time.monotonic() < deadline:
        running = holder(state)
        if running is None:
            break
        if running.addresses:
            return Stack(state, read_json(state.environment_file), running.addresses, attached=True)
        await asyncio.sleep(0.1)
    raise StackFailed(f"The stack on {state.path} did not become ready: see {state.logs}.")


__all__ = ["AlreadyRunning", "Options", "Provision", "Stack", "StackFailed", "VendorMode", "running_stack"]
