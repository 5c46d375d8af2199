"""Submissions to vendors, how vendors do, what they said before, and what that cost."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import Library, VendorHealth, VendorResult, VendorSubmission, VendorUsage, now
from mediagate.moderation.findings import VendorEvent
from mediagate.vendors.reuse import may_be_kept, model_version, said_of


class Usage(NamedTuple):
    """Sums over libraries or days; `cost_micros` are millionths of a US dollar."""

    calls: int = 0
    failures: int = 0
    cached: int = 0
    cost_micros: int = 0


class DailyUsage(NamedTuple):
    """What one library took of one vendor on one day."""

    day: date
    vendor: str
    library: str
    usage: Usage


_COUNTED = tuple(getattr(VendorUsage, name) for name in Usage._fields)
_USAGE_KEY = ["vendor", "day", "library_id"]
_RESULT_KEY = ["vendor", "model_version", "library_id", "content"]


class VendorRepository:
    """Submissions to vendors, how vendors do, what they said before, and what that cost."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    # Submissions

    async def begin(self, submission: VendorSubmission) -> VendorSubmission:
        """The row of an item at a vendor, made if it is not there; what the vendor will look at is as given."""
        values = submission.model_dump()
        statement = insert(VendorSubmission).values(values)
        looked_at = {name: statement.excluded[name] for name in ("content", "model_version")}
        await self._session.execute(
            statement.on_conflict_do_update(
                index_elements=["media_id", "vendor"],
                set_=looked_at,
                where=col(VendorSubmission.submitted_at).is_(None),
            )
        )
        found = await self.submission(submission.media_id, submission.vendor, lock=True)
        assert found is not None
        return found

    async def submission(self, media_id: UUID, vendor: str, *, lock: bool = False) -> VendorSubmission | None:
        """What is known of an item at a vendor."""
        return await self._session.get(
            VendorSubmission, (media_id, vendor), with_for_update=lock, populate_existing=lock
        )

    async def took(self, submission: VendorSubmission, reference: str, *, calls: int) -> None:
        """Note the vendor's receipt; a reference that it gave to another item before stays that one's alone."""
        submission.submitted_at = submission.submitted_at or now()
        submission.calls += calls
        if await self.media_of(submission.vendor, reference) in {None, submission.media_id}:
            submission.reference = reference

    async def media_of(self, vendor: str, reference: str) -> UUID | None:
        """The item that a vendor knows by this id of its own."""
        query = select(col(VendorSubmission.media_id)).where(
            col(VendorSubmission.vendor) == vendor, col(VendorSubmission.reference) == reference
        )
        return (await self._session.scalars(query)).one_or_none() if reference else None

    # Health

    async def health(self, vendor: str, *, lock: bool = False) -> VendorHealth:
        """How a vendor does; with `lock` no other transaction changes it meanwhile."""
        if lock:
            fresh = insert(VendorHealth).values(VendorHealth(vendor=vendor).model_dump())
            await self._session.execute(fresh.on_conflict_do_nothing())
        row = await self._session.get(VendorHealth, vendor, with_for_update=lock, populate_existing=lock)
        return row or VendorHealth(vendor=vendor)

    # Results that are kept

    async def answered(self, library_id: UUID, event: VendorEvent) -> None:
        """Note a vendor's final word about an item, and keep it for others with the same content. Idempotent.

        Of two words about the same content the one that happened later is kept.
        """
        row = await self.submission(UUID(event.media_id), event.vendor) if event.settles else None
        if row is None:
            return
        row.answered_at = row.answered_at or now()
        version = model_version(row.model_version, event.model_version)
        if not (row.content and version and may_be_kept(event)):
            return
        await self._note_model(event)
        statement = insert(VendorResult).values(
            VendorResult(
                vendor=event.vendor,
                model_version=version,
                library_id=library_id,
                content=row.content,
                media_id=row.media_id,
                event=event.model_dump(mode="json"),
                occurred_at=event.occurred_at,
            ).model_dump()
        )
        said = {name: statement.excluded[name] for name in ("media_id", "event", "occurred_at", "stored_at")}
        later = statement.excluded.occurred_at > col(VendorResult.occurred_at)
        await self._session.execute(statement.on_conflict_do_update(index_elements=_RESULT_KEY, set_=said, where=later))

    async def said_before(
        self, submission: VendorSubmission, library_id: UUID, *, since: datetime
    ) -> VendorEvent | None:
        """What the vendor said about the same content of another item, kept since then; addressed to this one."""
        health = await self.health(submission.vendor)
        version = model_version(submission.model_version, health.model_version)
        if not (submission.content and version):
            return None
        row = await self._session.get(VendorResult, (submission.vendor, version, library_id, submission.content))
        if row is None or row.stored_at < since or row.media_id == submission.media_id:
            return None
        return said_of(str(submission.media_id), VendorEvent.model_validate(row.event))

    async def forget_results(self, before: datetime) -> None:
        """Delete kept results that are older."""
        await self._session.execute(delete(VendorResult).where(col(VendorResult.stored_at) < before))

    async def _note_model(self, event: VendorEvent) -> None:
        """Remember which model the vendor uses now: what another one said before is asked for no more."""
        if event.model_version and (await self.health(event.vendor)).model_version != event.model_version:
            (await self.health(event.vendor, lock=True)).model_version = event.model_version

    # Usage

    async def count(self, vendor: str, library_id: UUID, **counted: int) -> None:
        """Add to a library's usage of today: fields of `Usage`. Last in a transaction: its row is locked until then."""
        values = {"vendor": vendor, "day": now().date(), "library_id": library_id, **Usage(**counted)._asdict()}
        statement = insert(VendorUsage).values(values)
        sums: dict[str, Any] = {name: getattr(VendorUsage, name) + statement.excluded[name] for name in counted}
        await self._session.execute(statement.on_conflict_do_update(index_elements=_USAGE_KEY, set_=sums))

    async def usage(self, vendors: Sequence[str], *, since: date) -> Mapping[str, Usage]:
        """The sums of each of these vendors since that day, over all libraries."""
        query = (
            select(col(VendorUsage.vendor), *(func.sum(one) for one in _COUNTED))
            .where(col(VendorUsage.vendor).in_(vendors), col(VendorUsage.day) >= since)
            .group_by(col(VendorUsage.vendor))
        )
        found = {row[0]: Usage(*map(int, row[1:])) for row in (await self._session.execute(query)).all()}
        return {vendor: found.get(vendor, Usage()) for vendor in vendors}

    async def daily_usage(self, vendors: Sequence[str], *, since: date) -> Sequence[DailyUsage]:
        """The counts of these vendors by day and library, the latest day first."""
        query = (
            select(col(VendorUsage.day), col(VendorUsage.vendor), col(Library.slug), *_COUNTED)
            .join(Library, col(Library.id) == col(VendorUsage.library_id))
            .where(col(VendorUsage.vendor).in_(vendors), col(VendorUsage.day) >= since)
            .order_by(col(VendorUsage.day).desc(), col(VendorUsage.vendor), col(Library.slug))
        )
        rows = (await self._session.execute(query)).all()
        return [DailyUsage(row[0], row[1], row[2], Usage(*row[3:])) for row in rows]
