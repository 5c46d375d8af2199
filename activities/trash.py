"""The trash: throwing away what is decided, taking it out again, and erasing it when its time is over.

Rows first: an item in the trash is closed to the public with the commit that puts it there. Its files stay where they
are, so that taking it out is a change of its row as well. Erasing is one transaction that takes everything off the rows
and notes the objects (`object_removal`); these are deleted after it, however often the worker dies meanwhile.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from mediagate.errors import Conflict
from mediagate.media.lifecycle import DECIDED, TRASHABLE, WORK, status_for
from mediagate.media.values import Status, Verdict
from mediagate.storage import keys
from workflows.messages import RemoderateInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.repositories.audit import Actor
    from db.session import Database, Transaction
    from db.tables import Library, Media, MediaDecision, TrashedItem
    from mediagate.storage.store import ObjectStore
    from workflows.client import Flows

RESTORED = "restored"
"""The cause of a round that files an item that was decided anew while it was in the trash."""
AT_ONCE = 500
"""Objects that are deleted at a time."""


async def throw_away(
    db: Database,
    media_id: UUID,
    who: Actor,
    *,
    keep: timedelta,
    purge: bool,
    reason: str = "",
    tracking_id: str = "",
    older_than: datetime | None = None,
) -> TrashedItem:
    """Put a decided or failed item into the trash; what is there already stays as it is, and comes back.

    `keep`: how long it can be restored. `purge`: there are caches to be told, so that is owed from now on.
    `older_than`: only if it has its status since before then.

    Raises:
        NotFound: there is no such item.
        Conflict: it is not decided, is being decided anew, was erased, or is on legal hold.
    """
    from db.tables import TrashedItem, now

    async with db.transaction() as tx:
        media, library = await tx.media.with_library(media_id, lock=True)
        if (there := await tx.trash.get(media_id)) and media.status is Status.TRASHED:
            return there
        latest = await tx.decisions.latest(media_id)
        _check_throwable(media, latest, older_than)
        if await tx.evidence.held([media_id]):
            raise Conflict("It is on legal hold: take it down instead, or have the hold released first.")
        at = now()
        item = TrashedItem(
            media_id=media_id,
            library_id=library.id,
            status_before=media.status,
            round=latest.round if latest else 0,
            trashed_by=str(who),
            reason=reason,
            trashed_at=at,
            erase_after=at + keep,
            purge_owed=purge and media.status is Status.APPROVED,
        )
        await tx.trash.drop(media_id)
        tx.trash.put(item)
        await tx.media.move(media, Status.TRASHED)
        facts = {"by": who.name, "reason": reason, "from": item.status_before.value}
        await tx.media.record(media_id, f"trashed:{at.isoformat()}", "trashed", facts)
        await tx.session.flush()
        await tx.audit.note(
            "media.trashed",
            f"media:{media_id}",
            who,
            library=library.slug,
            reason=reason,
            tracking_id=tracking_id,
            data={"from": item.status_before.value, "erase_after": item.erase_after.isoformat()},
        )
    return item


def _check_throwable(media: Media, latest: MediaDecision | None, older_than: datetime | None) -> None:
    if media.status in WORK | {Status.AWAITING_UPLOAD}:
        raise Conflict("It is not decided yet: abort the upload instead (POST …/abort), or decide it.")
    if media.status not in TRASHABLE:
        raise Conflict(f"There is nothing to throw away: it is {media.status.value}.")
    if older_than and media.updated_at >= older_than:
        raise Conflict("It got its status later than that.")
    unfiled = latest is not None and (not latest.final or status_for(Verdict(latest.verdict)) is not media.status)
    if media.status in DECIDED and unfiled:
        raise Conflict("It is being decided anew; try again when that is over.")


async def take_out(
    db: Database, flows: Flows, media_id: UUID, who: Actor, *, reason: str = "", tracking_id: str = ""
) -> Media:
    """Give an item in the trash the status that it had before.

    If it was decided anew meanwhile, that holds: it comes out withheld where the newer decision says so, and a run
    files it as that says.

    Raises:
        NotFound: there is no such item.
        Conflict: it is not in the trash, or a review of it is open.
        WorkflowsUnavailable: it stays in the trash; try again.
    """
    async with db.transaction() as tx:
        media, library = await tx.media.with_library(media_id, lock=True)
        item = await tx.trash.get(media_id)
        if item is None or media.status is not Status.TRASHED:
            raise Conflict(f"It is not in the trash: {media.status.value}.")
        newer = await _newer(tx, item)
        status = item.status_before
        if newer and newer.verdict != Verdict.APPROVE:
            status = status_for(Verdict(newer.verdict))
        await tx.media.move(media, status)
        await tx.trash.drop(media_id)
        key = f"taken_out:{item.trashed_at.isoformat()}"
        await tx.media.record(media_id, key, "taken_out", {"by": who.name, "reason": reason, "to": status.value})
        if newer:
            await flows.remoderate(_as_decided(media, library, newer, who))
        await tx.session.flush()
        await tx.audit.note(
            "media.restored",
            f"media:{media_id}",
            who,
            library=library.slug,
            reason=reason,
            tracking_id=tracking_id,
            data={"to": status.value},
        )
    return media


async def _newer(tx: Transaction, item: TrashedItem) -> MediaDecision | None:
    """What was decided about it while it was in the trash. Raises Conflict if a person is being asked."""
    latest = await tx.decisions.latest(item.media_id)
    if latest is None or latest.round <= item.round:
        return None
    if not latest.final:
        raise Conflict("A review of it is open: decide that first (POST …/decision).")
    return latest


def _as_decided(media: Media, library: Library, decision: MediaDecision, who: Actor) -> RemoderateInput:
    """The run of that round again, which now files it."""
    return RemoderateInput(
        media_id=str(media.id),
        library=library.slug,
        tracking_id=media.tracking_id,
        round=decision.round,
        cause=RESTORED,
        verdict=Verdict(decision.verdict),
        actor=who.name,
    )


async def erase(db: Database, store: ObjectStore, media_id: UUID, who: Actor) -> int | None:
    """Erase an item whose time in the trash is over; the bytes that this frees, None if it is not to be erased.

    Its rows stay without what they say of its content; decisions, audit trail and sealed evidence stay as they are. The
    objects are deleted by `delete_removed`, which is called after this, and by the next retention if that fails.
    """
    from db.tables import now

    async with db.transaction() as tx:
        media, library = await tx.media.with_library(media_id)
    found = {
        stat.key: stat.size
        for prefix in keys.item_prefixes(library.slug, str(media_id))
        async for stat in store.list(prefix)
    }
    async with db.transaction() as tx:
        media = await tx.media.get(media_id, lock=True)
        item = await tx.trash.get(media_id)
        if item is None or media.status is not Status.TRASHED or item.erase_after > now():
            return None
        if await kept_by(tx, [media_id]):
            return None
        named = [key for key in (media.master_key, media.backup_key) if key]
        named += [row.key for row in await tx.media.variants(media_id)]
        await tx.trash.remove_later(media_id, [*found, *named], "erased")
        await tx.fingerprints.put(media_id, library.id, None)
        await tx.media.move(media, Status.ERASED)
        await tx.trash.drop(media_id)
        await tx.media.record(media_id, "erased", "erased", {"objects": len(found)})
        await tx.trash.forget(media)
        await tx.session.flush()
        await tx.audit.note(
            "media.erased",
            f"media:{media_id}",
            who,
            library=library.slug,
            data={"objects": len(found), "bytes": sum(found.values()), "from": item.status_before.value},
        )
    return sum(found.values())


async def drop_backup(db: Database, media_id: UUID, who: Actor, *, filed_before: datetime) -> int | None:
    """Have the second copy of a withheld item deleted; the bytes that this frees, None if it is to stay."""
    async with db.transaction() as tx:
        media, library = await tx.media.with_library(media_id, lock=True)
        due = media.backup_key and media.filed_at and media.filed_at < filed_before
        if not due or media.status not in DECIDED - {Status.APPROVED} or await kept_by(tx, [media_id]):
            return None
        assert media.backup_key
        await tx.trash.remove_later(media_id, [media.backup_key], "backup")
        await tx.media.record(media_id, f"backup_dropped:{media.filed_at}", "backup_dropped", {"key": media.backup_key})
        media.backup_key = None
        await tx.session.flush()
        data = {"bytes": media.bytes}
        await tx.audit.note("media.backup_dropped", f"media:{media_id}", who, library=library.slug, data=data)
    return media.bytes or 0


async def kept_by(tx: Transaction, media_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Why nothing of some of these items may be deleted."""
    from db.tables import now

    sealed = await tx.trash.sealed_until(media_ids, now())
    held = await tx.evidence.held(media_ids)
    return {media_id: f"evidence until {until:%Y-%m-%d}" for media_id, until in sealed.items()} | dict.fromkeys(
        held, "legal hold"
    )


async def delete_removed(db: Database, store: ObjectStore) -> int:
    """Delete every object that is noted as to be deleted; how many those were. Idempotent.

    One that a row names again by now, as a backup that was made anew, is left.
    """
    deleted, after = 0, ""
    while True:
        async with db.transaction() as tx:
            noted = await tx.trash.removals(after=after, limit=AT_ONCE)
            items = await tx.scrubs.items([row.media_id for row in noted])
            manifests = await tx.media.manifests(items)
        if not noted:
            return deleted
        named = {key for item in items.values() for key in (item.master_key, item.backup_key) if key}
        named |= {row.key for rows in manifests.values() for row in rows}
        gone = [row.key for row in noted if row.key not in named]
        if gone:
            await store.delete_all(gone)
        async with db.transaction() as tx:
            await tx.trash.removed([row.key for row in noted])
        deleted, after = deleted + len(gone), noted[-1].key
