"""`mediagate imports`: begin imports of many objects, follow them, and give them orders."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar
from uuid import UUID, uuid4

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from activities.import_orders import ImportWorld, begin_import, new_import, order_import, retry_import, source_for
from api.manifests import CSV, JSON_LINES, read_manifest
from api.routes.imports import facts, read_item
from cli.actor import By, acting
from cli.bank_access import library_of, with_database
from cli.output import Json, console, print_json, print_line, print_table
from cli.runs.access import operations
from db.repositories.imports import ItemWithMedia
from db.session import Database
from db.tables import Import
from db.tables import Library as LibraryRow
from mediagate import wiring
from mediagate.media.imports import ENDED, MOST_AT_ONCE, ImportItemState, ImportState
from mediagate.settings import Settings
from workflows.client import Flows

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    help="Import many objects from a source that the settings name (MEDIAGATE_IMPORT_SOURCES).\n\n"
    "Each object becomes an item as an upload does; a few are under way at a time, so that nobody waits for an import."
    " docs/runbooks/imports.md says more.",
)

Library = Annotated[str, typer.Option(help="Name of the library.")]
ImportId = Annotated[UUID, typer.Argument(metavar="IMPORT", help="Id of the import.")]
Follow = Annotated[bool, typer.Option("--follow", help="Stay, and show how far it is, until it has ended.")]

PARTLY = 3
"""Exit code where an import that was followed is done, but objects of it failed."""
LOOK_EVERY = 0.5


@app.command()
def start(
    library: Library,
    source: Annotated[str, typer.Option(help="A name in MEDIAGATE_IMPORT_SOURCES.")],
    manifest: Annotated[
        Path | None, typer.Argument(help="File of JSON lines, or .csv; - reads JSON lines from standard input.")
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(help="Without a manifest: of the keys to import; by default all of the source.")
    ] = None,
    at_once: Annotated[
        int | None, typer.Option(min=1, max=MOST_AT_ONCE, help="Uploads under way at a time; default: import_at_once.")
    ] = None,
    follow: Follow = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Begin an import of what a manifest names, or of everything below a prefix.

    A manifest has an object per line: key or url, and if wanted filename, sha256, caption, title, alt_text, tags,
    category, language.

    Examples:

      mediagate imports start pictures.csv --library photos --source archive --follow

      mediagate imports start --library photos --source archive --prefix imports/archive/2019/
    """
    if manifest and prefix is not None:
        raise typer.BadParameter("A manifest says what is imported: leave out --prefix.")
    sent = None if manifest is None else sys.stdin.buffer.read() if str(manifest) == "-" else manifest.read_bytes()
    kind = CSV if manifest and manifest.suffix.lower() == ".csv" else JSON_LINES[0]

    async def act(world: ImportWorld) -> Import:
        async with world.db.transaction() as tx:
            owner = await library_of(tx, library)
        place = source_for(world.settings, library, source)
        named = None if sent is None else read_manifest(sent, kind, place, world.settings)
        within = (prefix or "") if sent is None else None
        one = new_import(world.settings, owner, uuid4(), source=source, prefix=within, at_once=at_once)
        one.tracking_id = uuid4().hex
        return await begin_import(world, owner, one, named, acting(by))

    _told(_with_world(act), as_json, follow=follow)


@app.command("list")
def list_(
    library: Library,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List a library's imports, newest first. Reads only.

    Example: `mediagate imports list --library photos`
    """

    async def act(db: Database) -> list[Import]:
        async with db.transaction() as tx:
            owner = await library_of(tx, library)
            return list(await tx.imports.page(owner.id, after=None, limit=limit))

    found = with_database(act)
    if as_json:
        print_json([facts(one) for one in found])
        return
    heads = ["import", "state", "source", "total", "imported", "failed", "under way", "waiting", "begun (UTC)"]
    cells = [
        (o.id, o.state, o.source, o.counts.total, o.imported, o.failed, o.under_way, o.waiting, f"{o.created_at:%F %T}")
        for o in found
    ]
    print_table(heads, cells)


@app.command()
def show(import_id: ImportId, follow: Follow = False, as_json: Json = False) -> None:
    """Show how far an import is, or what it did. Reads only.

    With --follow the exit code is 0 when it is done, 1 if it failed or was cancelled, 3 if objects of it failed.

    Example: `mediagate imports show 9b1de6c2-0a6c-4a0e-9a53-0f86d8c5a7cb --follow`
    """
    _told(with_database(lambda db: _row(db, import_id)), as_json, follow=follow)


@app.command()
def items(
    import_id: ImportId,
    state: Annotated[ImportItemState | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 100,
    as_json: Json = False,
) -> None:
    """List the objects of an import, and what became of each. Reads only.

    Example: `mediagate imports items 9b1de6c2-0a6c-4a0e-9a53-0f86d8c5a7cb --state failed`
    """

    async def act(db: Database) -> list[ItemWithMedia]:
        one = await _row(db, import_id)
        async with db.transaction() as tx:
            return list(await tx.imports.items(one.id, state=state, limit=limit))

    found = [read_item(row) for row in with_database(act)]
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
        return
    cells = [(o.line or "", o.key, o.state, o.status or "", o.media_id or "", o.reason, o.detail) for o in found]
    print_table(["line", "key", "state", "status", "media id", "reason", ""], cells)


@app.command()
def pause(import_id: ImportId, by: By = None, as_json: Json = False) -> None:
    """Begin nothing further until `resume`; what is under way ends. After 30 days the import is cancelled.

    Example: `mediagate imports pause 9b1de6c2-0a6c-4a0e-9a53-0f86d8c5a7cb`
    """
    _order(import_id, "pause", by, as_json)


@app.command()
def resume(import_id: ImportId, by: By = None, as_json: Json = False) -> None:
    """Let a paused import go on.

    Example: `mediagate imports resume 9b1de6c2-0a6c-4a0e-9a53-0f86d8c5a7cb`
    """
    _order(import_id, "resume", by, as_json)


@app.command()
def cancel(import_id: ImportId, by: By = None, as_json: Json = False) -> None:
    """End an import when what is under way has ended. What is imported stays.

    Example: `mediagate imports cancel 9b1de6c2-0a6c-4a0e-9a53-0f86d8c5a7cb`
    """
    _order(import_id, "cancel", by, as_json)


@app.command()
def retry(import_id: ImportId, follow: Follow = False, by: By = None, as_json: Json = False) -> None:
    """Try the objects again that failed.

    Example: `mediagate imports retry 9b1de6c2-0a6c-4a0e-9a53-0f86d8c5a7cb --follow`
    """

    async def act(world: ImportWorld) -> Import:
        return await retry_import(world, await _owner(world.db, import_id), import_id, acting(by))

    _told(_with_world(act), as_json, follow=follow)


def _order(import_id: UUID, order: str, by: str | None, as_json: bool) -> None:
    async def act(world: ImportWorld) -> Import:
        return await order_import(world, await _owner(world.db, import_id), import_id, order, acting(by))

    _told(_with_world(act), as_json)


def _told(one: Import, as_json: bool, *, follow: bool = False) -> None:
    if follow and one.state not in ENDED:
        one = with_database(lambda db: _followed(db, one.id, shown=not as_json))
    if as_json:
        print_json(facts(one))
    else:
        counts = one.counts
        why = f": {one.detail}" if one.detail else ""
        print_line(
            f"The import {one.id} is {one.state.value}{why}. {counts.imported} of {counts.total} objects are imported,"
            f" {counts.failed} failed, {counts.under_way} under way, {counts.waiting} waiting."
        )
        if one.failed:
            print_line(f"`mediagate imports items {one.id} --state failed` says why.")
    if follow:
        raise typer.Exit(_code(one))


def _code(one: Import) -> int:
    if one.state is not ImportState.DONE:
        return 1
    return PARTLY if one.failed else 0


async def _followed(db: Database, import_id: UUID, *, shown: bool) -> Import:
    """The row of the import once it has ended; meanwhile a bar, on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), disable=not shown, transient=True) as progress:
        bar = progress.add_task("listing", total=None)
        while (one := await _row(db, import_id)).state not in ENDED:
            told = f"{one.state.value}, {one.failed} failed{f': {one.detail}' if one.detail else ''}"
            progress.update(bar, description=told, completed=one.counts.ended, total=one.counts.total or None)
            await asyncio.sleep(LOOK_EVERY)
    return one


async def _row(db: Database, import_id: UUID) -> Import:
    async with db.transaction() as tx:
        return await tx.imports.get(import_id)


async def _owner(db: Database, import_id: UUID) -> LibraryRow:
    async with db.transaction() as tx:
        return (await tx.imports.with_library(import_id))[1]


def _with_world(act: Callable[[ImportWorld], Awaitable[T]]) -> T:
    """With the object store and the workflow service as well."""

    async def connected(db: Database) -> T:
        settings, flows = Settings(), Flows((await operations()).client)
        store = wiring.routed(wiring.open_stores(settings), db.placement)
        try:
            return await act(ImportWorld(settings, db, store, flows))
        finally:
            store.close()

    return with_database(connected)
