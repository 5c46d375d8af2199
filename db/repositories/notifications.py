"""What admins are told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.committed import once_committed
from db.tables import Notification, now
from mediagate import metrics

CLAIM = timedelta(seconds=35)
"""Whoever took up a mail and has not ended it after this long is gone: the step that sends has 30 s."""


class Claim(StrEnum):
    """Whose turn it is to send a mail."""

    OURS = "ours"
    ANOTHERS = "another's"
    ENDED = "ended"


OWED = (col(Notification.mailed_at).is_(None), col(Notification.mail_error) == text("''"), col(Notification.by_mail))
"""Whose mail is to be sent; the words of their index."""


def _free() -> ColumnElement[bool]:
    return or_(col(Notification.mail_claimed_at).is_(None), col(Notification.mail_claimed_at) < now() - CLAIM)


class NotificationRepository:
    """What admins are told."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put(self, notification: Notification) -> Notification:
        """Store a notification, once for each key; the one that stands comes back."""
        put = insert(Notification).values(notification.model_dump()).on_conflict_do_nothing(index_elements=["key"])
        if fresh := (await self._session.scalars(put.returning(Notification))).one_or_none():
            once_committed(self._session, partial(metrics.NOTIFICATIONS.add, kind=fresh.kind))
            return fresh
        query = select(Notification).where(col(Notification.key) == notification.key)
        return (await self._session.scalars(query)).one()

    async def claim_mail(self, notification_id: UUID) -> Claim:
        """Take up the mail of a notification, unless it is ended or another took it up a short while ago."""
        claimed = (
            update(Notification)
            .where(col(Notification.id) == notification_id, *OWED, _free())
            .values(mail_claimed_at=now())
            .returning(col(Notification.id))
        )
        if (await self._session.execute(claimed)).scalar() is not None:
            return Claim.OURS
        owed = select(col(Notification.id)).where(col(Notification.id) == notification_id, *OWED)
        return Claim.ANOTHERS if (await self._session.execute(owed)).scalar() is not None else Claim.ENDED

    async def end_mail(self, notification_id: UUID, *, sent: bool, error: str = "") -> None:
        """Note that the server took the mail, that it never will (`error`), or that the mail is still owed."""
        values = {"mailed_at": now()} if sent else {"mail_claimed_at": None, "mail_error": error}
        await self._session.execute(update(Notification).where(col(Notification.id) == notification_id).values(values))

    async def unmailed(self, before: datetime, limit: int) -> Sequence[Notification]:
        """Those whose mail did not go out, oldest first."""
        query = (
            select(Notification)
            .where(*OWED, _free(), col(Notification.created_at) < before)
            .order_by(col(Notification.created_at))
            .limit(limit)
        )
        return (await self._session.scalars(query)).all()

    async def page(
        self, library_id: UUID, *, after: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[Notification]:
        """Newest first, at most `limit`, those after the given position."""
        query = select(Notification).where(col(Notification.library_id) == library_id)
        if after:
            query = query.where(tuple_(col(Notification.created_at), col(Notification.id)) < tuple_(*after))
        query = query.order_by(col(Notification.created_at).desc(), col(Notification.id).desc()).limit(limit)
        return (await self._session.scalars(query)).all()

    async def of_media(self, media_id: UUID) -> Sequence[Notification]:
        """All about a media item, oldest first."""
        query = select(Notification).where(col(Notification.media_id) == media_id)
        return (await self._session.scalars(query.order_by(col(Notification.created_at)))).all()
