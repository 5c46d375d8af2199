"""How much stands where, for metrics: a few numbers from small ends of indexes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, func, select, text, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.repositories.notifications import OWED
from db.tables import InboxEvent, InboxState, Library, Media, Notification, VendorHealth, now
from mediagate.media.values import Status

MOST_COUNTED = 10_000
"""Counting ends here: more of these is trouble enough, and counting must not add to it."""


class Waiting(NamedTuple):
    """How many wait, and for how many seconds the oldest of them does."""

    size: int
    oldest: float


class CensusRepository:
    """How much stands where."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def owed_starts(self) -> Waiting:
        """Accepted uploads without a run."""
        owed = (col(Media.started_at).is_(None), col(Media.accepted_at).is_not(None))
        return await self._waiting(select(col(Media.accepted_at).label("at")).where(*owed))

    async def undelivered_events(self) -> Waiting:
        """Events that reached no run yet."""
        return await self._waiting(_events(InboxState.STORED))

    async def dead_letters(self) -> int:
        """Events about nothing that is known here; counting ends at `MOST_COUNTED`."""
        return (await self._waiting(_events(InboxState.UNMATCHED))).size

    async def unmailed(self) -> Waiting:
        """Notifications that owe a mail."""
        return await self._waiting(select(col(Notification.created_at).label("at")).where(*OWED))

    async def standing(self, status: Status) -> Waiting:
        """Items with this status, all libraries together; their time is that of their last change."""
        # Library by library, because that is how the index begins.
        mine = (
            select(col(Media.updated_at).label("at"))
            .where(col(Media.library_id) == col(Library.id), col(Media.status) == status)
            .lateral()
        )
        return await self._waiting(select(mine.c.at).select_from(Library).join(mine, true()))

    async def breakers(self) -> Sequence[VendorHealth]:
        """Every vendor that ever failed, or was switched off."""
        return (await self._session.scalars(select(VendorHealth))).all()

    async def _waiting(self, times: Select[Any]) -> Waiting:
        few = times.limit(MOST_COUNTED).subquery()
        oldest: ColumnElement[datetime | None] = func.min(few.c.at)
        count, since = (await self._session.execute(select(func.count(), oldest).select_from(few))).one()
        return Waiting(count, max((now() - since).total_seconds(), 0.0) if since else 0.0)


def _events(state: InboxState) -> Select[Any]:
    # The second half repeats what the partial index is limited to.
    those = (col(InboxEvent.state) == state, col(InboxEvent.state) != text("'delivered'"))
    return select(col(InboxEvent.received_at).label("at")).where(*those)
