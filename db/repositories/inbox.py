"""What vendors sent."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, tuple_, update
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
        """Keep what was heard without a webhook: of a detector of the gate's own, with a receipt, or to a poll.

        The step that heard it hands it to the run. A second time nothing changes.
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

    async def heard(self, media_id: UUID) -> tuple[VendorEvent, ...]:
        """What vendors and the gate's own detectors said about an item, oldest first."""
        return tuple(VendorEvent.model_validate(row.event) for row in await self.of_media(media_id))

    async def heard_of(self, media_ids: Sequence[UUID]) -> dict[UUID, list[VendorEvent]]:
        """The same of several items, without the bytes that webhooks came as."""
        query = select(col(InboxEvent.media_id), col(InboxEvent.event)).where(col(InboxEvent.media_id).in_(media_ids))
        said: dict[UUID, list[VendorEvent]] = {media_id: [] for media_id in media_ids}
        for media_id, event in (await self._session.execute(query.order_by(col(InboxEvent.received_at)))).all():
            said[media_id].append(VendorEvent.model_validate(event))
        return said

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
        """Note what became of an event, unless somebody else did meanwhile."""
        still = (col(InboxEvent.id) == inbox_id, col(InboxEvent.state) == InboxState.STORED)
        await self._session.execute(update(InboxEvent).where(*still).values(state=state.value, settled_at=now()))

    async def address(self, inbox_id: UUID, media_id: UUID) -> InboxEvent | None:
        """Say which item an event is about that is about none that is known; the event as it stands then."""
        row = await self._session.get(InboxEvent, inbox_id, with_for_update=True, populate_existing=True)
        if row and (row.state is InboxState.UNMATCHED or (row.state is InboxState.STORED and not row.media_id)):
            self._address(row, media_id)
            row.state = InboxState.STORED
        return row

    async def claim(self, vendor: str, reference: str, media_id: UUID) -> Sequence[InboxEvent]:
        """Take the events that came before it was known whom the vendor's reference means; they count as delivered."""
        if not reference:
            return []
        query = select(InboxEvent).where(
            col(InboxEvent.vendor) == vendor,
            col(InboxEvent.event)["reference"].astext == reference,
            col(InboxEvent.media_id).is_(None),
        )
        rows = (await self._session.scalars(query.with_for_update())).all()
        for row in rows:
            self._address(row, media_id)
            row.state, row.settled_at = InboxState.DELIVERED, now()
        return rows

    @staticmethod
    def _address(row: InboxEvent, media_id: UUID) -> None:
        row.media_id = media_id
        row.event = {**row.event, "media_id": str(media_id), "workflow_id": ""}

    async def page(
        self, state: InboxState, *, vendor: str | None = None, after: tuple[datetime, UUID] | None = None, limit: int
    ) -> Sequence[InboxEvent]:
        """Events that are not delivered, newest first, at most `limit`, those after the given position."""
        query = select(InboxEvent).where(col(InboxEvent.state) == state, col(InboxEvent.state) != InboxState.DELIVERED)
        if vendor:
            query = query.where(col(InboxEvent.vendor) == vendor)
        if after:
            query = query.where(tuple_(col(InboxEvent.received_at), col(InboxEvent.id)) < tuple_(*after))
        query = query.order_by(col(InboxEvent.received_at).desc(), col(InboxEvent.id).desc()).limit(limit)
        return (await self._session.scalars(query)).all()
