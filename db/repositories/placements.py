"""Where libraries' objects are."""

from typing import NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import Library, LibraryPlacement, now
from mediagate.errors import Conflict
from mediagate.storage.placement import DEFAULT, Placement


class StoreUse(NamedTuple):
    """How many libraries are in a store, and which ones are being moved into or out of it."""

    libraries: int
    moving: tuple[str, ...]


class PlacementRepository:
    """Placements of libraries."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def of(self, slug: str) -> Placement:
        """Where a library is; the default store, also for one that does not exist."""
        query = select(LibraryPlacement).join(Library).where(col(Library.slug) == slug)
        row = (await self._session.scalars(query)).one_or_none()
        return Placement(home=row.home, beside=row.beside, version=row.version) if row else Placement()

    async def change(self, library: Library, home: str, beside: str | None) -> Placement:
        """Take the next step of a move; the library's row is locked by the caller. Idempotent.

        Raises:
            Conflict: this step does not follow from where the library is.
        """
        placement = await self.of(library.slug)
        if (placement.home, placement.beside) == (home, beside):
            return placement
        if not placement.may_become(home, beside):
            where = f"{placement.home}, beside {placement.beside}" if placement.beside else placement.home
            raise Conflict(f"The library {library.slug!r} is in the store {where}: another move is at work.")
        changed = {"home": home, "beside": beside, "version": placement.version + 1, "changed_at": now()}
        await self._session.execute(
            insert(LibraryPlacement)
            .values(library_id=library.id, **changed)
            .on_conflict_do_update(index_elements=["library_id"], set_=changed)
        )
        return Placement.model_validate(changed)

    async def forget(self) -> None:
        """Every library is in the default store: right only while no process is at work."""
        await self._session.execute(delete(LibraryPlacement))

    async def use(self) -> dict[str, StoreUse]:
        """What is where, by the name of the store; stores without libraries are not named."""
        everything = (await self._session.execute(select(func.count()).select_from(Library))).scalar_one()
        query = select(LibraryPlacement, col(Library.slug)).join(Library).order_by(col(Library.slug))
        rows = (await self._session.execute(query)).all()
        counts, moving = {DEFAULT: everything - len(rows)}, dict[str, list[str]]()
        for row, slug in rows:
            counts[row.home] = counts.get(row.home, 0) + 1
            for side in (row.home, row.beside) if row.beside else ():
                moving.setdefault(side, []).append(slug)
        return {name: StoreUse(counts.get(name, 0), tuple(moving.get(name, ()))) for name in {**counts, **moving}}
