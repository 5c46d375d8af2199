"""The stack that a demo runs on: the one that is there, or one for the time of the demo."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from rich.console import Console
from rich.text import Text

from cli.dev import STYLES
from cli.interrupts import stop_on_signals
from cli.provision import provision
from devstack.errors import StackFailed
from devstack.events import Event
from devstack.stack import Options, Stack, running_stack
from devstack.state import StateDir, holder
from mediagate.errors import Conflict


@asynccontextmanager
async def stack_for_demo(state: StateDir, console: Console, *, keep: bool) -> AsyncIterator[Stack]:
    """Attach to the stack of the state folder, or start one and stop it at the end (`keep`: leave it running).

    Raises:
        StackFailed: it did not come up.
        Conflict: the stack that runs there is not one for a demo.
    """

    def report(event: Event) -> None:
        console.print(Text(f"{time.strftime('%H:%M:%S')}  {event.text}", style=STYLES.get(event.kind, "")))

    running = holder(state)
    if running is None:
        console.print(Text("No stack runs here yet: starting one."))
        if keep:
            await _detached(state, console)
    elif not running.addresses:
        console.print(Text(f"A stack is starting on {state.path} (pid {running.pid}): waiting for it."))
    hurry = asyncio.Event()
    stop_on_signals(hurry)
    options = Options(provision=provision)
    async with running_stack(state.path, options, report=report, attach=True, hurry=hurry) as stack:
        if stack.attached and not keep:
            console.print(Text(f"Using the stack that runs on {state.path}."))
        await _check_fit(stack)
        yield stack
        if not stack.attached:
            console.print(Text("Stopping the stack. Links to runs work while it is up: `mediagate demo --keep`."))


async def _detached(state: StateDir, console: Console) -> None:
    """Start a stack that outlives this process, its news on our console."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "dev", "--detach"),
        stdout=sys.stderr if console.stderr else None,
        env=os.environ | {"MEDIAGATE_STATE_DIR": str(state.path)},
    )
    code = await process.wait()
    if code:
        raise StackFailed(f"The stack did not start (code {code}); its log: {state.log('dev')}")


async def _check_fit(stack: Stack) -> None:
    """A demo needs the API, and somebody who answers for the vendor."""
    if not stack.addresses.get("api_url") or not stack.addresses.get("api_key"):
        raise Conflict(
            "The stack that runs here has no API and no worker (`dev --no-apps`). Stop it with `mediagate dev --stop` "
            "and run the demo again, or give the demo another MEDIAGATE_STATE_DIR."
        )
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        try:
            answer = await client.get(f"{stack.addresses['vendor']['url']}/health")
            mode = answer.json().get("mode", "")
        except (httpx.HTTPError, ValueError, AttributeError):
            return  # a vendor of another kind; it may well answer
    if mode == "manual":
        raise Conflict(
            "The vendor of the stack that runs here answers only by hand (`dev --vendor manual`), so no file would be "
            "decided. Stop it with `mediagate dev --stop` and run the demo again, or give the demo another "
            "MEDIAGATE_STATE_DIR."
        )
