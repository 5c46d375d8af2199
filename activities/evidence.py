"""Evidence of restrictions is sealed: once for each item and round, after its files have moved."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from temporalio import activity

from activities import heartbeats
from mediagate import metrics
from mediagate.errors import ObjectMissing
from mediagate.media.values import Refusal, Verdict
from mediagate.storage import keys
from workflows.messages import SealInput, SealResult

if TYPE_CHECKING:
    from datetime import datetime

    from activities.deps import Deps
    from activities.evidence_record import Facts
    from db.tables import EvidenceRecord, MediaDecision
    from mediagate.vault import SealedObject, Vault

_GATE = "gate"


def is_restriction(decision: MediaDecision | None) -> bool:
    """True if what was decided withholds the item for what it is: not one that was only refused as broken."""
    if decision is None or decision.verdict not in {Verdict.REJECT, Verdict.QUARANTINE}:
        return False
    return decision.decided_by != _GATE or any(reason.get("code") == Refusal.MALWARE for reason in decision.reasons)


class Evidence:
    """The way into the vault."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def seal_evidence(self, job: SealInput) -> SealResult:
        """Seal original, findings, events, decisions and timeline of a restriction, and chain the record.

        Idempotent: there is one record for each item and round. An attempt that dies between the object and the record
        leaves an object that nobody can open. Without a vault nothing is done.

        Raises:
            StorageUnavailable, EvidenceKeyMissing: try again.
            ObjectCorrupt, ObjectMissing: the original is not what was recorded, or is gone.
        """
        async with heartbeats.every(5):
            return await self.seal(job)

    async def seal(self, job: SealInput) -> SealResult:
        """As `seal_evidence`, outside an activity."""
        from db.tables import now
        from mediagate.evidence.chain import Chain

        vault = self._deps.vault
        if vault is None:
            return SealResult()
        async with self._deps.db.transaction() as tx:
            record = await tx.evidence.of_round(UUID(job.media_id), job.round)
        record = record or await self._seal(vault, job)
        # Both again with a second attempt: the first may have died before.
        await vault.put_checkpoint(Chain.RECORDS, record.link, now=now())
        async with self._deps.db.transaction() as tx:
            await tx.media.get(record.media_id, lock=True)  # nobody releases the hold meanwhile
            if await tx.evidence.hold(record.media_id):
                await vault.store.set_legal_hold(record.object_key, record.object_version, on=True)
        return SealResult(evidence_id=str(record.id), seq=record.seq)

    async def _seal(self, vault: Vault, job: SealInput) -> EvidenceRecord:
        from activities.evidence_record import facts_of
        from db.tables import now

        async with self._deps.db.transaction() as tx:
            facts = await facts_of(tx, UUID(job.media_id), job.round)
        sealed_at = now()
        retain_until = vault.retain_until(sealed_at)
        try:
            sealed = await self._put(vault, job, facts, sealed_at, retain_until)
        except ObjectMissing:
            async with self._deps.db.transaction() as tx:
                media = await tx.media.get(facts.media.id)
            if media.master_key == facts.media.master_key:
                raise
            return await self._seal(vault, job)  # a later round moved it meanwhile
        return await self._record(facts, job, sealed, sealed_at, retain_until)

    async def _put(
        self, vault: Vault, job: SealInput, facts: Facts, sealed_at: datetime, retain_until: datetime
    ) -> SealedObject:
        from activities.evidence_record import context_of
        from mediagate.evidence.bundle import write_bundle

        media = facts.media
        held = self._deps.sources.hold(media.master_key or "", media.sha256 or "", max_bytes=media.bytes or 0)
        async with held as original:
            return await vault.seal(
                keys.evidence(job.library, job.media_id, job.round),
                context_of(media.id, job.round),
                partial(write_bundle, record=facts.record, bodies=facts.bodies, original=original, at=sealed_at),
                retain_until=retain_until,
            )

    async def _record(
        self, facts: Facts, job: SealInput, sealed: SealedObject, sealed_at: datetime, retain_until: datetime
    ) -> EvidenceRecord:
        """Chain it; another attempt's record, if that was faster."""
        from db.tables import EvidenceRecord
        from mediagate.evidence.chain import Chain

        async with self._deps.db.transaction() as tx:
            await tx.media.get(facts.media.id, lock=True)
            await tx.chains.lock(Chain.RECORDS)
            if standing := await tx.evidence.of_round(facts.media.id, job.round):
                return standing
            record = EvidenceRecord(
                media_id=facts.media.id,
                library_id=facts.media.library_id,
                round=job.round,
                verdict=facts.verdict,
                reason=facts.reason,
                object_key=sealed.key,
                object_version=sealed.version,
                size=sealed.size,
                sha256=sealed.sha256,
                sealed_sha256=sealed.sealed_sha256,
                key_id=sealed.wrapped.key_id,
                wrapped_key=sealed.wrapped.blob,
                sealed_at=sealed_at,
                retain_until=retain_until,
            )
            await tx.chains.append(record)
            line = {"evidence_id": str(record.id), "seq": record.seq, "sha256": record.sha256}
            await tx.media.record(record.media_id, f"sealed:{job.round}", "sealed", line)
        metrics.EVIDENCE_SEALED.add()
        return record
