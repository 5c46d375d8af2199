"""`mediagate db`: the schema's migrations, and the database's backups."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from cli.database_backups import BEFORE, backup_dir, before_change, make, migrate_with_backup, new_name
from cli.local_stack import adopt_local_stack, is_local_database
from cli.output import Json, mark, print_json, print_line, print_table
from cli.postgres_programs import find_programs
from db import backup as backups
from db import dumps, migrate
from mediagate.errors import Conflict, NotAllowed
from mediagate.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="Bring the database's schema up or down, see where it stands, back it up and restore it.\n\n"
    "The database is MEDIAGATE_DATABASE_URL, else that of the local stack on MEDIAGATE_STATE_DIR; `mediagate dev` "
    "migrates its own. Objects are not in these backups: `mediagate backup` has both.",
)

NoBackup = Annotated[bool, typer.Option("--no-backup", help="Make no backup before. You have one of your own.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would be done is shown.")]


def _settings() -> Settings:
    adopt_local_stack()
    return Settings()


def _url() -> str:
    return _settings().database_url.get_secret_value()


@app.command()
def status(as_json: Json = False) -> None:
    """List every migration and whether it is applied. Exit code 1 if one is missing.

    Example: `mediagate db status --json`
    """
    settings = _settings()
    revisions = migrate.status(settings.database_url.get_secret_value())
    if as_json:
        print_json([{"id": r.id, "title": r.title, "applied": r.applied} for r in revisions])
    else:
        rows = [(r.id, r.title, mark("ok") if r.applied else mark("warn")) for r in revisions]
        print_table(["revision", "what it does", "applied"], rows)
        print_line(_last_backup(backup_dir(settings)))
    raise typer.Exit(0 if all(r.applied for r in revisions) else 1)


@app.command()
def upgrade(
    revision: Annotated[str, typer.Argument(help="A revision, or head.")] = "head", no_backup: NoBackup = False
) -> None:
    """Apply migrations up to a revision; does nothing where they are applied already.

    A database that holds something is backed up first, into MEDIAGATE_BACKUP_DIR; a backup that fails stops the
    migration.

    Example: `mediagate db upgrade`
    """
    archive = migrate_with_backup(_settings(), revision, backed_up=not no_backup)
    if archive:
        print_line(f"Backed up to {archive}.")
    print_line(f"The schema stands at {revision}.")


@app.command(context_settings={"ignore_unknown_options": True})  # -1 is a revision
def downgrade(
    revision: Annotated[str, typer.Argument(help="A revision, -1 for one step, base for an empty schema.")],
    yes: Yes = False,
    no_backup: NoBackup = False,
) -> None:
    """Undo migrations down to a revision. What their tables hold is lost, so it only shows what it would do.

    Example: `mediagate db downgrade -1 --yes`
    """
    settings = _settings()
    url = settings.database_url.get_secret_value()
    applied = [r for r in migrate.status(url) if r.applied]
    if not yes:
        print_table(["revision", "what it does"], [(r.id, r.title) for r in reversed(applied)], title="Applied now")
        print_line(f"Nothing was changed. Add --yes to go down to {revision}; data in dropped tables is lost.")
        return
    if applied and not no_backup:
        print_line(f"Backed up to {before_change(settings, f'{BEFORE}downgrade')}.")
    migrate.downgrade(url, revision)
    print_line(f"The schema was taken down to {revision}.")


@app.command()
def backup(
    file: Annotated[
        Path | None, typer.Argument(help="The archive; default: a new one in MEDIAGATE_BACKUP_DIR.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Back the database up while it is in use: an archive of pg_dump, and beside it a manifest with its SHA-256.

    Both are of one moment and appear whole or not at all. Objects are not in it: see `mediagate backup create`.

    Example: `mediagate db backup /backups/before-the-move.dump`
    """
    settings = _settings()
    archive = (file or backup_dir(settings) / new_name()).absolute()
    manifest = make(settings, archive)
    if as_json:
        print_json({"file": str(archive), **manifest.model_dump(mode="json")})
        return
    rows = sum(manifest.tables.values())
    print_line(f"{archive}: {decimal(manifest.size)}, {rows} rows of {len(manifest.tables)} tables.")
    print_line(f"Revision {manifest.revision}, PostgreSQL {manifest.server}, SHA-256 {manifest.sha256}.")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="An archive of `mediagate db backup`, its manifest beside it.")],
    replace: Annotated[bool, typer.Option("--replace", help="Drop what the database holds; it is backed up.")] = False,
    yes: Yes = False,
    no_backup: NoBackup = False,
    as_json: Json = False,
) -> None:
    """Bring an empty database to what a backup holds, in one transaction, and count its rows. A dry run without --yes.

    Stop the API and the workers before. A backup of an older release is followed by `mediagate db upgrade`; one of a
    newer release is refused. What runs and objects need after that: docs/runbooks/recovery.md.

    Example: `mediagate db restore /backups/before-the-move.dump --replace --yes`
    """
    settings = _settings()
    url = settings.database_url.get_secret_value()
    archive = file.absolute()
    manifest, server = dumps.read_manifest(archive), backups.look(url)
    programs = find_programs(max(server.major, int(manifest.server.partition(".")[0])))
    if why := backups.refusal(server, manifest, replace=replace):
        raise Conflict(why)
    kept: Path | None = None
    busy = backups.busy(server)
    if yes:
        if busy:  # before anything is made
            raise Conflict(busy)
        if server.revision and not no_backup:
            kept = before_change(settings, f"{BEFORE}restore")
        backups.restore(url, archive, programs, replace=replace)
    else:
        dumps.check(archive, manifest, programs)
    if as_json:
        facts = {"database": server.database, "restored": yes, "replaced": len(server.tables) if replace else 0}
        print_json({**facts, "kept": str(kept) if kept else None, **manifest.model_dump(mode="json")})
        return
    rows, at = sum(manifest.tables.values()), f"{manifest.made_at:%Y-%m-%d %H:%M:%S} UTC"
    print_line(
        f"The backup is intact: {rows} rows of {len(manifest.tables)} tables, revision {manifest.revision}, {at}."
    )
    if kept:
        print_line(f"What the database held is in {kept}.")
    print_line(f"The database {server.database} was restored." if yes else f"{_would(server, replace=replace)} {busy}")


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking for the database's name.")] = False,
    as_json: Json = False,
) -> None:
    """Empty a development database and migrate it anew. Everything in it is lost.

    Refused unless the database is the running local stack's own, or MEDIAGATE_ENVIRONMENT is `development`. Objects
    and runs are left: for a fresh stack use `make clean`.

    Example: `mediagate db reset`
    """
    settings = _settings()
    url = settings.database_url.get_secret_value()
    if settings.environment != "development" and not is_local_database(url):
        raise NotAllowed(
            "This is neither the running local stack's database nor is MEDIAGATE_ENVIRONMENT `development`:"
            " nothing was changed."
        )
    server = backups.look(url)
    if not yes:
        print_line(f"This empties the database {server.database}: {len(server.tables)} tables.")
        if typer.prompt("Type its name to go on") != server.database:
            raise Conflict("That is not its name: nothing was changed.")
    backups.empty(url)
    migrate.upgrade(url)
    if as_json:
        print_json({"database": server.database, "reset": True})
    else:
        print_line(f"The database {server.database} is empty and migrated.")


def _would(server: backups.Server, *, replace: bool) -> str:
    drops = f"drop its {len(server.tables)} tables (they are backed up) and " if replace and server.tables else ""
    return f"Nothing was changed. Add --yes to {drops}restore it into {server.database}."


def _last_backup(folder: Path) -> str:
    made = max((file.stat().st_mtime for file in folder.glob("*.dump")), default=None)
    if made is None:
        return f"There is no backup in {folder}."
    return f"The last backup in {folder} is of {datetime.fromtimestamp(made).astimezone():%Y-%m-%d %H:%M %Z}."
