"""Is the evidence what it was: its chains, its checkpoints, its objects, their locks; and wrapping data keys anew."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from activities.audit_chain import PAGE, Break, follow
from activities.evidence_record import context_of, sealed_object
from db.session import Database
from db.tables import EvidenceAccess, EvidenceRecord, now
from mediagate.errors import EvidenceKeyMissing, ObjectCorrupt, ObjectMissing
from mediagate.evidence.keys import WrappedKey
from mediagate.vault import Vault

AT_ONCE = 8
"""Objects that are read at the same time."""


@dataclass
class Audit:
    """What was looked at, and what is broken, in order of the records."""

    records: int = 0
    accesses: int = 0
    lapsed: int = 0
    """Records whose retention has ended and whose objects are gone."""
    breaks: list[Break] = field(default_factory=list)


async def verify(db: Database, vault: Vault, *, deep: bool = False) -> Audit:
    """Follow both chains from their first record to their last, and compare every object with its record.

    `deep`: open everything as well; needs every key. Opening it so gives nothing out and is no access.

    Raises:
        StorageUnavailable, DatabaseUnavailable: it cannot be told.
    """
    audit = Audit()

    async def objects(rows: Sequence[EvidenceRecord]) -> list[str | None]:
        audit.records += len(rows)
        return await _objects(db, vault, rows, audit, deep=deep)

    async def nothing(rows: Sequence[EvidenceAccess]) -> list[str | None]:
        audit.accesses += len(rows)
        return [None] * len(rows)

    await follow(db, vault, EvidenceRecord, objects, audit.breaks)
    await follow(db, vault, EvidenceAccess, nothing, audit.breaks)
    return audit


async def _objects(
    db: Database, vault: Vault, rows: Sequence[EvidenceRecord], audit: Audit, *, deep: bool
) -> list[str | None]:
    slots, moment = asyncio.Semaphore(AT_ONCE), now()
    async with db.transaction() as tx:
        held = await tx.evidence.held([row.media_id for row in rows])

    async def look(row: EvidenceRecord) -> str | None:
        async with slots:
            return await _object(vault, row, audit, moment=moment, held=row.media_id in held, deep=deep)

    return await asyncio.gather(*(look(row) for row in rows))


async def _object(
    vault: Vault, row: EvidenceRecord, audit: Audit, *, moment: datetime, held: bool, deep: bool
) -> str | None:
    lapsed = row.retain_until < moment
    try:
        lock = await vault.store.lock(row.object_key, row.object_version)
        digest = await _sha256(vault.store.stream(row.object_key, version=row.object_version))
    except ObjectMissing:
        if lapsed and not held:
            audit.lapsed += 1
            return None
        return "its object is missing"
    if not lapsed and not lock.holds_until(row.retain_until):
        return f"its object is not locked until {row.retain_until:%Y-%m-%d}"
    if held and not lock.legal_hold:
        return "the item is on legal hold and its object is not"
    if digest != row.sealed_sha256:
        return "its object was replaced: the bytes are not those that were sealed"
    return await _opened(vault, row) if deep else None


async def _opened(vault: Vault, row: EvidenceRecord) -> str | None:
    try:
        digest = await _sha256(vault.open(sealed_object(row), context_of(row.media_id, row.round)))
    except EvidenceKeyMissing as error:
        return f"it cannot be opened: {error.message}"
    except ObjectCorrupt as error:
        return f"it does not open: {error.message}"
    return None if digest == row.sha256 else "what is sealed is not what was recorded"


async def _sha256(chunks: AsyncIterator[bytes]) -> str:
    digest = hashlib.sha256()
    async for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


@dataclass
class Rewrap:
    """What became of wrapped data keys."""

    looked_at: int = 0
    stale: int = 0
    wrapped: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    """Why, by `seq`."""


async def rewrap(db: Database, vault: Vault, *, dry_run: bool) -> Rewrap:
    """Wrap every data key under the key that seals now. Objects and chain stay as they are. Idempotent.

    After this without failures the other keys are needed no more.
    """
    done, after = Rewrap(), 0
    while True:
        async with db.transaction() as tx:
            rows = await tx.chains.after(EvidenceRecord, after, limit=PAGE)
        if not rows:
            return done
        done.looked_at, after = done.looked_at + len(rows), rows[-1].seq
        for row in rows:
            if row.key_id == vault.keys.sealing_key:
                continue
            done.stale += 1
            if dry_run:
                continue
            try:
                await _wrap_anew(db, vault, row)
                done.wrapped += 1
            except (EvidenceKeyMissing, ObjectCorrupt) as error:
                done.failed[row.seq] = error.message


async def _wrap_anew(db: Database, vault: Vault, row: EvidenceRecord) -> None:
    context = context_of(row.media_id, row.round)
    data_key = await vault.keys.unwrap(WrappedKey(row.key_id, row.wrapped_key), context)
    wrapped = await vault.keys.wrap(data_key, context)
    async with db.transaction() as tx:
        await tx.evidence.wrap_anew(row, wrapped)
