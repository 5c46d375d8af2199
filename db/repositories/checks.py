"""What the checks of vendors brought."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import VendorCheck


class CheckRepository:
    """Checks of vendors."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def of(self, vendor: str, *, lock: bool = False) -> VendorCheck:
        """The last one; without a time if there was none. With `lock` no other transaction changes it meanwhile."""
        if lock:
            fresh = insert(VendorCheck).values(VendorCheck(vendor=vendor).model_dump())
            await self._session.execute(fresh.on_conflict_do_nothing())
        row = await self._session.get(VendorCheck, vendor, with_for_update=lock, populate_existing=lock)
        return row or VendorCheck(vendor=vendor)

    async def all(self) -> Mapping[str, VendorCheck]:
        """The last one of each vendor that was ever checked."""
        return {
            row.vendor: row
            for row in (await self._session.scalars(select(VendorCheck).order_by(col(VendorCheck.vendor)))).all()
        }
