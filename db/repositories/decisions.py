"""What was decided about media items."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, true, tuple_
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from db.tables import Media, MediaDecision
from mediagate.media.lifecycle import DECIDED
from mediagate.moderation.policy_runs import ABORTED, GATE


class DecisionRepository:
    """What was decided about media items."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def record(self, decision: MediaDecision) -> MediaDecision:
        """Store a decision; the first of its round and finality stands, and comes back."""
        put = insert(MediaDecision).values(decision.model_dump())
        put = put.on_conflict_do_nothing(index_elements=["media_id", "round", "final"])
        if fresh := (await self._session.scalars(put.returning(MediaDecision))).one_or_none():
            return fresh
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

    async def opening(self, media_id: UUID, *, round_: int = 0) -> MediaDecision | None:
        """What opened a round's review, if there was one."""
        query = select(MediaDecision).where(
            col(MediaDecision.media_id) == media_id,
            col(MediaDecision.round) == round_,
            col(MediaDecision.final).is_(False),
        )
        return (await self._session.scalars(query)).one_or_none()

    async def overruled(self, media_id: UUID, round_: int) -> bool:
        """True if a later round has ended: what the earlier one decided holds no more."""
        latest = await self.latest(media_id)
        return latest is not None and latest.final and latest.round > round_

    async def of_media(self, media_id: UUID) -> Sequence[MediaDecision]:
        """Every decision about an item, in order; what opened a review before what ended it."""
        query = select(MediaDecision).where(col(MediaDecision.media_id) == media_id)
        return (await self._session.scalars(query.order_by(col(MediaDecision.round), col(MediaDecision.final)))).all()

    async def latest(self, media_id: UUID) -> MediaDecision | None:
        """The decision that stands: the final one of the latest round, else what opened its review."""
        query = (
            select(MediaDecision)
            .where(col(MediaDecision.media_id) == media_id)
            .order_by(col(MediaDecision.round).desc(), col(MediaDecision.final).desc())
            .limit(1)
        )
        return (await self._session.scalars(query)).one_or_none()

    async def of_moderated(
        self, library_id: UUID, *, after: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[tuple[Media, MediaDecision]]:
        """A library's decided items with the decisions that stand, the newest item first.

        Not those whose content nobody judged: files that were refused at the door, uploads that were stopped.
        """
        latest = (
            select(MediaDecision)
            .where(col(MediaDecision.media_id) == col(Media.id), col(MediaDecision.final))
            .order_by(col(MediaDecision.round).desc())
            .limit(1)
            .lateral()
        )
        standing = aliased(MediaDecision, latest)
        query = (
            select(Media, standing)
            .join(latest, true())
            .where(
                col(Media.library_id) == library_id,
                col(Media.status).in_(DECIDED),
                col(standing.decided_by) != GATE,
                col(standing.reasons)[0]["code"].astext.is_distinct_from(ABORTED),
            )
        )
        if after:
            query = query.where(tuple_(col(Media.created_at), col(Media.id)) < tuple_(*after))
        query = query.order_by(col(Media.created_at).desc(), col(Media.id).desc()).limit(limit)
        return [(row[0], row[1]) for row in (await self._session.execute(query)).all()]

    async def latest_of(self, media_ids: Sequence[UUID]) -> dict[UUID, MediaDecision]:
        """The decision that stands, of each of these items that has one."""
        query = (
            select(MediaDecision)
            .where(col(MediaDecision.media_id).in_(media_ids))
            .order_by(col(MediaDecision.media_id), col(MediaDecision.round).desc(), col(MediaDecision.final).desc())
            .ext(distinct_on(col(MediaDecision.media_id)))
        )
        return {row.media_id: row for row in (await self._session.scalars(query)).all()}
