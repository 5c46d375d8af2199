"""Letting old backups go: what was erased in the gate is not kept in its backups for ever."""

from collections.abc import AsyncGenerator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from activities.recovery.catalogue import CATALOGUE_TAILS, Catalogue
from activities.recovery.check import fetched_catalogue
from activities.recovery.create import alone
from activities.recovery.layout import MANIFEST, Place, scratch_file
from activities.recovery.pacing import each


@dataclass
class Pruned:
    """What was, or would be, removed."""

    backups: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    contents: int = 0
    bytes: int = 0


async def prune(url: str, place: Place, folder: Path, *, keep: int, dry_run: bool) -> Pruned:
    """Remove all backups but the newest `keep`, then every content that none of these has.

    A backup that is being removed is none any more from the first moment on. Idempotent; remains of backups that were
    cut off go as well.

    Raises:
        Conflict: a backup is being made.
        ObjectCorrupt, ObjectMissing: the catalogue of a backup that is kept cannot be read; no content was removed.
    """
    async with alone(url):
        ids = await place.ids()
        done = Pruned(backups=ids[:-keep], kept=ids[-keep:])
        file = scratch_file(folder, "kept.db")
        try:
            with closing(Catalogue(file)) as kept:
                for backup_id in done.kept:
                    async with fetched_catalogue(place, await place.manifest(backup_id), folder) as catalogue:
                        kept.have(catalogue.digests())
                if not dry_run:
                    await _forget(place, done)
                await _sweep(place, kept, done, dry_run=dry_run)
        finally:
            for tail in CATALOGUE_TAILS:
                file.with_name(f"{file.name}{tail}").unlink(missing_ok=True)
    return done


async def _forget(place: Place, done: Pruned) -> None:
    for backup_id in done.backups:
        await place.archive.delete(place.file(backup_id, MANIFEST))
    kept = tuple(place.file(backup_id, "") for backup_id in done.kept)
    rest = [stat.key async for stat in place.archive.list(f"{place.prefix}backups/")]
    for key in rest:
        if not key.startswith(kept):
            await place.archive.delete(key)


async def _sweep(place: Place, kept: Catalogue, done: Pruned, *, dry_run: bool) -> None:
    async def unwanted() -> AsyncGenerator[str, None]:
        async for stat in place.archive.list(place.contents):
            if not kept.has(stat.key.rpartition("/")[2]):
                done.contents, done.bytes = done.contents + 1, done.bytes + stat.size
                yield stat.key

    async def remove(key: str) -> None:
        if not dry_run:
            await place.archive.delete(key)

    await each(unwanted(), remove)
