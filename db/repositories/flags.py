"""Feature flags and their statistics."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import FeatureFlag, FlagCount
from mediagate.errors import Conflict
from mediagate.flagging import Served
from mediagate.flags import MOST_FLAGS

COUNTS_KEPT = timedelta(days=400)


class FlagRepository:
    """The rows of flags; `db.flags` changes them with all that belongs to a change."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def all(self) -> Sequence[FeatureFlag]:
        """Every flag that has a row, by name."""
        return (await self._session.scalars(select(FeatureFlag).order_by(col(FeatureFlag.name)))).all()

    async def get(self, name: str, *, lock: bool = False) -> FeatureFlag | None:
        """A flag's row; none for a kill switch that nobody has touched."""
        return await self._session.get(FeatureFlag, name, with_for_update=lock or None)

    async def add(self, row: FeatureFlag) -> None:
        """A new flag.

        Raises:
            Conflict: one of this name was made meanwhile, or there are too many.
        """
        if (await self._session.execute(select(func.count()).select_from(FeatureFlag))).scalar_one() >= MOST_FLAGS:
            raise Conflict(f"There are {MOST_FLAGS} flags, and more are not taken: delete some that are done with.")
        new = insert(FeatureFlag).values(row.model_dump()).on_conflict_do_nothing().returning(col(FeatureFlag.name))
        if (await self._session.execute(new)).first() is None:
            raise Conflict(f"The flag {row.name!r} was made by somebody else meanwhile: look at it and try again.")

    async def remove(self, row: FeatureFlag) -> None:
        """Delete it; its statistics stay until they are old."""
        await self._session.delete(row)
        await self._session.flush()

    async def count(self, day: date, counts: Mapping[Served, int]) -> None:
        """Add what was served on a day, and forget what is older than 400 days."""
        rows = [{"day": day, **served._asdict(), "count": number} for served, number in sorted(counts.items())]
        if rows:
            new = insert(FlagCount)
            added = {"count": col(FlagCount.count) + new.excluded.count}
            keys = ["day", "flag", "variant", "reason"]
            await self._session.execute(new.on_conflict_do_update(index_elements=keys, set_=added), rows)
        await self._session.execute(delete(FlagCount).where(col(FlagCount.day) < day - COUNTS_KEPT))

    async def counts(self, *, since: date, flag: str | None = None) -> Sequence[FlagCount]:
        """What was served from that day on, newest day first."""
        query = select(FlagCount).where(col(FlagCount.day) >= since)
        if flag is not None:
            query = query.where(col(FlagCount.flag) == flag)
        order = (col(FlagCount.day).desc(), col(FlagCount.flag), col(FlagCount.variant), col(FlagCount.reason))
        return (await self._session.scalars(query.order_by(*order))).all()
