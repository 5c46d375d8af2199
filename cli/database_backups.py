"""Backups of the database as commands make them: where they go, what they are called, and before what they are made."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.filesize import decimal

from cli.output import console
from cli.postgres_programs import find_programs
from db import backup, migrate
from db.dumps import DatabaseManifest, manifest_path
from mediagate.settings import Settings

BEFORE = "before-"
"""How the names of backups begin that were made before a migration; only such are cleared away."""


def backup_dir(settings: Settings) -> Path:
    """The folder of database backups."""
    return settings.backup_dir or settings.state_dir / "backups"


def new_name(purpose: str = "mediagate") -> str:
    """`<purpose>-20261103T104501.123456Z.dump`."""
    return f"{purpose}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.dump"


def make(settings: Settings, archive: Path) -> DatabaseManifest:
    """Back the database up into a file, with progress on standard error.

    Raises:
        NotFound, Conflict, BackupFailed, DatabaseUnavailable: no backup was made.
    """
    url = settings.database_url.get_secret_value()
    programs = find_programs(backup.look(url).major)
    with progress(f"Backing up to {archive}") as report:
        return backup.dump(url, archive, programs, report=report)


def migrate_with_backup(settings: Settings, revision: str = "head", *, backed_up: bool = True) -> Path | None:
    """Bring the schema up to a revision; the backup that was made before, if any migration had to be applied.

    A database without a schema has nothing to lose and is not backed up. A backup that fails stops the migration.
    """
    url = settings.database_url.get_secret_value()
    archive = before_change(settings, f"{BEFORE}{revision}") if backed_up and _changes(url, revision) else None
    migrate.upgrade(url, revision)
    return archive


def before_change(settings: Settings, purpose: str) -> Path:
    """A backup beside the last few of its kind; older ones are removed once it is there."""
    folder = backup_dir(settings)
    archive = folder / new_name(purpose)
    make(settings, archive)
    kept = sorted(folder.glob(f"{BEFORE}*.dump"), key=lambda file: file.stat().st_mtime, reverse=True)
    for old in kept[settings.backup_keep :]:
        old.unlink(missing_ok=True)
        manifest_path(old).unlink(missing_ok=True)
    return archive


@contextmanager
def progress(what: str) -> Iterator[Callable[[int], None]]:
    """Bytes so far, on a terminal."""
    shown = console(stderr=True)
    with shown.status(f"{what} …") as status:
        yield lambda size: status.update(f"{what} … {decimal(size)}")


def _changes(url: str, revision: str) -> bool:
    """True if there is a schema, and migrations are missing. `revision`: any but head is taken to change something."""
    applied = [one.applied for one in migrate.status(url)]
    return any(applied) and (revision != "head" or not all(applied))
