"""What admins are told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import Notification, now

CLAIM = timedelta(minutes=1)
"""Whoever took up a mail and has not ended it after this long is gone."""

_OWED = (col(Notification.mailed_at).is_(None), col(Notification.mail_error) == "")


class NotificationRepository:
    """What admins are told."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put(self, notification: Notification) -> Notification:
        """Store a notification, once for each key; the one that stands comes back."""
        statement = insert(Notification).values(notification.model_dump())
        await self._session.execute(statement.on_conflict_do_nothing(index_elements=["key"]))
        query = select(Notification).where(col(Notification.key) == notification.key)
        return (await self._session.scalars(query)).one()

    async def claim_mail(self, notification_id: UUID) -> bool:
        """True if the mail is ours to send now: it did not go out, and nobody else took it up a short while ago."""
        free = or_(col(Notification.mail_claimed_at).is_(None), col(Notification.mail_claimed_at) < now() - CLAIM)
        claimed = (
            update(Notification)
            .where(col(Notification.id) == notification_id, *_OWED, free)
            .values(mail_claimed_at=now())
        )
        return (await self._session.execute(claimed.returning(col(Notification.id)))).scalar() is not None

    async def end_mail(self, notification_id: UUID, *, sent: bool, error: str = "") -> None:
        """Note that the server took the mail, that it never will (`error`), or that the mail is still owed."""
        values = {"mailed_at": now()} if sent else {"mail_claimed_at": None, "mail_error": error}
        await self._session.execute(update(Notification).where(col(Notification.id) == notification_id).values(values))

    async def unmailed(self, before: datetime, limit: int) -> Sequence[Notification]:
        """Those whose mail did not go out, oldest first."""
        query = (
            select(Notification)
            .where(*_OWED, col(Notification.created_at) < before)
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
