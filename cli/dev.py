"""`mediagate dev`: the whole local stack in the foreground or, with `--detach`, in the background."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli.interrupts import stop_on_signals
from cli.output import Json, print_error, print_json, print_line, print_table

if TYPE_CHECKING:
    from devstack.assembly import Options
    from devstack.events import Event
    from devstack.state import StateDir

ALREADY_RUNS = 3
STOP_SECONDS = 90
STYLES = {"died": "red", "warning": "yellow", "moved": "yellow", "restarted": "green"}


class Vendor(StrEnum):
    """How the moderation vendor of the stack answers."""

    SIMULATED = "simulated"
    MANUAL = "manual"


def dev(
    vendor: Annotated[
        Vendor, typer.Option(help="simulated: answers by itself; manual: only what a caller posts.")
    ] = Vendor.SIMULATED,
    library: Annotated[str, typer.Option(help="Library that is made for you, with an API key.")] = "demo",
    apps: Annotated[
        bool, typer.Option("--apps/--no-apps", help="--no-apps: only Postgres, S3, Temporal and mail.")
    ] = True,
    detach: Annotated[
        bool, typer.Option("--detach", help="Run it in the background; return when it is ready.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the stack of this state folder and wait.")] = False,
    as_json: Json = False,
) -> None:
    """Run the whole local stack: Postgres, S3, Temporal and its UI, mail, API, worker and a moderation vendor.

    Addresses are printed, and kept in $MEDIAGATE_STATE_DIR/stack.json (default: .mediagate/) while it is ready. Ctrl-C
    stops all; a second Ctrl-C does not wait. Exit code 3: a stack already runs on this state folder.

    A service that you name yourself (MEDIAGATE_DATABASE_URL, MEDIAGATE_S3_…, TEMPORAL_ADDRESS) is used in place of
    the stack's own.

    Examples:

      mediagate dev

      mediagate dev --vendor manual

      mediagate dev --detach --json | jq -r .api_url

      mediagate dev --stop
    """
    from devstack.state import StateDir
    from mediagate.settings import Settings

    state = StateDir.open(Settings().state_dir)
    if stop:
        _stop(state, as_json=as_json)
    elif detach:
        _detach(state, ["--vendor", vendor, "--library", library, "--apps" if apps else "--no-apps"], as_json=as_json)
    else:
        asyncio.run(_foreground(state, _options(vendor, library, apps=apps), as_json=as_json))


def _options(vendor: Vendor, library: str, *, apps: bool) -> "Options":
    from devstack.assembly import Options

    if not apps:
        return Options(apps=False, library=library)
    from cli.provision import provision

    return Options(vendor=vendor.value, library=library, provision=provision)


async def _foreground(state: "StateDir", options: "Options", *, as_json: bool) -> None:
    from devstack.errors import AlreadyRunning
    from devstack.stack import running_stack

    hurry = asyncio.Event()
    began = time.monotonic()
    stop_on_signals(hurry)
    try:
        async with running_stack(state.path, options, report=_reporter(as_json), hurry=hurry) as stack:
            if as_json:
                print_json({"event": "ready", **stack.addresses})
            else:
                print_addresses(stack.addresses)
                print_line(f"Ready after {time.monotonic() - began:.1f} s. Ctrl-C stops everything.", style="bold")
            await asyncio.Event().wait()
    except AlreadyRunning as error:
        _print_running(error.message, error.addresses, as_json=as_json)
        raise typer.Exit(ALREADY_RUNS) from error
    except asyncio.CancelledError:
        if not as_json:
            print_line("Stopped.")


def _reporter(as_json: bool) -> Any:
    def report(event: "Event") -> None:
        if as_json:
            print_json({"event": event.kind, "service": event.service, "detail": event.text})
        else:
            print_line(f"{time.strftime('%H:%M:%S')}  {event.text}", style=STYLES.get(event.kind, ""))

    # What the terminal no longer takes must not bring the stack down.
    return _deaf(report)


def _deaf(report: Any) -> Any:
    def quiet(event: "Event") -> None:
        with contextlib.suppress(OSError):
            report(event)

    return quiet


def print_addresses(addresses: Mapping[str, Any]) -> None:
    """A table of what runs where."""
    labels = {
        "console_url": "Console",
        "api_url": "API",
        "temporal_ui_url": "Temporal UI",
        "temporal_address": "Temporal",
        "s3_url": "S3",
        "database_url": "Postgres",
        "mail_url": "Mail",
        "library": "Library",
        "api_key": "API key",
    }
    rows = [(label, addresses[key]) for key, label in labels.items() if addresses.get(key)]
    vendor = addresses.get("vendor")
    if vendor:
        rows += [("Vendor", vendor["url"]), ("Webhook", vendor["webhook_url"])]
    print_table(("What", "Where"), rows)


def _print_running(message: str, addresses: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"error": {"code": "already_running", "detail": message}, **addresses})
        return
    print_line(message, style="yellow")
    if addresses:
        print_addresses(addresses)
    else:
        print_line("It is still starting.")


def _detach(state: "StateDir", arguments: list[str], *, as_json: bool) -> None:
    from devstack.processes import rotate_log
    from devstack.state import holder

    running = holder(state)
    if running is not None:
        message = f"A stack already runs on {state.path} (pid {running.pid})."
        _print_running(message, running.addresses, as_json=as_json)
        raise typer.Exit(ALREADY_RUNS)
    began = time.monotonic()
    log = state.log("dev")
    rotate_log(log)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "dev", "--json", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"MEDIAGATE_STATE_DIR": str(state.path)},
        )
    last = _follow(process, log, quiet=as_json)
    if last.get("event") != "ready":
        _fail_to_start(process.wait(), last, log, as_json=as_json)
    del last["event"]
    if as_json:
        print_json(last)
    else:
        print_addresses(last)
        print_line(
            f"Ready after {time.monotonic() - began:.1f} s, in the background (pid {process.pid}).", style="bold"
        )
        print_line("Stop it with `mediagate dev --stop`.")


def _follow(process: "subprocess.Popen[bytes]", log: Path, *, quiet: bool) -> dict[str, Any]:
    """Show what the background process says until it is ready or has ended; return the last it said."""
    last: dict[str, Any] = {}
    unfinished = ""
    with log.open(errors="replace") as said:
        while True:
            ended = process.poll() is not None
            *lines, unfinished = (unfinished + said.read()).split("\n")
            for line in lines:
                last = _document(line)
                # The event of one service is called `ready` too; the one with addresses is about the whole stack.
                if last.get("event") == "ready" and "s3_url" in last:
                    return last
                if not quiet and "error" not in last:
                    print_line(last.get("detail", line), style=STYLES.get(last.get("event", ""), ""))
            if ended:
                return {name: value for name, value in last.items() if name != "event"}
            time.sleep(0.1)


def _document(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _fail_to_start(code: int, last: Mapping[str, Any], log: Path, *, as_json: bool) -> NoReturn:
    error = last.get("error", {})
    if code == ALREADY_RUNS:
        addresses = {name: value for name, value in last.items() if name != "error"}
        _print_running(str(error.get("detail", "A stack already runs.")), addresses, as_json=as_json)
        raise typer.Exit(ALREADY_RUNS)
    detail = error.get("detail") or f"The stack ended with code {code} before it was ready; its log: {log}"
    print_error(error.get("code", "stack_failed"), detail, as_json=as_json)
    raise typer.Exit(1)


def _stop(state: "StateDir", *, as_json: bool) -> None:
    from devstack.processes import create_time
    from devstack.state import holder

    began = time.monotonic()
    running = holder(state)
    if running is None:
        if as_json:
            print_json({"stopped": False, "detail": "nothing runs"})
        else:
            print_line(f"No stack runs on {state.path}.")
        return
    if create_time(running.pid) == running.create_time:
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGTERM)
    killed = False
    while (now := holder(state)) is not None and now.pid == running.pid:
        if not killed and time.monotonic() - began > STOP_SECONDS and create_time(running.pid) == running.create_time:
            killed = True
            print_line("It did not stop in time: killed.", style="yellow", stderr=True)
            # Its processes end with it.
            os.kill(running.pid, signal.SIGKILL)
        time.sleep(0.05)
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        print_json({"stopped": True, "pid": running.pid, "seconds": seconds})
    else:
        print_line(f"Stopped after {seconds} s.")
