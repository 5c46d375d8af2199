"""Evidence of restrictions, its access log, legal holds."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import EvidenceAccess, EvidenceRecord, LegalHold, now
from mediagate.evidence.keys import WrappedKey


class EvidenceRepository:
    """Evidence of restrictions, its access log, legal holds."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    # Evidence

    async def get(self, evidence_id: UUID) -> EvidenceRecord | None:
        """One record."""
        return await self._session.get(EvidenceRecord, evidence_id)

    async def of_round(self, media_id: UUID, round_: int) -> EvidenceRecord | None:
        """The record of one restriction."""
        query = select(EvidenceRecord).where(
            col(EvidenceRecord.media_id) == media_id, col(EvidenceRecord.round) == round_
        )
        return (await self._session.scalars(query)).one_or_none()

    async def of_media(self, media_id: UUID) -> Sequence[EvidenceRecord]:
        """Every record about an item."""
        query = select(EvidenceRecord).where(col(EvidenceRecord.media_id) == media_id)
        return (await self._session.scalars(query.order_by(col(EvidenceRecord.round)))).all()

    async def page(
        self, library_id: UUID, *, after: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[EvidenceRecord]:
        """Those of a library, newest first, after the given position."""
        query = select(EvidenceRecord).where(col(EvidenceRecord.library_id) == library_id)
        if after:
            query = query.where(tuple_(col(EvidenceRecord.sealed_at), col(EvidenceRecord.id)) < tuple_(*after))
        query = query.order_by(col(EvidenceRecord.sealed_at).desc(), col(EvidenceRecord.id).desc()).limit(limit)
        return (await self._session.scalars(query)).all()

    async def wrap_anew(self, record: EvidenceRecord, wrapped: WrappedKey) -> bool:
        """Take the place of the wrapped key that the record was read with; False if that is another one by now."""
        change = (
            update(EvidenceRecord)
            .where(col(EvidenceRecord.id) == record.id, col(EvidenceRecord.wrapped_key) == record.wrapped_key)
            .values(key_id=wrapped.key_id, wrapped_key=wrapped.blob)
            .returning(col(EvidenceRecord.id))
        )
        return (await self._session.execute(change)).scalar() is not None

    async def accesses(
        self, evidence_id: UUID, *, after: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[EvidenceAccess]:
        """Who opened a record, newest first, after the given position."""
        query = select(EvidenceAccess).where(col(EvidenceAccess.evidence_id) == evidence_id)
        if after:
            query = query.where(tuple_(col(EvidenceAccess.at), col(EvidenceAccess.id)) < tuple_(*after))
        query = query.order_by(col(EvidenceAccess.at).desc(), col(EvidenceAccess.id).desc()).limit(limit)
        return (await self._session.scalars(query)).all()

    # Legal holds

    async def hold(self, media_id: UUID) -> LegalHold | None:
        """The hold that is on an item."""
        query = select(LegalHold).where(col(LegalHold.media_id) == media_id, col(LegalHold.released_at).is_(None))
        return (await self._session.scalars(query)).one_or_none()

    async def held(self, media_ids: Sequence[UUID]) -> set[UUID]:
        """Which of these items are on hold."""
        query = select(col(LegalHold.media_id)).where(
            col(LegalHold.media_id).in_(media_ids), col(LegalHold.released_at).is_(None)
        )
        return set((await self._session.scalars(query)).all())

    async def place_hold(self, hold: LegalHold) -> LegalHold:
        """Put an item on hold, whose row the caller has locked; a hold that is on it already stands, and comes back."""
        standing = await self.hold(hold.media_id)
        if standing is None:
            self._session.add(hold)
        return standing or hold

    def release_hold(self, hold: LegalHold, *, by: str, reason: str) -> None:
        """End a hold with the commit."""
        hold.released_by, hold.release_reason, hold.released_at = by, reason, now()
