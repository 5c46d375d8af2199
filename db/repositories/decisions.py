"""What was decided about media items."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import MediaDecision


class DecisionRepository:
    """What was decided about media items."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record(self, decision: MediaDecision) -> MediaDecision:
        """Store a decision; the first of its round and finality stands, and comes back."""
        values = decision.model_dump()
        await self._session.execute(
            insert(MediaDecision).values(values).on_conflict_do_nothing(index_elements=["media_id", "round", "final"])
        )
        query = select(MediaDecision).where(
            col(MediaDecision.media_id) == decision.media_id,
            col(MediaDecision.round) == decision.round,
            col(MediaDecision.final) == decision.final,
        )
        return (await self._session.scalars(query)).one()

    async def final(self, media_id: UUID, *, round_: int = 0) -> MediaDecision | None:
        """The decision that ended a round, if there is one."""
        query = select(MediaDecision).where(
            col(MediaDecision.media_id) == media_id,
            col(MediaDecision.round) == round_,
            col(MediaDecision.final).is_(True),
        )
        return (await self._session.scalars(query)).one_or_none()

    async def overruled(self, media_id: UUID, round_: int) -> bool:
        """True if a later round has ended: what the earlier one decided holds no more."""
        latest = await self.latest(media_id)
        return latest is not None and latest.final and latest.round > round_

    async def latest(self, media_id: UUID) -> MediaDecision | None:
        """The decision that stands: the final one of the latest round, else what opened its review."""
        query = (
            select(MediaDecision)
            .where(col(MediaDecision.media_id) == media_id)
            .order_by(col(MediaDecision.round).desc(), col(MediaDecision.final).desc())
            .limit(1)
        )
        return (await self._session.scalars(query)).one_or_none()
