"""What its time is up for: found by the same look for the nightly run and for whoever only wants to see it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import structlog
from temporalio import activity

from activities import heartbeats
from activities.trash import delete_removed, drop_backup, erase, kept_by, throw_away
from mediagate.errors import Conflict, MediagateError, NotFound, Unavailable
from mediagate.media.values import Status
from workflows.messages import MediaRef
from workflows.storage_messages import (
    RetentionCounts,
    RetentionCursor,
    RetentionInput,
    RetentionPage,
    RetentionStep,
    TrashInput,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from activities.deps import Deps
    from db.repositories.audit import Actor
    from db.repositories.trash import Position
    from db.session import Database, Transaction
    from db.tables import Library

log = structlog.get_logger()

_ORDER = list(RetentionStep)
_WITHHELD = (Status.QUARANTINED, Status.REJECTED)


class Due(NamedTuple):
    """Something whose time is up. `why`: for people; `before`: the moment that its time is measured by."""

    media_id: UUID
    library: str
    step: RetentionStep
    why: str
    bytes: int
    before: datetime
    kept: str
    """Why it stays all the same; empty: it does not."""


class _Stage(NamedTuple):
    """A part of a step, in the order of these fields."""

    step: int
    library: str
    status: str


async def due_page(
    db: Database, cursor: RetentionCursor, *, library: str | None, limit: int
) -> tuple[list[Due], RetentionCursor | None]:
    """At most `limit` items whose time is up, from behind a position, and the next position; None: there are no more.

    Raises:
        NotFound: there is no such library.
    """
    from db.tables import now

    at = now()
    async with db.transaction() as tx:
        owner = await tx.access.library(library) if library is not None else None
        if library is not None and owner is None:
            raise NotFound(f"There is no library {library!r}.")
        libraries = {row.slug: row for row in await tx.trash.retaining(library)}
        stages = _stages(libraries.values())
        here = _Stage(_ORDER.index(cursor.step), cursor.library, cursor.status)
        stage = next(one for one in stages if one >= here)
        after = (cursor.after_time, UUID(cursor.after_id)) if cursor.after_time and stage == here else None
        if _ORDER[stage.step] is RetentionStep.ERASE:
            found, position = await _erasable(tx, at, owner, after, limit)
        else:
            found, position = await _outdated(tx, at, libraries[stage.library], stage, after, limit)
        found = await _judged(tx, found)
    if position and len(found) == limit:
        return found, _cursor(stage, position)
    following = next((one for one in stages if one > stage), None)
    return found, _cursor(following) if following else None


def _stages(libraries: Iterable[Library]) -> list[_Stage]:
    stages = [_Stage(_ORDER.index(RetentionStep.ERASE), "", "")]
    for library in libraries:
        retention = library.retention
        stages += [_Stage(_ORDER.index(RetentionStep.TRASH), library.slug, status) for status in retention.statuses]
        if retention.backups:
            stages += [_Stage(_ORDER.index(RetentionStep.BACKUPS), library.slug, status) for status in _WITHHELD]
    return sorted(stages)


def _cursor(stage: _Stage, position: Position | None = None) -> RetentionCursor:
    return RetentionCursor(
        step=_ORDER[stage.step],
        library=stage.library,
        status=stage.status,
        after_time=position[0] if position else None,
        after_id=str(position[1]) if position else "",
    )


async def _outdated(
    tx: Transaction, at: datetime, library: Library, stage: _Stage, after: Position | None, limit: int
) -> tuple[list[Due], Position | None]:
    retention, status = library.retention, Status(stage.status)
    if _ORDER[stage.step] is RetentionStep.TRASH:
        age, look = retention.statuses[status], tx.trash.outdated
        why = f"{status.value} for more than {age.days} days"
    else:
        age, look = timedelta(days=retention.backups or 0), tx.trash.with_old_backup
        why = f"backup of a {status.value} item, filed more than {age.days} days ago"
    rows = await look(library.id, status, at - age, after=after, limit=limit)
    due = [Due(row.id, library.slug, _ORDER[stage.step], why, row.bytes or 0, at - age, "") for row in rows]
    return due, (rows[-1].created_at, rows[-1].id) if rows else None


async def _erasable(
    tx: Transaction, at: datetime, library: Library | None, after: Position | None, limit: int
) -> tuple[list[Due], Position | None]:
    rows = await tx.trash.due(at, library_id=library.id if library else None, after=after, limit=limit)
    due = []
    for media, owner, item in rows:
        why = f"in the trash since {item.trashed_at:%Y-%m-%d}"
        size = (media.bytes or 0) * sum(key is not None for key in (media.master_key, media.backup_key))
        due.append(Due(media.id, owner.slug, RetentionStep.ERASE, why, size, at, ""))
    return due, (rows[-1][2].erase_after, rows[-1][2].media_id) if rows else None


async def _judged(tx: Transaction, found: Sequence[Due]) -> list[Due]:
    """With the sizes of pictures, and what has to stay."""
    ids = [one.media_id for one in found]
    pictures, kept = await tx.trash.variant_bytes(ids), await kept_by(tx, ids)
    return [
        one._replace(
            bytes=one.bytes + (0 if one.step is RetentionStep.BACKUPS else pictures.get(one.media_id, 0)),
            kept=kept.get(one.media_id, ""),
        )
        for one in found
    ]


class Retaining:
    """Throws away, and erases, what its time is up for."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def apply_retention(self, job: RetentionInput) -> RetentionPage:
        """A page of what `due_page` finds. Idempotent: what is done is found no more.

        Objects that an earlier run could not delete go first, those of this page last.
        """
        from db.repositories.audit import Actor

        who, db, store = Actor(job.actor, job.via), self._deps.db, self._deps.store
        async with heartbeats.every(10):
            await delete_removed(db, store)
            found, cursor = await due_page(db, job.cursor, library=job.library, limit=job.limit)
            done = RetentionCounts(kept=sum(1 for one in found if one.kept))
            for one in found:
                if not one.kept:
                    done = done.plus(await self._try(one, who))
            await delete_removed(db, store)
        return RetentionPage(done=done, cursor=cursor)

    async def _try(self, one: Due, who: Actor) -> RetentionCounts:
        """One item that cannot be dealt with keeps nobody else waiting."""
        try:
            return await self._act(one, who)
        except MediagateError as error:
            if error.retryable:
                raise
            log.error("retention.failed", media_id=str(one.media_id), step=one.step.value, error=error.code)
            return RetentionCounts(failed=1)

    async def _act(self, one: Due, who: Actor) -> RetentionCounts:
        db, settings = self._deps.db, self._deps.settings
        if one.step is RetentionStep.TRASH:
            try:
                item = await throw_away(
                    db,
                    one.media_id,
                    who,
                    keep=settings.trash_time,
                    purge=settings.purge_url is not None,
                    reason="retention",
                    older_than=one.before,
                )
            except Conflict as conflict:  # it changed meanwhile
                log.info("retention.left", media_id=str(one.media_id), why=conflict.message)
                return RetentionCounts()
            if item.purge_owed:
                await start_purge(self._deps, one.media_id, one.library)
            return RetentionCounts(trashed=1)
        if one.step is RetentionStep.BACKUPS:
            freed = await drop_backup(db, one.media_id, who, filed_before=one.before)
            return RetentionCounts() if freed is None else RetentionCounts(backups=1, bytes=freed)
        freed = await erase(db, self._deps.store, one.media_id, who)
        return RetentionCounts() if freed is None else RetentionCounts(erased=1, bytes=freed)

    @activity.defn
    async def note_purged(self, ref: MediaRef) -> None:
        """Caches were told of an item in the trash. Idempotent."""
        async with self._deps.db.transaction() as tx:
            await tx.trash.purged(UUID(ref.media_id))


async def start_purge(deps: Deps, media_id: UUID, library: str, tracking_id: str = "") -> None:
    """Have caches told; a start that fails is made up for by the sweep."""
    from workflows.storage_client import start_trash

    try:
        job = TrashInput(media_id=str(media_id), library=library, tracking_id=tracking_id)
        await start_trash(deps.flows, job)
    except Unavailable as error:
        log.warning("trash.purge_owed", media_id=str(media_id), error=error.code)
