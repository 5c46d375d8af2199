"""Decided items and policies, as tests of policies need them: rows and a master, without an upload's run."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from activities.policies import put_policy, set_mode
from db.session import Database
from db.tables import Library, LibraryPolicy, Media, MediaDecision, PolicyRun, PolicyRunItem, now
from mediagate.media.lifecycle import status_for
from mediagate.media.values import Verdict
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.moderation.policy_runs import PolicyMode
from tests.world import VENDOR, World, picture

STRICT = "name: strict\ndefault: {review_at: 0.2, reject_at: 0.4}\n"
"""Rejects from 0.4, where the default asks from 0.5."""
CAREFUL = "name: careful\ndefault: {review_at: 0.3, reject_at: 0.95}\n"
"""Asks a person from 0.3."""
DOUBT = 0.4


async def stored(db: Database, library: Library, text: str, *modes: PolicyMode) -> LibraryPolicy:
    """A policy of the library, brought into these modes one after the other."""
    policy = await put_policy(db, library.slug, text, by="ada")
    for mode in modes:
        policy, _ = await set_mode(db, library.slug, policy.number, mode, by="ada")
    return policy


def said(media_id: UUID | str, scores: Mapping[str, float], verdict: VendorVerdict | None = None) -> VendorEvent:
    """A vendor's final word; from 0.4 on it is in doubt, or a score that rejects would contradict it."""
    doubt = max(scores.values(), default=0.0) >= DOUBT
    return VendorEvent(
        event_id=f"evt-{uuid4().hex}",
        vendor=VENDOR,
        media_id=str(media_id),
        occurred_at=now(),
        verdict=verdict or (VendorVerdict.REVIEW if doubt else VendorVerdict.APPROVE),
        scores=dict(scores),
    )


async def decided(
    db: Database,
    library: Library,
    verdict: Verdict = Verdict.APPROVE,
    *,
    by: str = "policy",
    reason: str = "clean",
    age: float = 0,
    scores: Mapping[str, float] | None = None,
    **fields: Any,
) -> UUID:
    """An item that was decided that way, `age` seconds ago, when a vendor had said those scores."""
    at = now() - timedelta(seconds=age)
    media = Media(library_id=library.id, filename="photo.jpg", content_type="image/jpeg", declared_bytes=1)
    media.sqlmodel_update({"status": status_for(verdict), "bytes": 1, "created_at": at, "accepted_at": at, **fields})
    async with db.transaction() as tx:
        tx.media.add(media)
        await tx.session.flush()
        await _decide(tx.session, media.id, verdict, by, reason)
        await tx.inbox.put_own(said(media.id, scores or {"nudity": 0.1}))
    return media.id


async def filed(world: World, verdict: Verdict = Verdict.APPROVE, **decision: Any) -> UUID:
    """The same with a master that can be moved."""
    media_id = UUID(await world.seal(picture()))
    by, reason = decision.get("by", "policy"), decision.get("reason", "clean")
    async with world.db.transaction() as tx:
        media = await tx.media.get(media_id)
        media.status, media.filed_at = status_for(verdict), now()
        await _decide(tx.session, media_id, verdict, by, reason)
        await tx.inbox.put_own(said(media_id, decision.get("scores") or {"nudity": 0.1}))
    return media_id


async def items(db: Database, run_id: UUID) -> dict[UUID, PolicyRunItem]:
    """What a run found, by media id."""
    async with db.transaction() as tx:
        return {row.media_id: row for row in await tx.policies.items(run_id, after=None, limit=500)}


async def run_row(db: Database, run_id: UUID) -> PolicyRun:
    """A run as people see it."""
    async with db.transaction() as tx:
        return await tx.policies.run(run_id)


async def standing(db: Database, media_id: UUID) -> MediaDecision:
    """The decision that stands."""
    async with db.transaction() as tx:
        found = await tx.decisions.latest(media_id)
    assert found
    return found


async def _decide(session: Any, media_id: UUID, verdict: Verdict, by: str, reason: str) -> None:
    session.add(
        MediaDecision(
            media_id=media_id,
            final=True,
            verdict=verdict,
            policy_version="thresholds-1",
            decided_by=by,
            reasons=[{"code": reason, "detail": ""}],
        )
    )
