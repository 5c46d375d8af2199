"""Log lines in the database."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import LogLine


class LogRepository:
    """Log lines in the database; they are written by `db.log_sink`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def page(
        self,
        *,
        level: int = 0,
        tracking_id: str = "",
        media_id: str = "",
        since: datetime | None = None,
        before: int | None = None,
        after: int | None = None,
        limit: int,
    ) -> Sequence[LogLine]:
        """Newest first, at most `limit`; with `after`, oldest first. `before`, `after`: ids."""
        query = select(LogLine)
        # The second halves repeat what the partial indexes are limited to.
        if level:
            query = query.where(col(LogLine.level) >= level)
            query = query.where(text("level >= 30")) if level >= 30 else query
        if tracking_id:
            query = query.where(col(LogLine.tracking_id) == tracking_id, text("tracking_id <> ''"))
        if media_id:
            query = query.where(col(LogLine.media_id) == media_id, text("media_id <> ''"))
        if since:
            query = query.where(col(LogLine.at) >= since)
        if before is not None:
            query = query.where(col(LogLine.id) < before)
        if after is not None:
            query = query.where(col(LogLine.id) > after).order_by(col(LogLine.id))
        else:
            query = query.order_by(col(LogLine.id).desc())
        return (await self._session.scalars(query.limit(limit))).all()

    async def forget(self, before: datetime) -> None:
        """Delete those that are older."""
        await self._session.execute(delete(LogLine).where(col(LogLine.at) < before))
