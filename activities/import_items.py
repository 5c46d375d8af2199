"""One object of an import: brought over, checked and accepted as an upload."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import structlog

from activities.acceptance import accept, accepted_type, check_size, spend
from activities.outbox import LOST_RUN, start_or_owe
from mediagate.errors import (
    CallerError,
    HashMismatch,
    ObjectChanged,
    ObjectMissing,
    QuotaExceeded,
    StorageUnavailable,
    TooLarge,
)
from mediagate.media.content_types import registered, type_by_name
from mediagate.media.filenames import clean_filename
from mediagate.media.imports import BEGINNING, ImportItemState
from mediagate.scratch import scratch_folder
from mediagate.storage import keys

if TYPE_CHECKING:  # SQLAlchemy: not for what only imports the workflow
    from datetime import datetime

    from activities.deps import Deps
    from db.session import Database
    from db.tables import Import, ImportItem, Library, Media
    from mediagate.media.values import Limits
    from mediagate.storage.store import ObjectStat, ObjectStore

log = structlog.get_logger()

MOST_ATTEMPTS = 10
"""Tries at one object that end because a store does not answer; then it has failed, and the others go on."""
SOURCE_AWAY = 30.0
"""Seconds until the next try."""
LONGEST_HOLD = 600.0
"""Seconds after which a quota is looked at again; somebody may have raised it."""


class Hold(Exception):
    """Nothing can begin for a while."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.seconds = min(seconds, LONGEST_HOLD)


class Brought(NamedTuple):
    """An object on this machine's disk."""

    path: Path
    sha256: str
    size: int
    content_type: str
    filename: str


class ImportItems:
    """Takes in the objects of one import."""

    def __init__(self, deps: Deps, one: Import, library: Library, source: ObjectStore) -> None:
        self._deps = deps
        self._import = one
        self._library = library
        self._source = source
        self._limits: Limits = deps.settings.limits(library.settings)

    async def begin(self, item: ImportItem) -> bool:
        """Accept the object as an upload and start that, or note why it failed; False if nothing may begin any more.

        Idempotent: the id of the upload is derived from the object's key, and row and item change together.

        Raises:
            Hold: a quota is used up, or a store does not answer; the item waits.
        """
        try:
            return await self._begin(item)
        except QuotaExceeded as error:
            raise Hold(error.message, error.retry_after or SOURCE_AWAY) from error
        except StorageUnavailable as error:
            log.warning("import.store_away", media_id=str(item.media_id), key=item.key, detail=error.message)
            await self._count_attempt(item)
            raise Hold(f"A store did not answer for {item.key!r}; the workers' logs say more.", SOURCE_AWAY) from error

    async def _begin(self, item: ImportItem) -> bool:
        async with self._deps.db.transaction() as tx:
            media = await tx.media.find(item.media_id)
        try:
            accepted = await (self._known(item, media) if media else self._accept(item))
        except QuotaExceeded:
            raise
        except CallerError as error:
            told = "There is no such object (any more)." if isinstance(error, ObjectMissing) else error.message
            await self._fail(item, error.code, told)
            return True
        if accepted and accepted.started_at is None:
            deps = self._deps
            await start_or_owe(deps.db, deps.flows, deps.settings, accepted, self._library)
        return accepted is not None

    async def _known(self, item: ImportItem, media: Media) -> Media | None:
        """An upload that is there already, as when a failed one is looked at again."""
        async with self._deps.db.transaction() as tx:
            one = await tx.imports.get(self._import.id, hold=True)
            if one.state not in BEGINNING:
                return None
            (await tx.imports.item(item.id)).state = ImportItemState.UNDER_WAY
        return media

    async def _accept(self, item: ImportItem) -> Media | None:
        with scratch_folder() as folder:
            brought = await self._bring(item, folder / "object")
            return await self._seal(item, brought)

    async def _bring(self, item: ImportItem, path: Path) -> Brought:
        """The object on disk, if it is what was to be imported. Raises CallerError, StorageUnavailable."""
        filename = clean_filename(item.filename)
        stat = await self._source.stat(item.key)
        if item.etag and stat.etag != item.etag:
            raise ObjectChanged("The object changed after it was listed; start another import for it.")
        check_size(stat.size, self._limits)
        if self._limits.daily_bytes is not None and stat.size > self._limits.daily_bytes:
            raise TooLarge(f"The file has {stat.size} bytes; the library may upload {self._limits.daily_bytes} a day.")
        content_type = accepted_type(_declared(stat, filename), self._limits)
        sha256 = await self._source.download(item.key, path, max_bytes=self._limits.max_bytes)
        size = (await asyncio.to_thread(path.stat)).st_size
        if size != stat.size:
            raise ObjectChanged("The object changed while it was imported; try it again.")
        if item.sha256 and sha256 != item.sha256:
            raise HashMismatch(f"The object has SHA-256 {sha256}, not {item.sha256}.")
        return Brought(path, sha256, size, content_type, filename)

    async def _seal(self, item: ImportItem, brought: Brought) -> Media | None:
        """Store the master and accept it; None if an order came, or another attempt was faster.

        The item is locked meanwhile: an attempt that the server gave up on never writes over an accepted master.
        """
        from db.tables import Media

        master = self._master(item)
        texts = {**self._import.texts, **{name: words for name, words in item.texts.items() if words}}
        async with self._deps.db.transaction() as tx:
            one = await tx.imports.get(self._import.id, hold=True)
            current = await tx.imports.item(item.id)
            if one.state not in BEGINNING or current.state is not ImportItemState.TAKEN:
                return None
            await spend(tx, self._library, self._limits, brought.size)
            await self._deps.store.put(master, brought.path, content_type=brought.content_type, sha256=brought.sha256)
            media = Media(
                id=item.media_id,
                library_id=self._library.id,
                batch_id=self._import.id,
                filename=brought.filename,
                content_type=brought.content_type,
                declared_bytes=brought.size,
                **texts,
                tracking_id=self._import.tracking_id,
                # In a later round there may be a run of this very item that a restore knows nothing of.
                run_id=LOST_RUN if self._import.round > 1 else None,
            )
            tx.media.add(media)
            await tx.session.flush()
            facts = {"filename": brought.filename, "bytes": brought.size, "imported_from": item.key}
            await tx.media.record(media.id, "created", "created", facts)
            await accept(tx, media, sha256=brought.sha256, size=brought.size, master=master)
            current.state, current.reason, current.detail = ImportItemState.UNDER_WAY, "", ""
            current.updated_at = _now()
        return media

    async def _count_attempt(self, item: ImportItem) -> None:
        async with self._deps.db.transaction() as tx:
            current = await tx.imports.item(item.id)
            current.attempts += 1
            attempts = current.attempts
        if attempts >= MOST_ATTEMPTS:
            with suppress(StorageUnavailable):  # it is the gate's own store that is away: the next try counts again
                await self._fail(item, "storage_unavailable", f"A store did not answer {attempts} times.")

    async def _fail(self, item: ImportItem, reason: str, detail: str) -> None:
        to = ImportItemState.FAILED
        await put_back(self._deps.db, self._deps.store, self._library, item, to, reason=reason, detail=detail)

    def _master(self, item: ImportItem) -> str:
        return keys.master(self._library.slug, str(item.media_id))


async def put_back(
    db: Database, store: ObjectStore, library: Library, item: ImportItem, to: ImportItemState, **why: str
) -> None:
    """Bring an object that was taken and is not accepted into that state; nothing that was copied of it stays.

    It is locked meanwhile, so that nobody accepts it while its bytes are deleted. `why`: `reason` and `detail`.
    """
    async with db.transaction() as tx:
        current = await tx.imports.item(item.id)
        if current.state is not ImportItemState.TAKEN:
            return
        if await tx.media.find(item.media_id) is None:
            await store.delete(keys.master(library.slug, str(item.media_id)))
        current.sqlmodel_update({"state": to, "updated_at": _now(), **why})


def _now() -> datetime:
    from db.tables import now

    return now()


def _declared(stat: ObjectStat, filename: str) -> str:
    """What the store says that it is; of what was copied there without a type, what its name says."""
    return stat.content_type if registered(stat.content_type) else type_by_name(filename) or stat.content_type
