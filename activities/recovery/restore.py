"""Coming back from a backup: objects first, so that no row is ever there without its object, then the database.

Cut off at any moment, it is begun again and goes on: objects that stand there already are read and left.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from activities.recovery.catalogue import Catalogue, Entry
from activities.recovery.check import fetched_catalogue, fetched_dump, forget_dump
from activities.recovery.create import Source
from activities.recovery.layout import NO_LIMIT, Manifest, Place, Progress, Tell, scratch_file
from activities.recovery.pacing import Throttle, each
from db import backup, migrate
from mediagate.errors import Conflict, ObjectCorrupt, ObjectMissing


@dataclass
class Restored:
    """What was done; of a dry run, what would be."""

    manifest: Manifest
    server: backup.Server
    put: int = 0
    """Objects that were not there, or were others."""
    put_bytes: int = 0
    kept: int = 0
    """Objects that stood there intact; in a dry run: of the right size."""


async def plan(target: Source, place: Place, backup_id: str, folder: Path, *, replace: bool) -> Restored:
    """What `restore` would do. The dump and the catalogue are read, objects are looked at by their size.

    Raises:
        Conflict, NotFound, ObjectCorrupt: it cannot be restored here, and why.
    """
    done = await _accepted(target, place, backup_id, replace=replace)
    try:
        await fetched_dump(place, done.manifest, folder, target.programs)
    finally:
        forget_dump(folder)
    sizes = {stat.key: stat.size async for stat in target.store.list("")}
    async with fetched_catalogue(place, done.manifest, folder) as catalogue:
        for entry in catalogue.entries():
            if sizes.get(entry.key) == entry.size:
                done.kept += 1
            else:
                done.put, done.put_bytes = done.put + 1, done.put_bytes + entry.size
    return done


async def restore(
    target: Source,
    place: Place,
    backup_id: str,
    folder: Path,
    *,
    replace: bool = False,
    tell: Tell = lambda _: None,
) -> Restored:
    """Bring bucket and database to what a backup holds (the latest without an id), then migrate to this release.

    Objects that the backup does not know stay where they are. What runs need: `activities.recovery.runs`.

    Raises:
        Conflict: the database is not empty (`replace` drops what is in it), others work with it, or the backup is of a
            newer release; nothing was changed.
        ObjectCorrupt: the backup is damaged; the database was not touched.
    """
    done = await _accepted(target, place, backup_id, replace=replace)
    if why := backup.busy(done.server):
        raise Conflict(why)
    try:
        archive = await fetched_dump(place, done.manifest, folder, target.programs)
        async with fetched_catalogue(place, done.manifest, folder) as catalogue:
            await _objects(target, place, catalogue, folder, done, tell)
        tell(Progress("database", bytes=done.manifest.database.size))
        await asyncio.to_thread(backup.restore, target.url, archive, target.programs, replace=replace)
    finally:
        forget_dump(folder)
    await asyncio.to_thread(migrate.upgrade, target.url)
    return done


async def _accepted(target: Source, place: Place, backup_id: str, *, replace: bool) -> Restored:
    manifest = await place.manifest(backup_id)
    server = await asyncio.to_thread(backup.look, target.url)
    if why := backup.refusal(server, manifest.database, replace=replace):
        raise Conflict(why)
    return Restored(manifest, server)


async def _objects(
    target: Source, place: Place, catalogue: Catalogue, folder: Path, done: Restored, tell: Tell
) -> None:
    throttle = Throttle(target.rate)

    async def all_of_them() -> AsyncGenerator[Entry, None]:
        for entry in catalogue.entries():
            yield entry

    async def bring(entry: Entry) -> None:
        await throttle.take(entry.size)
        if await _stands(target, entry):
            done.kept += 1
        else:
            await _put(target, place, entry, folder)
            done.put, done.put_bytes = done.put + 1, done.put_bytes + entry.size
        tell(Progress("objects", done.put + done.kept, done.put_bytes))

    await each(all_of_them(), bring)


async def _stands(target: Source, entry: Entry) -> bool:
    """True if the object is there already, to the byte."""
    try:
        stat = await target.store.stat(entry.key)
        return stat.size == entry.size and await target.store.sha256(entry.key) == entry.sha256
    except ObjectMissing:
        return False


async def _put(target: Source, place: Place, entry: Entry, folder: Path) -> None:
    file = scratch_file(folder, f"object-{id(entry):x}")
    try:
        try:
            found = await place.archive.download(place.content(entry.sha256), file, max_bytes=NO_LIMIT)
        except ObjectMissing as error:
            raise ObjectCorrupt(f"The backup lacks the content of {entry.key}.") from error
        if found != entry.sha256:
            raise ObjectCorrupt(f"The content of {entry.key} was altered in the backup.")
        content_type = entry.content_type or "application/octet-stream"
        await target.store.put(entry.key, file, content_type=content_type, sha256=entry.sha256)
    finally:
        file.unlink(missing_ok=True)
