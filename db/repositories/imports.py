"""Imports of many objects."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import Batch, Import, ImportItem, Library, Media, now
from mediagate.errors import NotFound
from mediagate.media.imports import ImportCounts, ImportItemState
from mediagate.media.values import Status

Position = tuple[datetime, UUID]

AT_WORK = frozenset({Status.ACCEPTED, Status.PROCESSING, Status.AWAITING_MODERATION})
"""Statuses in which an upload fills its import's window; one that waits for a person does not."""


class ItemWithMedia(NamedTuple):
    """An object of an import, and the item that it became, if it did."""

    item: ImportItem
    media: Media | None


class ImportRepository:
    """Imports and their objects."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    # Imports

    async def begin(self, one: Import) -> Import:
        """Insert an import and its batch, or find it by its id."""
        batch = Batch(id=one.id, library_id=one.library_id, tracking_id=one.tracking_id)
        await self._session.execute(insert(Batch).values(batch.model_dump()).on_conflict_do_nothing())
        await self._session.execute(insert(Import).values(one.model_dump()).on_conflict_do_nothing())
        return await self.get(one.id)

    async def find(self, import_id: UUID) -> Import | None:
        """The import, or None; also by the id of a batch."""
        return await self._session.get(Import, import_id)

    async def get(self, import_id: UUID, *, lock: bool = False, hold: bool = False) -> Import:
        """The import. `lock`: nobody else changes it before the commit; `hold`: nor does this transaction.

        Raises:
            NotFound: there is none.
        """
        locking: dict[str, Any] = {"read": True} if hold else {}
        found = await self._session.get(
            Import, import_id, with_for_update=locking if hold else lock, populate_existing=lock or hold
        )
        if found is None:
            raise NotFound("There is no import with this id.")
        return found

    async def with_library(self, import_id: UUID) -> tuple[Import, Library]:
        """The import and its library. Raises NotFound."""
        query = select(Import, Library).join(Library, col(Library.id) == col(Import.library_id))
        row = (await self._session.execute(query.where(col(Import.id) == import_id))).one_or_none()
        if row is None:
            raise NotFound("There is no import with this id.")
        return row[0], row[1]

    async def page(self, library_id: UUID, *, after: Position | None, limit: int) -> Sequence[Import]:
        """A library's imports, newest first."""
        query = select(Import).where(col(Import.library_id) == library_id)
        if after:
            query = query.where(tuple_(col(Import.created_at), col(Import.id)) < tuple_(*after))
        query = query.order_by(col(Import.created_at).desc(), col(Import.id).desc()).limit(limit)
        return (await self._session.scalars(query)).all()

    async def open_count(self, library_id: UUID) -> int:
        """How many of a library's imports have not ended."""
        query = select(func.count()).where(col(Import.library_id) == library_id, col(Import.ended_at).is_(None))
        return await self._session.scalar(query) or 0

    async def owed_a_start(self, before: datetime, limit: int) -> Sequence[tuple[Import, Library]]:
        """Made before the given time and without a workflow, oldest first."""
        query = (
            select(Import, Library)
            .join(Library, col(Library.id) == col(Import.library_id))
            .where(col(Import.started_at).is_(None), col(Import.ended_at).is_(None), col(Import.created_at) < before)
            .order_by(col(Import.created_at))
            .limit(limit)
        )
        return [(row[0], row[1]) for row in (await self._session.execute(query)).all()]

    async def mark_started(self, import_id: UUID, round_: int) -> None:
        """Note that the workflow of that round exists."""
        await self._session.execute(
            update(Import).where(col(Import.id) == import_id, col(Import.round) == round_).values(started_at=now())
        )

    async def next_round(self, import_id: UUID, round_: int) -> None:
        """Go on in the round after that one, if it still owes a start."""
        owed = (col(Import.started_at).is_(None), col(Import.ended_at).is_(None))
        await self._session.execute(
            update(Import)
            .where(col(Import.id) == import_id, col(Import.round) == round_, *owed)
            .values(round=round_ + 1)
        )

    async def counts(self, import_id: UUID) -> ImportCounts:
        """How many objects of an import stand where."""
        query = select(col(ImportItem.state), func.count()).where(col(ImportItem.import_id) == import_id)
        rows = (await self._session.execute(query.group_by(col(ImportItem.state)))).all()
        found = {ImportItemState(row[0]).value: row[1] for row in rows}
        waiting = found.pop(ImportItemState.WAITING, 0) + found.pop(ImportItemState.TAKEN, 0)
        return ImportCounts(waiting=waiting, **found)

    async def recount(self, one: Import) -> ImportCounts:
        """Bring the counts of a locked import up to date."""
        counts = await self.counts(one.id)
        one.sqlmodel_update(counts.model_dump())
        return counts

    async def size_batch(self, import_id: UUID, files: int) -> None:
        """How many files the batch of an import has."""
        await self._session.execute(update(Batch).where(col(Batch.id) == import_id).values(files=files))

    # Their objects

    async def put_items(self, items: Iterable[ImportItem]) -> None:
        """Insert those that are not there yet, in this order."""
        rows = [item.model_dump(exclude={"id"}) for item in items]
        if rows:
            table = ImportItem.__table__  # type: ignore[attr-defined]
            put = insert(table).on_conflict_do_nothing(index_elements=["import_id", "key"])
            await self._session.execute(put, rows)

    async def settle(self, import_id: UUID, *, limit: int) -> int:
        """Note of which items the upload has left the window; how many they are."""
        query = (
            select(ImportItem, Media)
            .outerjoin(Media, col(Media.id) == col(ImportItem.media_id))
            .where(
                col(ImportItem.import_id) == import_id,
                col(ImportItem.state) == ImportItemState.UNDER_WAY,
                or_(col(Media.status).is_(None), col(Media.status).not_in(AT_WORK)),
            )
            .order_by(col(ImportItem.id))
            .limit(limit)
            .with_for_update(of=ImportItem)
        )
        rows = (await self._session.execute(query)).all()
        for item, media in rows:
            if media is None or media.status is Status.FAILED:
                item.state = ImportItemState.FAILED
                item.reason, item.detail = (media.reason or "failed", media.detail) if media else ("erased", "")
            else:
                item.state, item.reason, item.detail = ImportItemState.IMPORTED, "", ""
            item.updated_at = now()
        return len(rows)

    async def take(self, import_id: UUID, *, limit: int) -> Sequence[ImportItem]:
        """The next items to be begun, marked as taken; first those that were taken before and not begun."""
        query = select(ImportItem).where(col(ImportItem.import_id) == import_id).order_by(col(ImportItem.id))
        taken: list[ImportItem] = []
        for state in (ImportItemState.TAKEN, ImportItemState.WAITING):
            some = query.where(col(ImportItem.state) == state).limit(limit - len(taken)).with_for_update()
            taken += (await self._session.scalars(some)).all()
        for item in taken:
            item.state = ImportItemState.TAKEN
        return taken

    async def item(self, item_id: int | None) -> ImportItem:
        """The item, locked. Raises NotFound."""
        found = await self._session.get(ImportItem, item_id, with_for_update=True, populate_existing=True)
        if found is None:
            raise NotFound("There is no such object in an import.")
        return found

    async def in_state(self, import_id: UUID, state: ImportItemState) -> Sequence[ImportItem]:
        """All items in that state; few, for they fit in the window."""
        query = select(ImportItem).where(col(ImportItem.import_id) == import_id, col(ImportItem.state) == state)
        return (await self._session.scalars(query.order_by(col(ImportItem.id)))).all()

    async def items(
        self, import_id: UUID, *, state: ImportItemState | None = None, after: int = 0, limit: int
    ) -> Sequence[ItemWithMedia]:
        """Items in their order, behind a position. What is taken waits, as people see it."""
        query = (
            select(ImportItem, Media)
            .outerjoin(Media, col(Media.id) == col(ImportItem.media_id))
            .where(col(ImportItem.import_id) == import_id, col(ImportItem.id) > after)
        )
        if state:
            taken = (ImportItemState.TAKEN,) if state is ImportItemState.WAITING else ()
            query = query.where(col(ImportItem.state).in_([state, *taken]))
        rows = (await self._session.execute(query.order_by(col(ImportItem.id)).limit(limit))).all()
        return [ItemWithMedia(row[0], row[1]) for row in rows]

    async def move_items(
        self, import_id: UUID, states: Iterable[ImportItemState], to: ImportItemState, **values: object
    ) -> None:
        """Bring all items in these states into another one."""
        changes: Mapping[str, object] = {"state": to, "updated_at": now(), **values}
        await self._session.execute(
            update(ImportItem)
            .where(col(ImportItem.import_id) == import_id, col(ImportItem.state).in_(list(states)))
            .values(changes)
            .execution_options(synchronize_session=False)
        )

    async def going_on(self, batch_id: UUID) -> bool:
        """True if the batch is that of an import that has not ended."""
        found = await self.find(batch_id)
        return found is not None and found.ended_at is None
