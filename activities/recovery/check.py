"""Reading a backup back: is everything that it promises there, to the byte."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from activities.recovery.catalogue import CATALOGUE_TAILS, Catalogue
from activities.recovery.layout import (
    CATALOGUE,
    DATABASE,
    NO_LIMIT,
    Manifest,
    Place,
    Progress,
    Tell,
    scratch_file,
)
from activities.recovery.pacing import Throttle, each
from db import dumps
from db.programs import Programs
from mediagate.errors import ObjectCorrupt, ObjectMissing

MOST_BROKEN = 100
"""So many broken things are named."""


@dataclass
class Verified:
    """What was read, and what is not as it was written."""

    manifest: Manifest
    contents: int = 0
    bytes: int = 0
    broken: list[str] = field(default_factory=list)

    def blame(self, what: str) -> None:
        """Note something that is broken."""
        if len(self.broken) < MOST_BROKEN:
            self.broken.append(what)


async def verify(
    place: Place,
    backup_id: str,
    folder: Path,
    programs: Programs,
    *,
    rate: float | None = None,
    tell: Tell = lambda _: None,
) -> Verified:
    """Read the dump, the catalogue and every content of a backup (the latest without an id), and compare digests.

    Raises:
        NotFound: there is no such backup.
        StorageUnavailable: it cannot be told.
    """
    done = Verified(await place.manifest(backup_id))
    for key in done.manifest.missing:
        done.blame(f"{key}: it was missing when the backup was made")
    for key in done.manifest.altered:
        done.blame(f"{key}: its bytes were not what the rows say when the backup was made")
    try:
        await fetched_dump(place, done.manifest, folder, programs)
    except (ObjectCorrupt, ObjectMissing) as error:
        done.blame(f"{DATABASE}: {error.message}")
    finally:
        forget_dump(folder)
    try:
        async with fetched_catalogue(place, done.manifest, folder) as catalogue:
            await _contents(place, catalogue, done, Throttle(rate), tell)
    except (ObjectCorrupt, ObjectMissing) as error:
        done.blame(f"{CATALOGUE}: {error.message}")
    return done


async def _contents(place: Place, catalogue: Catalogue, done: Verified, throttle: Throttle, tell: Tell) -> None:
    async def all_of_them() -> AsyncGenerator[tuple[str, int], None]:
        for one in catalogue.digests():
            yield one

    async def look(content: tuple[str, int]) -> None:
        digest, size = content
        await throttle.take(size)
        try:
            found = await place.archive.sha256(place.content(digest))
        except ObjectMissing:
            found = "nothing"
        if found != digest:
            what = "is missing" if found == "nothing" else "was altered"
            done.blame(f"{', '.join(catalogue.keys_of(digest))}: the content {digest} {what}")
        done.contents += 1
        done.bytes += size
        tell(Progress("contents", done.contents, done.bytes))

    await each(all_of_them(), look)


async def fetched_dump(place: Place, manifest: Manifest, folder: Path, programs: Programs) -> Path:
    """The dump of a backup with its manifest beside it in the working folder, checked.

    Raises:
        ObjectMissing, ObjectCorrupt: it is not what was written.
    """
    archive = scratch_file(folder, DATABASE)
    await place.archive.download(place.file(manifest.id, DATABASE), archive, max_bytes=NO_LIMIT)
    beside = dumps.manifest_path(archive)
    beside.write_text(manifest.database.model_dump_json())
    await asyncio.to_thread(dumps.check, archive, manifest.database, programs)
    return archive


def forget_dump(folder: Path) -> None:
    """Take the working copy of a dump away."""
    archive = folder / DATABASE
    for file in (archive, dumps.manifest_path(archive)):
        file.unlink(missing_ok=True)


@asynccontextmanager
async def fetched_catalogue(place: Place, manifest: Manifest, folder: Path) -> AsyncGenerator[Catalogue, None]:
    """The catalogue of a backup, open for the time of the block.

    Raises:
        ObjectMissing, ObjectCorrupt: it is not what was written.
    """
    file = scratch_file(folder, f"{manifest.id}.db")
    try:
        found = await place.archive.download(place.file(manifest.id, CATALOGUE), file, max_bytes=NO_LIMIT)
        if found != manifest.catalogue.sha256:
            raise ObjectCorrupt(f"The catalogue of {manifest.id} was altered.")
        with closing(Catalogue(file)) as catalogue:
            yield catalogue
    finally:
        for tail in CATALOGUE_TAILS:
            file.with_name(f"{file.name}{tail}").unlink(missing_ok=True)
