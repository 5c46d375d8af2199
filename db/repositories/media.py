"""Media items, their variants, timelines and batches."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import Batch, Library, Media, MediaEvent, MediaVariant, now
from mediagate.errors import NotFound
from mediagate.media import lifecycle
from mediagate.media.values import Status, Variant, VariantFile, VariantName

# Statements that every upload runs again and again are built once, over tables: the ORM's way costs several times that.
_LINE = insert(MediaEvent.__table__).on_conflict_do_nothing(index_elements=["media_id", "key"])  # type: ignore[attr-defined]
_VARIANT_KEY = ["media_id", "name", "format", "frame"]
_VARIANT = insert(MediaVariant.__table__)  # type: ignore[attr-defined]
_VARIANT = _VARIANT.on_conflict_do_update(
    index_elements=_VARIANT_KEY,
    set_={name: _VARIANT.excluded[name] for name in MediaVariant.model_fields if name not in _VARIANT_KEY},
)
_WITH_LIBRARY = (
    select(Media, Library)
    .join(Library, col(Library.id) == col(Media.library_id))
    .where(col(Media.id) == bindparam("of_media"))
)
_WITH_LIBRARY_LOCKED = _WITH_LIBRARY.with_for_update(of=Media).execution_options(populate_existing=True)
_VARIANTS = (
    select(MediaVariant)
    .where(col(MediaVariant.media_id) == bindparam("of_media"))
    .order_by(col(MediaVariant.bytes).desc())
)


class MediaRepository:
    """Media items, their variants, timelines and batches."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, media: Media) -> None:
        """Insert a new item with the commit."""
        self._session.add(media)

    async def put_batch(self, batch: Batch) -> bool:
        """Insert a batch; False if it is there already."""
        put = insert(Batch).values(batch.model_dump()).on_conflict_do_nothing().returning(col(Batch.id))
        return (await self._session.execute(put)).scalar() is not None

    async def find(self, media_id: UUID, *, lock: bool = False) -> Media | None:
        """The item, or None; with `lock` no other transaction changes it meanwhile."""
        return await self._session.get(Media, media_id, with_for_update=lock, populate_existing=lock)

    async def get(self, media_id: UUID, *, lock: bool = False) -> Media:
        """The item. Raises NotFound."""
        media = await self.find(media_id, lock=lock)
        if media is None:
            raise NotFound("There is no media item with this id.")
        return media

    async def with_library(self, media_id: UUID, *, lock: bool = False) -> tuple[Media, Library]:
        """The item, with `lock` as above, and its library. Raises NotFound."""
        query = _WITH_LIBRARY_LOCKED if lock else _WITH_LIBRARY
        row = (await self._session.execute(query, {"of_media": media_id})).one_or_none()
        if row is None:
            raise NotFound("There is no media item with this id.")
        return row[0], row[1]

    async def move(self, media: Media, status: Status, *, reason: str | None = None, detail: str | None = None) -> None:
        """Change the status along the lifecycle table and put it on the timeline.

        Raises:
            IllegalTransition: the table has no such step.
        """
        lifecycle.check(media.status, status)
        if media.status != status:
            # The time of the last change names this one: two attempts at the same change write one line.
            key = f"status:{media.updated_at.isoformat()}:{status.value}"
            await self.record(media.id, key, "status", {"from": media.status.value, "to": status.value})
            if media.status is Status.FAILED:  # what was wrong is mended; the timeline remembers it
                media.reason = media.detail = ""
        media.status = status
        if reason is not None:
            media.reason = reason
        if detail is not None:
            media.detail = detail
        media.updated_at = now()

    async def record(self, media_id: UUID, key: str, kind: str, data: dict[str, Any] | None = None) -> None:
        """Put a line on the timeline, once for each key."""
        line = {"media_id": media_id, "key": key, "kind": kind, "data": data or {}, "at": now()}
        await self._session.execute(_LINE, line)

    async def timeline(self, media_id: UUID) -> Sequence[MediaEvent]:
        """Every line in the order it was written."""
        query = select(MediaEvent).where(col(MediaEvent.media_id) == media_id).order_by(col(MediaEvent.id))
        return (await self._session.scalars(query)).all()

    async def put_variants(self, media_id: UUID, variants: Iterable[Variant]) -> None:
        """Insert or replace lines of the manifest."""
        if rows := [{**variant.model_dump(mode="json"), "media_id": media_id} for variant in variants]:
            await self._session.execute(_VARIANT, rows)

    async def variants(self, media_id: UUID) -> Sequence[MediaVariant]:
        """The manifest, largest first."""
        return (await self._session.scalars(_VARIANTS, {"of_media": media_id})).all()

    async def variant(self, media_id: UUID, file: VariantFile) -> MediaVariant | None:
        """One line of the manifest."""
        return await self._session.get(MediaVariant, (media_id, file.name.value, file.format.value, file.frame))

    async def drop_variants(self, media_id: UUID, name: VariantName) -> None:
        """Take every picture of that name off the manifest: all formats, all frames."""
        await self._session.execute(
            delete(MediaVariant).where(col(MediaVariant.media_id) == media_id, col(MediaVariant.name) == name)
        )

    async def drop_variant(self, media_id: UUID, file: VariantFile) -> None:
        """Take one line off the manifest."""
        row = await self.variant(media_id, file)
        if row:
            await self._session.delete(row)

    async def manifests(self, media_ids: Iterable[UUID]) -> dict[UUID, list[MediaVariant]]:
        """The manifest of each of these items."""
        query = select(MediaVariant).where(col(MediaVariant.media_id).in_(list(media_ids)))
        found: dict[UUID, list[MediaVariant]] = {}
        for row in (await self._session.scalars(query)).all():
            found.setdefault(row.media_id, []).append(row)
        return found

    async def page(
        self,
        library_id: UUID,
        *,
        status: Status | None,
        q: str | None,
        after: tuple[datetime, UUID] | None,
        limit: int,
        tag: str | None = None,
        category: str | None = None,
    ) -> Sequence[Media]:
        """Newest first, at most `limit`, those after the given position. `tag`, `category`: as stored."""
        query = select(Media).where(col(Media.library_id) == library_id)
        if status:
            query = query.where(col(Media.status) == status)
        if q:
            query = query.where(col(Media.filename).icontains(q, autoescape=True))
        # The second halves repeat what the partial indexes are limited to.
        if tag:
            query = query.where(col(Media.tags).contains([tag]), col(Media.tags) != text("'{}'"))
        if category:
            query = query.where(col(Media.category) == category, col(Media.category) != text("''"))
        if after:
            query = query.where(tuple_(col(Media.created_at), col(Media.id)) < tuple_(*after))
        query = query.order_by(col(Media.created_at).desc(), col(Media.id).desc()).limit(limit)
        return (await self._session.scalars(query)).all()

    async def mark_started(self, media_id: UUID, run_id: str | None) -> None:
        """Note that the run exists."""
        await self._session.execute(
            update(Media)
            .where(col(Media.id) == media_id, col(Media.started_at).is_(None))
            .values(started_at=now(), run_id=run_id)
        )

    async def owed_a_start(self, before: datetime, limit: int) -> Sequence[tuple[Media, Library]]:
        """Accepted before the given time and without a run, oldest first."""
        query = (
            select(Media, Library)
            .join(Library, col(Library.id) == col(Media.library_id))
            .where(col(Media.started_at).is_(None), col(Media.accepted_at) < before)
            .order_by(col(Media.accepted_at))
            .limit(limit)
        )
        return [(row[0], row[1]) for row in (await self._session.execute(query)).all()]

    async def expiring(self, before: datetime, limit: int) -> Sequence[tuple[Media, Library]]:
        """Uploads that were never completed and whose time ran out before the given moment."""
        query = (
            select(Media, Library)
            .join(Library, col(Library.id) == col(Media.library_id))
            .where(col(Media.status) == Status.AWAITING_UPLOAD, col(Media.expires_at) < before)
            .order_by(col(Media.expires_at))
            .limit(limit)
        )
        return [(row[0], row[1]) for row in (await self._session.execute(query)).all()]

    async def under_way(self, library_id: UUID, *, most: int) -> int:
        """How many of a library's uploads are accepted and not decided; counting ends at `most`."""
        few = select(col(Media.id)).where(col(Media.library_id) == library_id, col(Media.status).in_(lifecycle.WORK))
        return await self._session.scalar(select(func.count()).select_from(few.limit(most).subquery())) or 0

    async def statuses(self, media_ids: Iterable[UUID]) -> dict[UUID, Status]:
        """The status of each item that exists."""
        query = select(col(Media.id), col(Media.status)).where(col(Media.id).in_(list(media_ids)))
        return {row[0]: Status(row[1]) for row in (await self._session.execute(query)).all()}

    async def batch_counts(self, batch_id: UUID) -> dict[Status, int]:
        """How many items of the batch stand where."""
        query = select(col(Media.status), func.count()).where(col(Media.batch_id) == batch_id)
        rows = (await self._session.execute(query.group_by(col(Media.status)))).all()
        return {Status(row[0]): row[1] for row in rows}
