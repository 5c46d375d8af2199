"""The trash, what its time is up for, and objects that are still to be deleted."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import (
    EvidenceRecord,
    Library,
    Media,
    MediaEvent,
    MediaVariant,
    Notification,
    ObjectRemoval,
    TrashedItem,
)
from mediagate.media.values import Status

Position = tuple[datetime, UUID]

_NAMES = ("filename", "sha256")
"""What lines of a timeline say of the content."""


class TrashRepository:
    """The trash, what its time is up for, and objects that are still to be deleted."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    # The trash

    async def get(self, media_id: UUID) -> TrashedItem | None:
        """What is known of an item in the trash."""
        return await self._session.get(TrashedItem, media_id)

    def put(self, item: TrashedItem) -> None:
        """Insert with the commit."""
        self._session.add(item)

    async def drop(self, media_id: UUID) -> None:
        """It is not in the trash any more."""
        await self._session.execute(delete(TrashedItem).where(col(TrashedItem.media_id) == media_id))

    async def unpurged(self, before: datetime, limit: int) -> Sequence[tuple[TrashedItem, Library]]:
        """Those that caches may still show and that are in the trash since before then, oldest first."""
        query = (
            select(TrashedItem, Library)
            .join(Library, col(Library.id) == col(TrashedItem.library_id))
            .where(col(TrashedItem.purge_owed).is_(True), text("purge_owed"), col(TrashedItem.trashed_at) < before)
            .order_by(col(TrashedItem.trashed_at))
            .limit(limit)
        )
        return [(row[0], row[1]) for row in (await self._session.execute(query)).all()]

    async def purged(self, media_id: UUID) -> None:
        """Caches were told."""
        change = update(TrashedItem).where(col(TrashedItem.media_id) == media_id).values(purge_owed=False)
        await self._session.execute(change)

    async def due(
        self, at: datetime, *, library_id: UUID | None, after: Position | None, limit: int
    ) -> Sequence[tuple[Media, Library, TrashedItem]]:
        """Those whose time in the trash is over at that moment, the first ones first."""
        query = (
            select(Media, Library, TrashedItem)
            .join(TrashedItem, col(TrashedItem.media_id) == col(Media.id))
            .join(Library, col(Library.id) == col(Media.library_id))
            .where(col(TrashedItem.erase_after) <= at)
        )
        if library_id:
            query = query.where(col(TrashedItem.library_id) == library_id)
        if after:
            query = query.where(tuple_(col(TrashedItem.erase_after), col(TrashedItem.media_id)) > tuple_(*after))
        query = query.order_by(col(TrashedItem.erase_after), col(TrashedItem.media_id)).limit(limit)
        return [(row[0], row[1], row[2]) for row in (await self._session.execute(query)).all()]

    # Retention

    async def retaining(self, slug: str | None = None) -> Sequence[Library]:
        """Libraries that throw something away by themselves, by slug; or one of them."""
        query = select(Library).where(col(Library.settings).op("?")("retention"))
        if slug is not None:
            query = query.where(col(Library.slug) == slug)
        return (await self._session.scalars(query.order_by(col(Library.slug)))).all()

    async def outdated(
        self, library_id: UUID, status: Status, before: datetime, *, after: Position | None, limit: int
    ) -> Sequence[Media]:
        """Items that have this status since before then, the oldest items first."""
        # What got its status before then was made before then, which is what the index is about.
        old = (col(Media.created_at) < before, col(Media.updated_at) < before)
        return await self._oldest(library_id, status, *old, after=after, limit=limit)

    async def with_old_backup(
        self, library_id: UUID, status: Status, before: datetime, *, after: Position | None, limit: int
    ) -> Sequence[Media]:
        """Items of this status that were filed before then and still have a backup, the oldest items first."""
        old = (col(Media.created_at) < before, col(Media.filed_at) < before, col(Media.backup_key).is_not(None))
        return await self._oldest(library_id, status, *old, after=after, limit=limit)

    async def _oldest(
        self, library_id: UUID, status: Status, *where: object, after: Position | None, limit: int
    ) -> Sequence[Media]:
        query = select(Media).where(col(Media.library_id) == library_id, col(Media.status) == status, *where)  # type: ignore[arg-type]
        if after:
            query = query.where(tuple_(col(Media.created_at), col(Media.id)) > tuple_(*after))
        return (await self._session.scalars(query.order_by(col(Media.created_at), col(Media.id)).limit(limit))).all()

    async def sealed_until(self, media_ids: Sequence[UUID], at: datetime) -> dict[UUID, datetime]:
        """Until when each of these items is kept because evidence about it is, where that is later than `at`."""
        query = (
            select(col(EvidenceRecord.media_id), func.max(col(EvidenceRecord.retain_until)))
            .where(col(EvidenceRecord.media_id).in_(media_ids), col(EvidenceRecord.retain_until) > at)
            .group_by(col(EvidenceRecord.media_id))
        )
        return {row[0]: row[1] for row in (await self._session.execute(query)).all()}

    async def variant_bytes(self, media_ids: Sequence[UUID]) -> dict[UUID, int]:
        """Bytes of each item's pictures."""
        query = select(col(MediaVariant.media_id), func.sum(col(MediaVariant.bytes))).where(
            col(MediaVariant.media_id).in_(media_ids)
        )
        rows = (await self._session.execute(query.group_by(col(MediaVariant.media_id)))).all()
        return {row[0]: int(row[1]) for row in rows}

    # Erasing

    async def forget(self, media: Media) -> None:
        """Take everything off an item's rows that says what it showed, or what people wrote about it."""
        for name in ("filename", "content_type", "caption", "title", "alt_text", "category", "language", "detail"):
            setattr(media, name, "")
        media.facts, media.tags = {}, []
        media.sha256 = media.master_key = media.backup_key = media.upload_token = None
        media.vendor_reference = ""
        mine = col(MediaEvent.media_id) == media.id
        for name in _NAMES:
            bare = update(MediaEvent).where(mine, col(MediaEvent.data).op("?")(name))
            await self._session.execute(bare.values(data=col(MediaEvent.data).op("-")(name)))
        blank = {"subject": "About an item that was erased", "body": ""}
        await self._session.execute(update(Notification).where(col(Notification.media_id) == media.id).values(blank))
        await self._session.execute(delete(MediaVariant).where(col(MediaVariant.media_id) == media.id))

    async def remove_later(self, media_id: UUID, keys: Iterable[str], why: str) -> None:
        """Have objects deleted, from the commit on."""
        rows = [ObjectRemoval(key=key, media_id=media_id, why=why).model_dump() for key in sorted(set(keys))]
        if rows:
            await self._session.execute(insert(ObjectRemoval).on_conflict_do_nothing(), rows)

    async def removals(self, *, after: str = "", limit: int) -> Sequence[ObjectRemoval]:
        """Objects that are still to be deleted, in order of keys."""
        query = select(ObjectRemoval).where(col(ObjectRemoval.key) > after).order_by(col(ObjectRemoval.key))
        return (await self._session.scalars(query.limit(limit))).all()

    async def removing(self, keys: Sequence[str]) -> set[str]:
        """Which of these objects are still to be deleted."""
        query = select(col(ObjectRemoval.key)).where(col(ObjectRemoval.key).in_(keys))
        return set((await self._session.scalars(query)).all())

    async def removed(self, keys: Sequence[str]) -> None:
        """They are gone."""
        await self._session.execute(delete(ObjectRemoval).where(col(ObjectRemoval.key).in_(keys)))
