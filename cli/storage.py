"""`mediagate storage`: what is stored, whether it is still there, and what its time is up for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.filesize import decimal
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowQueryFailedError
from temporalio.service import RPCError

from activities.retaining import Due, due_page
from cli.actor import By, acting
from cli.local_stack import adopt_local_stack
from cli.output import Json, console, print_json, print_line, print_table
from cli.runs.access import operations
from db.session import Database
from db.tables import FindingKind, FindingState, ScrubFinding, StoredKind
from mediagate.errors import Conflict, NotFound
from mediagate.settings import Settings
from workflows.client import Flows
from workflows.storage_client import start_retention, start_scrub
from workflows.storage_messages import RetentionCursor, RetentionInput, RetentionStep, ScrubInput

T = TypeVar("T")

LOOK_EVERY = 0.5
LISTED = 50

app = typer.Typer(
    no_args_is_help=True,
    help="What is stored: statistics, scrubs with repair, retention and trash (docs/runbooks/storage.md).",
)

Library = Annotated[str | None, typer.Option(help="Only this library.")]
Detach = Annotated[bool, typer.Option("--detach", help="Start it and do not wait for its end.")]


@app.command()
def stats(library: Library = None, as_json: Json = False) -> None:
    """Show objects and bytes by status and kind, and room on disks and in the store. Reads a few rows only.

    Examples:

      mediagate storage stats

      mediagate storage stats --library photos --json
    """

    async def look(db: Database) -> dict[str, Any]:
        async with db.transaction() as tx:
            owner = await tx.access.library(library) if library else None
            if library and owner is None:
                raise NotFound(f"There is no library {library!r}.")
            held = [one._asdict() for one in await tx.storage.totals(owner.id if owner else None)]
            spaces = [] if library else [space.model_dump() for space in await tx.storage.spaces()]
        return {"library": library, "held": held, "spaces": spaces}

    found = _in_database(look)
    if as_json:
        print_json(found)
        return
    rows = [(one["status"], one["kind"], one["objects"], decimal(one["bytes"])) for one in found["held"]]
    there = [one for one in found["held"] if one["kind"] != StoredKind.ANNOUNCED]
    rows.append(("all", "", sum(one["objects"] for one in there), decimal(sum(one["bytes"] for one in there))))
    print_table(["status", "kind", "objects", "bytes"], rows)
    if found["spaces"]:
        spaces = [
            (one["name"], decimal(one["used"]), decimal(one["size"]), "short" if one["short_since"] else "ok")
            for one in found["spaces"]
        ]
        print_table(["place", "used", "size", ""], spaces)


@app.command()
def scrub(
    library: Library = None,
    quick: Annotated[bool, typer.Option("--quick", help="Compare sizes only; else every object is read.")] = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Put back what is missing or altered, from another copy or from the master."),
    ] = False,
    rate: Annotated[float | None, typer.Option(min=0.01, help="Read at most so many MiB a second.")] = None,
    detach: Detach = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Compare every object with the rows, as a workflow. Untracked objects are listed and left alone.

    Stopping this command does not stop the workflow. Exit code 1 if something is missing or altered and not repaired.

    Examples:

      mediagate storage scrub --quick

      mediagate storage scrub --library photos --repair --rate 50
    """
    who = acting(by)
    job = ScrubInput(library=library, quick=quick, repair=repair, actor=who.name, via=who.via)
    if rate:
        job = job.model_copy(update={"bytes_per_second": round(rate * 1024 * 1024)})

    async def run() -> dict[str, Any] | None:
        return await followed(await start_scrub(await _flows(), job), detach=detach, quiet=as_json)

    result = asyncio.run(run())
    if result is None:
        print_json({"started": True}) if as_json else print_line(
            "Started. `mediagate storage scrubs` tells how far it is."
        )
        return
    lost = _findings(state=FindingState.OPEN, kind=None, scrub_id=UUID(result["scrub_id"]), limit=LISTED)
    if as_json:
        print_json({**result, "findings": [one.model_dump() for one in lost]})
    else:
        print_line(
            f"{result['rows']} objects of rows and {result['listed']} in the store looked at:"
            f" {', '.join(f'{result[what]} {what}' for what in ('missing', 'altered', 'untracked', 'repaired'))}."
        )
        _print_findings(lost)
    raise typer.Exit(1 if result["missing"] + result["altered"] > result["repaired"] else 0)


@app.command()
def scrubs(
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many.")] = 10, as_json: Json = False
) -> None:
    """List scrubs, the newest first, with their numbers.

    Example: `mediagate storage scrubs --limit 3`
    """

    async def look(db: Database) -> list[dict[str, Any]]:
        async with db.transaction() as tx:
            return [row.model_dump() for row in await tx.scrubs.page(after=None, limit=limit)]

    found = _in_database(look)
    if as_json:
        print_json({"scrubs": found})
        return
    names = ("rows", "listed", "missing", "altered", "untracked", "repaired")
    rows = [
        (f"{one['started_at']:%Y-%m-%d %H:%M}", one["state"].value, *(one[name] for name in names)) for one in found
    ]
    print_table(["started (UTC)", "state", *names], rows)


@app.command()
def findings(
    kind: Annotated[FindingKind | None, typer.Option(help="Only these.")] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Also those that are repaired or settled.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = LISTED,
    as_json: Json = False,
) -> None:
    """List what scrubs found, the newest first. Exit code 1 if something that is missing or altered is open.

    Example: `mediagate storage findings --kind missing`
    """
    found = _findings(state=None if ended else FindingState.OPEN, kind=kind, scrub_id=None, limit=limit)
    if as_json:
        print_json({"findings": [one.model_dump() for one in found]})
    elif not found:
        print_line("Store and rows agree, as far as scrubs looked.")
    else:
        _print_findings(found)
    lost = any(one.state is FindingState.OPEN and one.kind is not FindingKind.UNTRACKED for one in found)
    raise typer.Exit(1 if lost else 0)


@app.command()
def cleanup(
    library: Library = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would be done is shown.")] = False,
    detach: Detach = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Apply retention now: what a library keeps no longer goes to the trash, what was there for long enough is erased.

    Items on legal hold, and those with sealed evidence that is still locked, stay. The nightly run does the same.

    Examples:

      mediagate storage cleanup

      mediagate storage cleanup --library photos --yes --by ada
    """
    if yes:
        who = acting(by)
        job = RetentionInput(library=library, actor=who.name, via=who.via)

        async def run() -> dict[str, Any] | None:
            return await followed(await start_retention(await _flows(), job), detach=detach, quiet=as_json)

        done = asyncio.run(run())
        if as_json:
            print_json({"done": done is not None, **(done or {})})
        elif done is None:
            print_line("Started.")
        else:
            print_line(
                f"{done['trashed']} to the trash, {done['backups']} backups deleted, {done['erased']} erased,"
                f" {done['kept']} kept, {done['failed']} failed; {decimal(done['bytes'])} freed."
            )
        return
    found = _in_database(lambda db: every_due(db, library))
    if as_json:
        print_json({"done": False, "due": [{**one._asdict(), "step": one.step.value} for one in found]})
        return
    shown = [(one.media_id, one.library, _act(one), one.why, decimal(one.bytes)) for one in found[:LISTED]]
    print_table(["media id", "library", "what", "why", "bytes"], shown)
    freed = decimal(sum(one.bytes for one in found if not one.kept and one.step is not RetentionStep.TRASH))
    print_line(f"{len(found)} in all, {freed} would be freed. Nothing changed; add --yes to do it.")


async def every_due(db: Database, library: str | None) -> list[Due]:
    """Everything whose time is up. Reads only. Raises NotFound for an unknown library."""
    found: list[Due] = []
    cursor: RetentionCursor | None = RetentionCursor()
    while cursor:
        page, cursor = await due_page(db, cursor, library=library, limit=500)
        found += page
    return found


def _act(one: Due) -> str:
    acts = {
        RetentionStep.TRASH: "to the trash",
        RetentionStep.BACKUPS: "delete backup",
        RetentionStep.ERASE: "erase",
    }
    return f"kept: {one.kept}" if one.kept else acts[one.step]


async def _flows() -> Flows:
    return Flows((await operations()).client)


async def followed(handle: WorkflowHandle[Any, Any], *, detach: bool, quiet: bool) -> dict[str, Any] | None:
    """The result as a document; None if nobody waits for it. Raises Conflict if the run failed."""
    if detach:
        return None
    end = asyncio.create_task(handle.result())
    with console(stderr=True).status("starting") as status:
        while not (await asyncio.wait([end], timeout=LOOK_EVERY))[0]:
            if not quiet and (numbers := await _progress(handle)):
                status.update(", ".join(f"{value} {name}" for name, value in numbers.items() if isinstance(value, int)))
    try:
        result: dict[str, Any] = end.result().model_dump()
    except WorkflowFailureError as error:
        raise Conflict(f"The run failed: see `mediagate runs show {handle.id}`.") from error
    return result


async def _progress(handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = await handle.query("progress", result_type=dict)
    except (RPCError, WorkflowQueryFailedError):
        return {}
    return found


def _findings(
    *, state: FindingState | None, kind: FindingKind | None, scrub_id: UUID | None, limit: int
) -> list[ScrubFinding]:
    async def look(db: Database) -> list[ScrubFinding]:
        async with db.transaction() as tx:
            return list(await tx.scrubs.findings(state=state, kind=kind, scrub_id=scrub_id, limit=limit))

    return _in_database(look)


def _print_findings(found: list[ScrubFinding]) -> None:
    if found:
        rows = [
            (one.kind.value, one.part or "–", one.key, decimal(one.bytes), one.detail or one.state.value)
            for one in found
        ]
        print_table(["", "part", "key", "bytes", ""], rows)


def _in_database(look: Callable[[Database], Awaitable[T]]) -> T:
    adopt_local_stack()

    async def run() -> T:
        db = Database(Settings().database_url.get_secret_value(), pool_size=1)
        try:
            return await look(db)
        finally:
            await db.close()

    return asyncio.run(run())
