"""Masters and their backups: are they intact, and putting back what was lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mediagate.errors import Conflict
from mediagate.storage.copying import Standing, copy_verified, standing

if TYPE_CHECKING:
    from uuid import UUID

    from db.session import Database
    from mediagate.storage.store import ObjectStore


@dataclass(frozen=True)
class MasterReport:
    """Where an item's master and its backup are recorded to stand, and how they compare with the digest."""

    sha256: str
    master_key: str
    master: Standing
    backup_key: str | None
    backup: Standing


async def look(db: Database, store: ObjectStore, media_id: UUID) -> MasterReport:
    """Read master and backup in full and compare them.

    Raises:
        NotFound: there is no such item.
        Conflict: the item was never accepted, so it has no master.
    """
    async with db.transaction() as tx:
        media = await tx.media.get(media_id)
    if not (media.master_key and media.sha256):
        raise Conflict("The item was never accepted: it has no master.")
    backup = await standing(store, media.backup_key, media.sha256) if media.backup_key else Standing.MISSING
    return MasterReport(
        sha256=media.sha256,
        master_key=media.master_key,
        master=await standing(store, media.master_key, media.sha256),
        backup_key=media.backup_key,
        backup=backup,
    )


async def restore(db: Database, store: ObjectStore, media_id: UUID) -> MasterReport:
    """Put the master back from its backup, read back and compared; an intact master is left alone. Idempotent.

    Raises:
        Conflict: there is no intact backup to restore from.
    """
    report = await look(db, store, media_id)
    if report.master is Standing.INTACT:
        return report
    if report.backup_key is None or report.backup is not Standing.INTACT:
        raise Conflict(f"There is nothing to restore from: the backup is {report.backup.value}.")
    await copy_verified(store, report.backup_key, report.master_key, report.sha256)
    async with db.transaction() as tx:
        key = f"restored:{report.master.value}:{report.master_key}"
        await tx.media.record(media_id, key, "restored", {"from": report.backup_key, "was": report.master.value})
    return await look(db, store, media_id)
