"""How `mediagate backup` reaches the deployment and the place of its backups."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from activities.recovery.create import Source
from activities.recovery.layout import Place, Progress, Tell
from cli.database_backups import backup_dir
from cli.output import console
from cli.postgres_programs import find_programs
from db import backup
from db.session import Database
from mediagate import wiring
from mediagate.errors import InvalidRequest
from mediagate.media.values import MIB
from mediagate.settings import Settings
from mediagate.storage.archive import FolderArchive
from mediagate.storage.s3 import S3Store
from mediagate.storage.store import S3Address

At = Annotated[
    str | None,
    typer.Option("--at", metavar="PLACE", help="A folder, or s3://bucket/prefix. Default: MEDIAGATE_BACKUP_TARGET."),
]
Rate = Annotated[
    float | None, typer.Option("--rate", min=0.01, metavar="MIB", help="Read at most so many MiB of objects a second.")
]
_S3 = "s3://"


def work_folder(settings: Settings) -> Path:
    """For working files; what is left in it saves the next backup time."""
    return backup_dir(settings) / "work"


@contextmanager
def opened_place(settings: Settings, at: str | None) -> Iterator[Place]:
    """Where backups are kept.

    Raises:
        InvalidRequest: nobody says where, or it is the bucket that is backed up.
    """
    at = at or settings.backup_target
    if not at:
        raise InvalidRequest("Name the place of the backups: --at PLACE, or MEDIAGATE_BACKUP_TARGET.")
    if not at.startswith(_S3):
        yield Place(FolderArchive(Path(at).expanduser().absolute()))
        return
    bucket, _, prefix = at.removeprefix(_S3).partition("/")
    url = settings.backup_s3_url or settings.s3_url
    if not bucket or (url, bucket) in {(one.url, one.bucket) for one in wiring.store_addresses(settings).values()}:
        raise InvalidRequest(f"{at} is no place for backups: libraries live in it. Name another bucket.")
    store = S3Store(
        S3Address(
            url=url,
            access_key=settings.backup_s3_access_key or settings.s3_access_key,
            secret_key=settings.backup_s3_secret_key or settings.s3_secret_key,
            region=settings.backup_s3_region or settings.s3_region,
            bucket=bucket,
        )
    )
    try:
        yield Place(store, f"{prefix.strip('/')}/" if prefix.strip("/") else "")
    finally:
        store.close()


async def ensure_bucket(place: Place) -> None:
    """Make the bucket of a place on S3 if there is none."""
    if isinstance(place.archive, S3Store):
        await place.archive.ensure_bucket()


@contextmanager
def opened_source(settings: Settings, rate: float | None = None) -> Iterator[Source]:
    """The deployment. Raises NotFound without fitting programs of PostgreSQL."""
    url = settings.database_url.get_secret_value()
    programs = find_programs(backup.look(url).major)
    store = wiring.open_store(settings)
    try:
        yield Source(url, store, settings.s3_bucket, programs, rate * MIB if rate else None)
    finally:
        store.close()


@asynccontextmanager
async def every_store(settings: Settings, source: Source) -> AsyncIterator[Source]:
    """The same deployment with the objects of all its stores."""
    db = Database(source.url, pool_size=1)
    store = wiring.routed(wiring.open_stores(settings), db.placement)
    try:
        yield replace(source, store=store)
    finally:
        store.close()
        await db.close()


@contextmanager
def telling(what: str) -> Iterator[Tell]:
    """Progress, on a terminal."""
    with console(stderr=True).status(f"{what} …") as status:

        def tell(progress: Progress) -> None:
            count = f"{progress.objects}, " if progress.objects else ""
            status.update(f"{what}: {progress.step} {count}{decimal(progress.bytes)}")

        yield tell
