"""What vendors sent."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import InboxEvent, InboxState, now
from mediagate.moderation.findings import VendorEvent


class InboxRepository:
    """What vendors sent."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def store(self, event: InboxEvent) -> bool:
        """Store an event; False if this vendor's event id is stored already."""
        statement = insert(InboxEvent).values(event.model_dump())
        stored = statement.on_conflict_do_nothing(index_elements=["vendor", "event_id"]).returning(col(InboxEvent.id))
        return (await self._session.execute(stored)).scalar() is not None

    async def put_own(self, event: VendorEvent, *, tracking_id: str = "") -> None:
        """Keep what a detector of the gate's own said beside what vendors sent; a second time nothing changes.

        The step that heard it hands it to the run.
        """
        row = InboxEvent(
            vendor=event.vendor,
            event_id=event.event_id,
            media_id=UUID(event.media_id),
            event=event.model_dump(mode="json"),
            body=b"",
            state=InboxState.DELIVERED,
            tracking_id=tracking_id,
            settled_at=now(),
        )
        await self.store(row)

    async def get(self, inbox_id: UUID) -> InboxEvent | None:
        """One event."""
        return await self._session.get(InboxEvent, inbox_id)

    async def of_media(self, media_id: UUID) -> Sequence[InboxEvent]:
        """All events that name a media item, oldest first."""
        query = select(InboxEvent).where(col(InboxEvent.media_id) == media_id)
        return (await self._session.scalars(query.order_by(col(InboxEvent.received_at)))).all()

    async def waiting(self, before: datetime, limit: int) -> Sequence[UUID]:
        """Ids of events that are stored but reached no run yet, oldest first."""
        query = (
            select(col(InboxEvent.id))
            .where(col(InboxEvent.state) == InboxState.STORED, col(InboxEvent.received_at) < before)
            .order_by(col(InboxEvent.received_at))
            .limit(limit)
        )
        return (await self._session.scalars(query)).all()

    async def settle(self, inbox_id: UUID, state: InboxState) -> None:
        """Note what became of an event."""
        await self._session.execute(
            update(InboxEvent).where(col(InboxEvent.id) == inbox_id).values(state=state.value, settled_at=now())
        )
