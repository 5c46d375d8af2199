"""Opening evidence, which is on record before anything is given out, and legal holds."""

from collections.abc import AsyncIterator
from uuid import UUID

from activities.evidence_record import context_of, sealed_object
from db.repositories.audit import Actor
from db.session import Database
from db.tables import EvidenceAccess, EvidenceRecord, LegalHold, now
from mediagate.errors import Conflict
from mediagate.evidence.bundle import Opening
from mediagate.evidence.chain import Chain
from mediagate.vault import Vault


async def open_evidence(
    db: Database,
    vault: Vault,
    record: EvidenceRecord,
    what: Opening,
    who: Actor,
    *,
    reason: str,
    tracking_id: str = "",
) -> AsyncIterator[bytes]:
    """Record the opening, then the plaintext: a tar archive (`mediagate.evidence.bundle`).

    Raises, with the first piece or later:
        ObjectMissing, ObjectCorrupt, EvidenceKeyMissing: as `Vault.open`; the opening stays on record.
    """
    async with db.transaction() as tx:
        access = await tx.chains.append(
            EvidenceAccess(
                evidence_id=record.id,
                library_id=record.library_id,
                what=what,
                actor=who.name,
                via=who.via,
                reason=reason,
                tracking_id=tracking_id,
            )
        )
    await vault.put_checkpoint(Chain.ACCESSES, access.link, now=now())
    return vault.open(sealed_object(record), context_of(record.media_id, record.round))


async def place_hold(db: Database, vault: Vault | None, media_id: UUID, who: Actor, *, reason: str) -> LegalHold:
    """Let nothing of an item be deleted; a hold that is on it already stands, and is put on its evidence again.

    Raises:
        NotFound: there is no such item.
        StorageUnavailable: the hold stands, but not on all evidence yet; try again.
    """
    async with db.transaction() as tx:
        await tx.media.get(media_id, lock=True)
        hold = await tx.evidence.place_hold(LegalHold(media_id=media_id, reason=reason, placed_by=str(who)))
        await tx.media.record(media_id, f"held:{hold.id}", "legal_hold", {"by": hold.placed_by, "reason": hold.reason})
        sealed = await tx.evidence.of_media(media_id)
    if vault:
        for record in sealed:
            await vault.store.set_legal_hold(record.object_key, record.object_version, on=True)
    return hold


async def release_hold(db: Database, vault: Vault | None, media_id: UUID, who: Actor, *, reason: str) -> LegalHold:
    """End the hold on an item; what its evidence's retention forbids stays forbidden.

    Raises:
        NotFound: there is no such item.
        Conflict: there is no hold on it.
        StorageUnavailable: the hold still stands; try again.
    """
    async with db.transaction() as tx:
        await tx.media.get(media_id, lock=True)
        hold = await tx.evidence.hold(media_id)
        if hold is None:
            raise Conflict("There is no legal hold on this item.")
        # Before the commit: a release that is half done is one that is asked for again.
        for record in await tx.evidence.of_media(media_id) if vault else ():
            assert vault
            await vault.store.set_legal_hold(record.object_key, record.object_version, on=False)
        tx.evidence.release_hold(hold, by=str(who), reason=reason)
        line = {"by": hold.released_by, "reason": reason}
        await tx.media.record(media_id, f"released:{hold.id}", "legal_hold_released", line)
    return hold
