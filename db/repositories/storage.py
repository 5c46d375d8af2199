"""How much libraries keep, and how much room is left."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Select, Subquery, cast, delete, func, or_, select, text, tuple_, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import Library, StorageChange, StorageSpace, StorageUsage, StoredKind, now

# In the order of the key, so that two who add up at the same time do not wait for each other in a circle.
_FOLD = text("""
    WITH taken AS (
        DELETE FROM storage_change
        WHERE id IN (SELECT id FROM storage_change ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED)
        RETURNING library_id, status, kind, objects, bytes
    ), folded AS (
        INSERT INTO storage_usage (library_id, status, kind, objects, bytes)
        SELECT library_id, status, kind, sum(objects), sum(bytes) FROM taken
        GROUP BY library_id, status, kind ORDER BY library_id, status, kind
        ON CONFLICT (library_id, status, kind) DO UPDATE
        SET objects = storage_usage.objects + EXCLUDED.objects, bytes = storage_usage.bytes + EXCLUDED.bytes
    )
    SELECT count(*) FROM taken
""")
# One statement sees one moment: what is written meanwhile is in neither of the two sums.
_RECOUNT = text("""
    WITH counted AS (
        SELECT library_id, status, kind, sum(objects) AS objects, sum(held.bytes) AS bytes
        FROM media, storage_of(media) AS held
        WHERE CAST(:library AS uuid) IS NULL OR library_id = :library GROUP BY library_id, status, kind
        UNION ALL
        SELECT library_id, status, 'variant', count(*), sum(variant.bytes)
        FROM variant JOIN media ON media.id = variant.media_id
        WHERE CAST(:library AS uuid) IS NULL OR library_id = :library GROUP BY library_id, status
        UNION ALL
        SELECT library_id, status, kind, -objects, -bytes FROM storage_usage
        WHERE CAST(:library AS uuid) IS NULL OR library_id = :library
        UNION ALL
        SELECT library_id, status, kind, -objects, -bytes FROM storage_change
        WHERE CAST(:library AS uuid) IS NULL OR library_id = :library
    )
    INSERT INTO storage_change (library_id, status, kind, objects, bytes)
    SELECT library_id, status, kind, sum(objects), sum(bytes) FROM counted
    GROUP BY library_id, status, kind HAVING sum(objects) <> 0 OR sum(bytes) <> 0
    RETURNING id
""")

QUOTA_KINDS = (StoredKind.MASTER, StoredKind.ANNOUNCED)
"""What `limits.total_bytes` is about: what people sent, not what was made of it."""


class Held(NamedTuple):
    """Objects of a status and kind."""

    status: str
    kind: str
    objects: int
    bytes: int


class LibraryHeld(NamedTuple):
    """What one library has, announced uploads aside."""

    library: Library
    objects: int
    bytes: int


class StorageRepository:
    """How much libraries keep, and how much room is left."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def totals(self, library_id: UUID | None = None) -> list[Held]:
        """Objects and bytes by status and kind, of a library or of all: sums of a few rows, however many items."""
        both = _both([library_id] if library_id else None)
        objects, size = (cast(func.sum(column), BigInteger) for column in (both.c.objects, both.c.bytes))
        query = select(both.c.status, both.c.kind, objects, size).group_by(both.c.status, both.c.kind)
        query = query.having(or_(func.sum(both.c.objects) != 0, func.sum(both.c.bytes) != 0))
        rows = (await self._session.execute(query.order_by(both.c.status, both.c.kind))).all()
        return [Held(*row) for row in rows]

    async def libraries(self, *, after: tuple[datetime, UUID] | None, limit: int) -> list[LibraryHeld]:
        """What each library has, the newest library first, after the given position."""
        query = select(Library)
        if after:
            query = query.where(tuple_(col(Library.created_at), col(Library.id)) < tuple_(*after))
        query = query.order_by(col(Library.created_at).desc(), col(Library.id).desc()).limit(limit)
        rows = (await self._session.scalars(query)).all()
        both = _both([library.id for library in rows])
        sums = (cast(func.sum(column), BigInteger) for column in (both.c.objects, both.c.bytes))
        held = select(both.c.library_id, *sums).where(both.c.kind != StoredKind.ANNOUNCED).group_by(both.c.library_id)
        found = {row[0]: (row[1], row[2]) for row in (await self._session.execute(held)).all()}
        return [LibraryHeld(library, *found.get(library.id, (0, 0))) for library in rows]

    async def kept(self, library_id: UUID) -> int:
        """Bytes that count against a library's quota."""
        return sum(held.bytes for held in await self.totals(library_id) if held.kind in QUOTA_KINDS)

    async def may_keep(self, library_id: UUID, *, size: int, most: int) -> bool:
        """True if another upload of that size fits.

        Until the commit nobody else can ask for the same library, so that two cannot use the same rest.
        """
        mine = select(col(Library.id)).where(col(Library.id) == library_id)
        await self._session.execute(mine.with_for_update(key_share=True))
        return await self.kept(library_id) + size <= most

    async def fold(self, *, limit: int) -> int:
        """Add changes up; how many those were."""
        folded: int = (await self._session.execute(_FOLD, {"limit": limit})).scalar_one()
        return folded

    async def recount(self, library_id: UUID | None = None) -> int:
        """Count everything anew, and correct what is kept of it; how many numbers were wrong.

        Looks through whole tables.
        """
        await self._session.execute(text("SET LOCAL statement_timeout = 0"))
        return len((await self._session.execute(_RECOUNT, {"library": library_id})).all())

    # Room

    async def tell_space(self, name: str, *, used: int, size: int) -> None:
        """Somebody saw how much room there is."""
        values = {"used": used, "size": size, "seen_at": now()}
        tell = insert(StorageSpace).values(name=name, **values)
        await self._session.execute(tell.on_conflict_do_update(index_elements=["name"], set_=values))

    async def spaces(self, *, lock: bool = False) -> Sequence[StorageSpace]:
        """Every place, by name."""
        query = select(StorageSpace).order_by(col(StorageSpace.name))
        return (await self._session.scalars(query.with_for_update() if lock else query)).all()

    async def forget_spaces(self, before: datetime, *, besides: Iterable[str] = ()) -> None:
        """Those that nobody told of since then: their machines are gone."""
        gone = (col(StorageSpace.seen_at) < before, col(StorageSpace.name).not_in(list(besides)))
        await self._session.execute(delete(StorageSpace).where(*gone))

    async def mark_short(self, name: str, since: datetime | None) -> None:
        """There is too little room since then; None: there is enough again."""
        change = update(StorageSpace).where(col(StorageSpace.name) == name).values(short_since=since)
        await self._session.execute(change)


def _both(libraries: Sequence[UUID] | None) -> Subquery:
    """What is added up and what is not yet, of these libraries or of all."""
    parts = []
    for part in (StorageUsage, StorageChange):
        columns = (part.library_id, part.status, part.kind, part.objects, part.bytes)
        rows: Select[Any] = select(*columns)  # type: ignore[call-overload]
        parts.append(rows if libraries is None else rows.where(col(part.library_id).in_(libraries)))
    return union_all(*parts).subquery()
