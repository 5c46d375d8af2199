"""The command: options in, exit code out."""

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import Json, print_json, turn_colour_off

if TYPE_CHECKING:
    from rich.console import Console

    from cli.demo.files import DemoFile
    from cli.demo.journey import Journey
    from cli.demo.outcome import Outcome
    from devstack.stack import Stack

INTERRUPTED = 130
WIDE = 240
"""Columns where no terminal reads: nothing is folded."""


def demo(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Files, whatever they are, and folders, whose pictures are taken."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running and print its addresses.")] = False,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long all files together may take to reach their ends.")
    ] = 180,
    no_color: Annotated[bool, typer.Option("--no-color", help="Print without colours, as NO_COLOR=1 does.")] = False,
    as_json: Json = False,
) -> None:
    """Send files through the whole system and show what became of them.

    Postgres, S3, Temporal, the API, a worker and a moderation vendor run for real on this machine. Files go in through
    the public HTTP API, half of them by presigned URL and half as multipart forms. The vendor is a simulator: it
    fetches the moderation copy by signed URL and answers with signed webhooks, some of them early, twice, out of order,
    late or never. Afterwards delivery, webhooks, idempotency, mails and run histories are checked.

    Without PATH the demo draws its own pictures, at least one for each outcome, and broken and hostile ones. Files of
    yours are fine at any end: approved, rejected, quarantined, or refused with a reason.

    A stack that runs on $MEDIAGATE_STATE_DIR (default: .mediagate/) is used and left running; else one is started, and
    stopped at the end. Its first start ever builds the programs of the stack, which takes minutes.

    Exit code 0: every file reached its expected end and every check passed; else 1.

    Examples:

      mediagate demo

      mediagate demo photo.jpg ~/Pictures/2024

      mediagate demo --keep

      mediagate demo --json | jq '.files[] | select(.as_expected | not)'
    """
    from rich.console import Console

    from cli.demo.files import of_paths

    if no_color:
        turn_colour_off()
    stream = sys.stderr if as_json else sys.stdout
    console = Console(stderr=as_json, highlight=False, width=None if stream.isatty() else WIDE)
    files = of_paths(paths) if paths else None
    try:
        outcome = asyncio.run(_run(files, console, keep=keep, timeout=timeout, as_json=as_json))
    except asyncio.CancelledError:
        console.print("Interrupted.")
        raise typer.Exit(INTERRUPTED) from None
    if not outcome.ok:
        raise typer.Exit(1)


async def _run(
    files: "list[DemoFile] | None", console: "Console", *, keep: bool, timeout: float, as_json: bool
) -> "Outcome":
    from cli.demo.stack import stack_for_demo
    from cli.dev import print_addresses
    from devstack.state import StateDir
    from mediagate.settings import Settings

    state = StateDir.open(Settings().state_dir)
    async with stack_for_demo(state, console, keep=keep) as stack:
        outcome = await _perform(stack, files or await _own_files(console), console, timeout=timeout)
        if as_json:
            print_json({**outcome.as_json(), **({"stack": dict(stack.addresses)} if keep else {})})
            return outcome
        outcome.print(console)
        if not outcome.ok:
            console.print(f"See why: mediagate runs show WORKFLOW_ID, and the logs in {state.logs}.", markup=False)
        if keep:
            print_addresses(stack.addresses)
            console.print("The stack is left running. Stop it with `mediagate dev --stop`.")
    return outcome


async def _own_files(console: "Console") -> "list[DemoFile]":
    from cli.demo.files import of_samples
    from devstack.samples import demo_set

    began = time.monotonic()
    samples = await asyncio.to_thread(demo_set)
    console.print(f"Drew {len(samples)} sample files ({time.monotonic() - began:.1f} s).")
    return of_samples(samples)


async def _perform(stack: "Stack", files: "list[DemoFile]", console: "Console", *, timeout: float) -> "Outcome":
    """Send, follow, check."""
    import httpx

    from cli.demo.checks import Scene, verify
    from cli.demo.journey import Journey
    from cli.demo.outcome import Outcome
    from cli.demo.progress import progress
    from cli.demo.public_api import PublicApi
    from cli.demo.sending import Expedition

    addresses, began, started = stack.addresses, datetime.now(UTC), time.monotonic()
    console.print(f"Sending to {addresses['api_url']}, library {addresses['library']}: {_counts(files)}.")
    headers = {"Authorization": f"Bearer {addresses['api_key']}"}
    async with (
        httpx.AsyncClient(base_url=addresses["api_url"], headers=headers, trust_env=False, timeout=60) as http,
        httpx.AsyncClient(trust_env=False, timeout=30) as public,
    ):
        api, journeys = PublicApi(http, addresses["library"]), [Journey(file) for file in files]
        expedition = Expedition(api, journeys)
        with progress(console, journeys):
            in_time = await expedition.run(timeout)
        if not in_time:
            _tell_stuck(console, journeys, timeout, expedition.trouble)
        with console.status("Checking delivery, webhooks, idempotency, mails and run histories …"):
            checks = await verify(Scene(stack, api, public, journeys, began)) if in_time else []
    return Outcome(journeys, checks, time.monotonic() - started)


def _counts(files: "list[DemoFile]") -> str:
    from cli.demo.files import Route, parcels

    presigned = sum(file.route is Route.PRESIGNED for file in files)
    forms = len(parcels(files)) - presigned
    counts = [f"{presigned} by presigned URL"] if presigned else []
    counts += [f"{len(files) - presigned} in {forms} multipart form{'s' * (forms > 1)}"] if forms else []
    return f"{len(files)} file{'s' * (len(files) > 1)}, " + " and ".join(counts)


def _tell_stuck(console: "Console", journeys: "list[Journey]", timeout: float, trouble: str) -> None:
    from mediagate.notify.render import clean

    stuck = [journey for journey in journeys if not journey.ended]
    console.print(f"After {timeout:g} s {len(stuck)} of {len(journeys)} files are not at their end:", style="red")
    for journey in stuck:
        where = f"{journey.stage.replace('_', ' ')} for {journey.standing:.0f} s"
        look = f"; see mediagate runs show {journey.workflow_id}" if journey.workflow_id else ""
        console.print(f"  {clean(journey.file.label)}: {where}{look}", style="red", markup=False, soft_wrap=True)
    if trouble:
        console.print(trouble, style="red", markup=False, soft_wrap=True)
    console.print("Accepted files go on without the demo. More time: --timeout SECONDS.")
