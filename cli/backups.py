"""`mediagate backups`: are an item's master and backup intact, and putting the master back."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer

from activities import backups
from activities.backups import MasterReport
from cli.local_stack import adopt_local_stack
from cli.output import Json, mark, print_json, print_line, print_table
from db.session import Database
from mediagate import wiring
from mediagate.settings import Settings
from mediagate.storage.copying import Standing
from mediagate.storage.store import ObjectStore

app = typer.Typer(
    no_args_is_help=True,
    help="Compare masters and backups with their recorded SHA-256, and restore what was lost.\n\n"
    "Rejected and quarantined items have a backup; approved ones keep their master where it was sealed.",
)

MediaId = Annotated[UUID, typer.Argument(help="The media id.")]


@app.command()
def show(media_id: MediaId, as_json: Json = False) -> None:
    """Read master and backup in full and compare them. Exit code 1 unless the master is intact.

    Example: `mediagate backups show 60eb2214-5c82-41b9-9094-6a12a18383b1`
    """
    report = _on_item(backups.look, media_id)
    _print(report, as_json)
    raise typer.Exit(0 if report.master is Standing.INTACT else 1)


@app.command()
def restore(
    media_id: MediaId,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would be done is shown.")] = False,
    as_json: Json = False,
) -> None:
    """Put a lost or altered master back from its backup; the copy is read back and compared.

    Then `mediagate runs retry <media_id>` resumes a run that failed for want of it.

    Example: `mediagate backups restore 60eb2214-5c82-41b9-9094-6a12a18383b1 --yes`
    """
    if yes:
        _print(_on_item(backups.restore, media_id), as_json)
        return
    report = _on_item(backups.look, media_id)
    _print(report, as_json)
    if not as_json:
        needed = "would be restored" if report.master is not Standing.INTACT else "is intact, nothing would be done"
        print_line(f"The master {needed}. Nothing was changed; add --yes to do it.")


def _on_item(action: Callable[[Database, ObjectStore, UUID], Awaitable[MasterReport]], media_id: UUID) -> MasterReport:
    adopt_local_stack()
    settings = Settings()

    async def act() -> MasterReport:
        db = Database(settings.database_url.get_secret_value(), pool_size=1)
        store = wiring.routed(wiring.open_stores(settings), db.placement)
        try:
            return await action(db, store, media_id)
        finally:
            store.close()
            await db.close()

    return asyncio.run(act())


def _print(report: MasterReport, as_json: bool) -> None:
    if as_json:
        print_json(asdict(report))
        return
    rows = [("master", report.master_key, report.master), ("backup", report.backup_key or "none", report.backup)]
    marks = {Standing.INTACT: mark("ok"), Standing.ALTERED: mark("fail"), Standing.MISSING: mark("warn")}
    print_table(["", "", "key", "state"], [(marks[state], name, key, state.value) for name, key, state in rows])
