"""Files go where the verdict says: copy, verify by reading back, commit the row, delete the source.

A crash between any two of these leaves either the old place or both places; the next attempt finds what is there and
goes on. Nothing is deleted before the row points at the verified copy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from temporalio import activity

from activities import heartbeats
from activities.evidence import is_restriction
from activities.measures import count_filed
from activities.switches import Steps
from mediagate.errors import MediagateError
from mediagate.flags import Switch
from mediagate.media.lifecycle import GONE, status_for
from mediagate.media.renditions import Build, has_renditions
from mediagate.media.values import Refusal, Status, VariantFile, VariantName
from mediagate.storage import keys
from mediagate.storage.copying import copy_verified
from workflows.messages import FileInput, FileResult

if TYPE_CHECKING:
    from activities.deps import Deps
    from activities.notifying import Notifying
    from db.tables import Library, Media, MediaVariant, Notification


log = structlog.get_logger()

MAIL_PATIENCE = 10.0
"""Seconds for which a step that has filed waits for the mail server."""

_UNMOVABLE = frozenset({Refusal.OBJECT_MISSING, Refusal.HASH_MISMATCH})
"""Refusals after which the master is not what was recorded: it stays where it is, private, for a person to look at."""


@dataclass(frozen=True)
class _Move:
    source: str
    target: str
    sha256: str


@dataclass(frozen=True)
class _Plan:
    """Where everything goes; made from the row, so that it is the same each time until the row is committed."""

    status: Status
    variants: dict[VariantFile, _Move]
    master: _Move | None
    backup: _Move | None
    obsolete: tuple[str, ...]

    @property
    def copies(self) -> list[_Move]:
        """Every copy to be made, the backup before all others."""
        moves = [self.backup, self.master, *self.variants.values()]
        return [move for move in moves if move and move.source != move.target]


class Filing:
    """The last place of every file."""

    def __init__(self, deps: Deps, notifying: Notifying) -> None:
        self._deps = deps
        self._notifying = notifying

    @activity.defn
    async def file_media(self, job: FileInput) -> FileResult:
        """File the item by its verdict and tell the admins. Idempotent: an attempt after the commit only deletes what
        is left over, and sends a mail that is still owed.

        If a decision of a later round stands, as when the item was taken down meanwhile, or it was thrown away,
        nothing is done.

        A cancellation of the run waits until objects and row agree; a worker that shuts down breaks off, and the next
        attempt goes on.

        Raises:
            ObjectCorrupt: a source's bytes are not those that were recorded; nothing was deleted.
        """
        async with heartbeats.every(5):
            filing = asyncio.create_task(self._file(job))
            try:
                return await asyncio.shield(filing)
            except asyncio.CancelledError:
                details = activity.cancellation_details()
                if details and details.cancel_requested:
                    return await filing
                filing.cancel()
                await asyncio.wait([filing])
                raise

    async def _file(self, job: FileInput) -> FileResult:
        media_id = UUID(job.media_id)
        async with self._deps.db.transaction() as tx:
            media, library = await tx.media.with_library(media_id)
            variants = await tx.media.variants(media_id)
            overruled = await tx.decisions.overruled(media_id, job.round)
            decision = await tx.decisions.final(media_id, round_=job.round)
        if overruled or media.status in GONE:
            await self._tell(await self._noted(media_id, job))
            return FileResult(status=media.status)
        plan = _plan(media, variants, job)
        for move in plan.copies:
            await copy_verified(self._deps.store, move.source, move.target, move.sha256)
        notes = await self._commit(media_id, plan, job)
        if notes is None:
            return await self._file(job)  # finds that it is overruled
        await self._deps.store.delete_all([*plan.obsolete, *await self._once_public(media, plan, job)])
        await self._tell(notes)
        policy = library.images
        more = plan.status is Status.APPROVED and policy.build is Build.EAGER and has_renditions(policy)
        more = more and await self._may_render(media, library)
        seal = self._deps.vault is not None and is_restriction(decision)
        return FileResult(status=plan.status, objects=len(plan.copies), renditions=more, seal=seal)

    async def _may_render(self, media: Media, library: Library) -> bool:
        steps = Steps(self._deps.flags, media, library)
        if steps.may(Switch.RENDITIONS):
            return True
        async with self._deps.db.transaction() as tx:
            await steps.note(tx)
        return False

    async def _once_public(self, media: Media, plan: _Plan, job: FileInput) -> list[str]:
        """What is left in the folders of approved pictures of an item that is withheld after it was filed before.

        The row, once committed, names the new places only, so an attempt after that finds the old ones here.
        """
        if plan.status is Status.APPROVED or media.filed_at is None:
            return []
        folders = keys.approved_prefixes(job.library, job.media_id)
        return [found.key for folder in folders async for found in self._deps.store.list(folder)]

    async def _commit(self, media_id: UUID, plan: _Plan, job: FileInput) -> list[Notification] | None:
        """What admins are to be told; None if a later round was decided, or it was thrown away, meanwhile."""
        from db.tables import now

        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(media_id, lock=True)
            if media.status in GONE or await tx.decisions.overruled(media_id, job.round):
                return None
            await tx.media.move(media, plan.status, reason=job.reason, detail=job.detail)
            newly, media.filed_at = media.filed_at is None, media.filed_at or now()
            if not job.round:  # another than the first, if the upload's run was reset
                media.run_id = activity.info().workflow_run_id
            if plan.master:
                media.master_key = plan.master.target
            if plan.backup:
                media.backup_key = plan.backup.target
            for row in await tx.media.variants(media_id):
                if row.file in plan.variants:
                    row.key = plan.variants[row.file].target
            if plan.status is Status.APPROVED:
                await tx.media.drop_variants(media_id, VariantName.MODERATION)
            line = f"filed:{plan.status.value}" + (f":{job.round}" if job.round else "")
            await tx.media.record(media_id, line, "filed", {"objects": len(plan.variants)})
            notes = await self._notifying.write(tx, media, job.notice) if job.notice else []
        if newly:
            count_filed(media)
        return notes

    async def _noted(self, media_id: UUID, job: FileInput) -> list[Notification]:
        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(media_id)
            return await self._notifying.write(tx, media, job.notice) if job.notice else []

    async def _tell(self, notes: Sequence[Notification]) -> None:
        """What is filed stays filed whatever becomes of the mail: the row owes it, and the sweep sends it again."""
        for note in notes:
            try:
                await asyncio.wait_for(self._notifying.mail(note), MAIL_PATIENCE)
            except (MediagateError, TimeoutError) as error:
                log.warning("filing.mail_owed", notification_id=str(note.id), error=str(error))


def _plan(media: Media, variants: Sequence[MediaVariant], job: FileInput) -> _Plan:
    """Approved: the marked pictures become public, the clean master stays private, the moderation copy goes.

    Rejected or quarantined: the master is backed up, and everything moves out of the public's reach together.
    """
    status = status_for(job.verdict)
    approved = status is Status.APPROVED
    media_id = str(media.id)
    moves = {
        row.file: _Move(row.key, keys.filed(job.library, status, media_id, row.file), row.sha256)
        for row in variants
        if not (approved and row.name == VariantName.MODERATION)
    }
    master = backup = None
    private = keys.master(job.library, media_id)
    obsolete = [keys.staging(media_id), *(keys.work(media_id, name) for name in VariantName)]
    obsolete += [keys.work(media_id, row.file) for row in variants]
    obsolete += [row.key for row in variants if row.file not in moves]
    obsolete += [move.source for move in moves.values() if move.source != move.target]
    if media.master_key and media.sha256 and not approved and job.reason not in _UNMOVABLE:
        master = _Move(media.master_key, keys.filed(job.library, status, media_id, "source"), media.sha256)
        backup = _Move(media.master_key, keys.backup(job.library, media_id, media.sha256), media.sha256)
        obsolete.append(private)
    elif approved and media.master_key and media.sha256 and media.master_key != private:  # it was withheld before
        master = _Move(media.master_key, private, media.sha256)
        obsolete.append(media.master_key)
    return _Plan(status, moves, master, backup, tuple(dict.fromkeys(obsolete)))
