"""Rows of a day of a library, at times that are known."""

from datetime import UTC, datetime, timedelta
from random import SystemRandom
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from db.session import Database
from db.tables import Library, Media, MediaDecision, Notification
from mediagate.media.values import Status, Verdict

_LONG_AGO = datetime(1990, 1, 1, tzinfo=UTC)


def a_day() -> datetime:
    """The midnight with which a day begins that no other test has."""
    return _LONG_AGO + timedelta(days=SystemRandom().randrange(9000))


async def accepted(db: Database, library: Library, at: datetime, **fields: Any) -> Media:
    """An upload that was accepted then and has a run."""
    media = Media(library_id=library.id, filename="a.jpg", content_type="image/jpeg", declared_bytes=1)
    own = {"status": Status.PROCESSING, "created_at": at, "accepted_at": at, "started_at": at, "updated_at": at}
    media.sqlmodel_update({**own, **fields})
    async with db.transaction() as tx:
        tx.media.add(media)
    return media


async def decided(
    db: Database, media: Media, at: datetime, verdict: Verdict = Verdict.APPROVE, *, by: str = "policy", **fields: Any
) -> MediaDecision:
    """A decision of then, by default the one that ended the first round."""
    row = MediaDecision(
        media_id=media.id, final=True, verdict=verdict.value, policy_version="p", decided_by=by, created_at=at
    )
    row.sqlmodel_update(fields)
    async with db.transaction() as tx:
        return await tx.decisions.record(row)


async def through(
    db: Database,
    library: Library,
    at: datetime,
    *,
    decision: float,
    filing: float,
    verdict: Verdict = Verdict.APPROVE,
    opened: bool = False,
    by: str = "policy",
    **fields: Any,
) -> Media:
    """An upload that was accepted then, and decided and filed so many seconds later; `opened`: by a review."""
    statuses = {
        Verdict.APPROVE: Status.APPROVED,
        Verdict.REJECT: Status.REJECTED,
        Verdict.QUARANTINE: Status.QUARANTINED,
    }
    filed_at = at + timedelta(seconds=filing)
    media = await accepted(db, library, at, status=statuses[verdict], filed_at=filed_at, updated_at=filed_at)
    if opened:
        await decided(db, media, at, Verdict.REVIEW, final=False)
    await decided(db, media, at + timedelta(seconds=decision), verdict, by=by, **fields)
    return media


async def digests(db: Database, library: Library | None, day: datetime) -> list[Notification]:
    """What was told of that day."""
    async with db.transaction() as tx:
        mine = col(Notification.library_id) == library.id if library else col(Notification.library_id).is_(None)
        of_that_day = col(Notification.key).contains(f":{day:%Y-%m-%d}:")
        query = select(Notification).where(col(Notification.kind) == "digest", mine, of_that_day)
        return list((await tx.session.scalars(query)).all())
