"""What a crash left behind is picked up here, every minute."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from temporalio import activity

from activities import heartbeats
from activities.import_orders import ImportWorld, start_owed_imports
from activities.inbox import deliver
from activities.measures import count_sweep
from activities.outbox import start_upload
from activities.storage_usage import tend
from mediagate import metrics
from mediagate.errors import MediagateError, Unavailable
from mediagate.evidence.chain import START
from mediagate.flags import Switch
from mediagate.media.lifecycle import WORK
from mediagate.media.values import Status
from mediagate.storage import keys
from workflows.messages import SweepInput, SweepResult

if TYPE_CHECKING:
    from activities.deps import Deps
    from activities.notifying import Notifying

log = structlog.get_logger()

FORGET_ANSWERS_AFTER = timedelta(days=1)
"""How long an `Idempotency-Key` is remembered."""


class Sweeping:
    """The sweep."""

    def __init__(self, deps: Deps, notifying: Notifying) -> None:
        self._deps = deps
        self._notifying = notifying
        self._noted = START

    @activity.defn
    async def sweep(self, job: SweepInput) -> SweepResult:
        """Pay owed starts, deliver stored events, expire lost uploads, send mails, clear leftovers. Idempotent."""
        async with heartbeats.every(10):
            result = SweepResult(
                started=await self._start(job),
                delivered=await self._deliver(job),
                expired=await self._expire(job),
                mailed=await self._mail(job),
                cleared=await self._clear(job),
            )
            await self._note_audit()
            await tend(self._deps, purges_after=job.start_after, limit=job.limit)
        count_sweep(result)
        return result

    async def _note_audit(self) -> None:
        """Note the end of the audit trail in the vault, if there is one, so that nobody can cut it off unseen."""
        from activities.audit_trail import note_end

        if self._deps.vault is None:
            return
        try:
            self._noted = await note_end(self._deps.db, self._deps.vault, self._noted)
        except MediagateError as error:  # the next sweep notes it
            log.warning("sweep.audit_checkpoint", error=error.code)

    async def _start(self, job: SweepInput) -> int:
        from db.tables import now

        async with self._deps.db.transaction() as tx:
            owed = await tx.media.owed_a_start(now() - job.start_after, job.limit)
        started = 0
        for media, library in owed:
            try:
                await start_upload(self._deps.db, self._deps.flows, self._deps.settings, media, library)
            except Unavailable as error:  # its turn comes again; those behind it are not kept waiting
                log.warning("sweep.start_owed", media_id=str(media.id), error=error.code)
                continue
            log.info("sweep.started", media_id=str(media.id), tracking_id=media.tracking_id)
            started += 1
        deps = self._deps
        world = ImportWorld(deps.settings, deps.db, deps.store, deps.flows)
        return started + await start_owed_imports(world, now() - job.start_after, job.limit)

    async def _deliver(self, job: SweepInput) -> int:
        from db.tables import InboxState, now

        async with self._deps.db.transaction() as tx:
            waiting = await tx.inbox.waiting(now() - job.start_after, job.limit)
        delivered = 0
        for inbox_id in waiting:
            try:
                state = await deliver(self._deps.db, self._deps.flows, inbox_id, review=self._deps.settings.review_time)
            except Unavailable as error:  # as above
                log.warning("sweep.delivery_owed", inbox_id=str(inbox_id), error=error.code)
                continue
            delivered += state is not InboxState.STORED
        return delivered

    async def _expire(self, job: SweepInput) -> int:
        """Objects first, so that an expired row has none; an upload completed meanwhile is left alone."""
        from db.tables import now

        before = now() - job.start_after
        async with self._deps.db.transaction() as tx:
            lost = await tx.media.expiring(before, job.limit)
        expired = 0
        for media, library in lost:
            async with self._deps.db.transaction() as tx:
                row = await tx.media.get(media.id, lock=True)
                if row.status is not Status.AWAITING_UPLOAD:
                    continue
                for key in (keys.staging(str(row.id)), keys.master(library.slug, str(row.id))):
                    await self._deps.store.delete(key)
                await tx.media.move(row, Status.EXPIRED, reason="never_completed")
                await self._notifying.sum_up(tx, row, library.slug)  # it may have been the last of its batch
                expired += 1
            metrics.UPLOADS.add(outcome=Status.EXPIRED.value)
        return expired

    async def _mail(self, job: SweepInput) -> int:
        from db.tables import now

        if not self._deps.flags.on(Switch.NOTIFICATIONS_MAIL):
            return 0
        async with self._deps.db.transaction() as tx:
            unmailed = await tx.notifications.unmailed(now() - job.mail_after, job.limit)
        sent = 0
        for note in unmailed:
            try:
                await self._notifying.mail(note)
            except Unavailable as error:
                log.warning("sweep.mail", notification_id=str(note.id), error=error.code)
                break  # the server is away: the next sweep tries again
            except MediagateError as error:
                log.warning("sweep.mail_refused", notification_id=str(note.id), error=error.code)
                continue  # this mail is refused: those behind it need not be
            sent += 1
        return sent

    async def _clear(self, job: SweepInput) -> int:
        """Delete scratch objects whose item needs them no more: late writers and re-sent uploads leave such."""
        from db.tables import now

        async with self._deps.db.transaction() as tx:
            await tx.access.forget_requests(now() - FORGET_ANSWERS_AFTER)
            settings = self._deps.settings
            longest = max(settings.vendor(name).cache_for for name in settings.vendor_names)
            await tx.vendors.forget_results(now() - timedelta(seconds=longest))
            await tx.logs.forget(now() - timedelta(days=settings.log_database_days))
        old: dict[str, UUID] = {}
        for prefix in (keys.STAGING, keys.WORK):
            async for found in self._deps.store.list(prefix):
                media_id = keys.media_id_of(found.key)
                if media_id and found.modified < now() - job.leftover_after and len(old) < job.limit:
                    old[found.key] = UUID(media_id)
        async with self._deps.db.transaction() as tx:
            statuses = await tx.media.statuses(set(old.values()))
        busy = WORK | {Status.AWAITING_UPLOAD, Status.FAILED}
        stale = [key for key, media_id in old.items() if statuses.get(media_id) not in busy]
        for key in stale:
            await self._deps.store.delete(key)
        return len(stale)
