"""Making a backup while the gate is at work: objects, the database, and the objects that came meanwhile.

In this order no row can come back without its object: docs/decisions/0028-backups.md. Cut off at any moment, it leaves
contents that the next one does not copy again, and no backup.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psycopg

from activities.recovery.catalogue import Catalogue
from activities.recovery.layout import (
    CATALOGUE,
    DATABASE,
    MANIFEST,
    NO_LIMIT,
    File,
    Manifest,
    Place,
    Progress,
    Tell,
    scratch_file,
)
from activities.recovery.pacing import Throttle, each
from db import backup, dumps
from db.programs import Programs, libpq_url
from db.references import references
from db.tables import now
from mediagate import __version__
from mediagate.errors import Conflict, DatabaseUnavailable, ObjectMissing
from mediagate.storage import keys
from mediagate.storage.store import ObjectStat, ObjectStore

SNAPSHOTS = 3
"""So often the database is dumped anew when an object of its rows was deleted before it was copied."""
MOST_NAMED = 1000
_LOCK = 0x6D656462
_JSON, _BYTES = "application/json", "application/octet-stream"


@dataclass(frozen=True)
class Source:
    """The deployment that is backed up. `rate`: bytes of objects a second; None: as fast as it goes."""

    url: str
    store: ObjectStore
    bucket: str
    programs: Programs
    rate: float | None = None


@dataclass
class _Work:
    """A backup that is being made."""

    source: Source
    place: Place
    catalogue: Catalogue
    folder: Path
    throttle: Throttle
    tell: Tell
    began: datetime
    pass_: int = 0
    copied: int = 0
    copied_bytes: int = 0
    looked_at: int = 0
    copying: dict[str, "asyncio.Event"] = field(default_factory=dict)
    """Contents on their way into the place."""

    @property
    def id(self) -> str:
        return f"{self.began:%Y%m%dT%H%M%S}.{self.began.microsecond:06d}Z"


async def create(source: Source, place: Place, folder: Path, *, tell: Tell = lambda _: None) -> Manifest:
    """Make a backup; only one at a time is made of a database.

    folder: for working files, a dump and a catalogue; kept, it saves the next backup reading objects that it knows.

    Raises:
        Conflict: one is being made already, or the database has no schema.
        BackupFailed, DatabaseUnavailable, StorageUnavailable: there is none; begin again, and it goes on.
    """
    async with alone(source.url):
        with closing(Catalogue(scratch_file(folder, CATALOGUE))) as catalogue:
            work = _Work(source, place, catalogue, folder, Throttle(source.rate), tell, now())
            await _begin(work)
            await _objects(work)
            missing: list[str] = []
            for _ in range(SNAPSHOTS):
                before = missing
                manifest = await _database(work)
                await _objects(work)
                catalogue.settle(work.pass_)
                missing = catalogue.missing(work.pass_, MOST_NAMED)
                if missing == before:  # none, or those that are lost
                    break
            return await _finish(work, manifest)


async def _begin(work: _Work) -> None:
    """What is known already: the contents in the place, and which key had which of them when it was last read."""
    work.catalogue.begin()
    async for stat in work.place.archive.list(work.place.contents):
        work.catalogue.have([(stat.key.rpartition("/")[2], stat.size)])
    if work.catalogue.knows_nothing and (earlier := await work.place.ids()):
        other = scratch_file(work.folder, "earlier.db")
        try:
            await work.place.archive.download(work.place.file(earlier[-1], CATALOGUE), other, max_bytes=NO_LIMIT)
            work.catalogue.learn(other)
        finally:
            other.unlink(missing_ok=True)


async def _objects(work: _Work) -> None:
    """Look at every object, and copy those that are not known."""
    work.pass_ += 1
    work.looked_at = 0
    scratch = (keys.STAGING, keys.WORK)  # before the decision everything is made of the master again

    async def unknown() -> AsyncGenerator[ObjectStat, None]:
        async for stat in work.source.store.list(""):
            work.looked_at += 1
            if not (stat.key.startswith(scratch) or work.catalogue.seen(stat, work.pass_)):
                yield stat
                work.tell(Progress("objects", work.looked_at, work.copied_bytes))

    await each(unknown(), lambda stat: _copied(work, stat))
    work.tell(Progress("objects", work.looked_at, work.copied_bytes))


async def _copied(work: _Work, stat: ObjectStat) -> None:
    """Read an object once, and keep its content unless it is kept already."""
    await work.throttle.take(stat.size)
    file = scratch_file(work.folder, f"object-{id(stat):x}")
    try:
        try:
            content_type = (await work.source.store.stat(stat.key)).content_type
            sha256 = await work.source.store.download(stat.key, file, max_bytes=NO_LIMIT)
        except ObjectMissing:
            return  # moved or deleted meanwhile: what matters is what the rows of the snapshot name
        size = file.stat().st_size
        if other := work.copying.get(sha256):
            await other.wait()
        if not work.catalogue.has(sha256):
            work.copying[sha256] = asyncio.Event()
            try:
                await work.place.archive.put(work.place.content(sha256), file, content_type=_BYTES, sha256=sha256)
            finally:
                work.copying.pop(sha256).set()
            work.copied += 1
            work.copied_bytes += size
        work.catalogue.put(stat.model_copy(update={"size": size}), sha256, content_type, work.pass_)
    finally:
        file.unlink(missing_ok=True)


async def _database(work: _Work) -> dumps.DatabaseManifest:
    """Dump the database, and note which objects the rows of that very snapshot name."""
    archive = scratch_file(work.folder, DATABASE)
    for file in (archive, dumps.manifest_path(archive)):
        file.unlink(missing_ok=True)

    def beside(connection: psycopg.Connection) -> None:
        scratch = (keys.STAGING, keys.WORK)
        work.catalogue.want(one for one in references(connection) if not one.key.startswith(scratch))

    def report(size: int) -> None:
        work.tell(Progress("database", bytes=size))

    source = work.source
    return await asyncio.to_thread(backup.dump, source.url, archive, source.programs, report=report, beside=beside)


async def _finish(work: _Work, database: dumps.DatabaseManifest) -> Manifest:
    """Put the dump and the catalogue beside the contents, and the manifest last."""
    archive, listed = work.folder / DATABASE, scratch_file(work.folder, "backup.db")
    try:
        totals = work.catalogue.extract(listed, work.pass_)
        digest = await asyncio.to_thread(dumps.sha256_of, listed)
        manifest = Manifest(
            id=work.id,
            release=__version__,
            made_at=database.made_at,
            bucket=work.source.bucket,
            database=database,
            catalogue=File(size=listed.stat().st_size, sha256=digest),
            objects=totals.objects,
            bytes=totals.bytes,
            copied=work.copied,
            copied_bytes=work.copied_bytes,
            missing=tuple(work.catalogue.missing(work.pass_, MOST_NAMED)),
            altered=tuple(work.catalogue.altered(work.pass_, MOST_NAMED)),
        )
        put, name = work.place.archive.put, work.place.file
        await put(name(work.id, DATABASE), archive, content_type=_BYTES, sha256=database.sha256)
        beside = dumps.manifest_path(archive)
        await put(name(work.id, beside.name), beside, content_type=_JSON)
        await put(name(work.id, CATALOGUE), listed, content_type=_BYTES, sha256=digest)
        text = manifest.model_dump_json(indent=2).encode() + b"\n"
        await put(name(work.id, MANIFEST), text, content_type=_JSON)
    finally:
        for file in (archive, dumps.manifest_path(archive), listed):
            file.unlink(missing_ok=True)
    return manifest


@asynccontextmanager
async def alone(url: str) -> AsyncIterator[None]:
    """Hold the database's lock of backups. Raises Conflict if another one is being made."""
    try:
        connection = await psycopg.AsyncConnection.connect(
            libpq_url(url), autocommit=True, connect_timeout=5, application_name="mediagate backup"
        )
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable from error
    async with connection:
        locked = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,))).fetchone()
        if not (locked and locked[0]):
            raise Conflict("A backup of this database is being made already.")
        yield
