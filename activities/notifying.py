"""Telling the admins: a row for the application, and a mail."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from temporalio import activity

from mediagate.media.lifecycle import DECIDED
from mediagate.media.values import Status
from workflows.messages import NotifyInput

if TYPE_CHECKING:
    from activities.deps import Deps
    from db.session import Transaction
    from db.tables import Media, Notification


class Notifying:
    """Notifications, last of all."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def notify_admins(self, job: NotifyInput) -> None:
        """Write the notification once, then mail it; sum up the batch with its last file.

        Idempotent: the row is unique by media and kind, and the mail's Message-ID is made of the row's id, so a mail
        that is sent again after a crash is recognised as the same.
        """
        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(UUID(job.media_id))
            notes = [await self._put(tx, media, job)]
            summary = await self._batch_summary(tx, media, job) if job.batch_id else None
            notes += [summary] if summary else []
        for note in notes:
            if note.mailed_at is None:
                await self.mail(note)

    async def mail(self, note: Notification) -> None:
        """Send the mail of a notification and note that the server took it.

        Raises:
            MailUnavailable: it did not; the sweep tries again.
        """
        from mediagate.notify.message import Mail

        settings = self._deps.settings
        if settings.admin_mails:
            domain = settings.mail_from.rpartition("@")[2]
            await self._deps.mailer.send(
                Mail(
                    to=settings.admin_mails,
                    subject=note.subject,
                    text=note.body,
                    message_id=f"<{note.id}@{domain}>",
                    headers={"X-Tracking-Id": note.tracking_id} if note.tracking_id else {},
                )
            )
        async with self._deps.db.transaction() as tx:
            await tx.notifications.mark_mailed(note.id)

    async def _put(self, tx: Transaction, media: Media, job: NotifyInput) -> Notification:
        facts = {
            "library": job.library,
            "media_id": job.media_id,
            "filename": media.filename,
            "status": media.status.value,
            "detail": job.detail,
            "tracking_id": job.tracking_id,
        }
        note = await self._write(tx, media, f"{job.media_id}:{job.kind}", job.kind, facts)
        await tx.media.record(media.id, f"notified:{job.kind}", "notified", {"kind": job.kind})
        return note

    async def _batch_summary(self, tx: Transaction, media: Media, job: NotifyInput) -> Notification | None:
        """One summary for each batch: with the file after which none is left at work."""
        counts = await tx.media.batch_counts(UUID(job.batch_id))
        ended = DECIDED | {Status.FAILED, Status.EXPIRED}
        if any(status not in ended for status in counts):
            return None
        facts = {
            "library": job.library,
            "batch_id": job.batch_id or "",
            **{status.value: str(count) for status, count in counts.items()},
        }
        return await self._write(tx, media, f"{job.batch_id}:batch_summary", "batch_summary", facts)

    async def _write(self, tx: Transaction, media: Media, key: str, kind: str, facts: dict[str, str]) -> Notification:
        from db.tables import Notification
        from mediagate.notify.render import MailKind, render

        subject, body = render(MailKind(kind), facts)
        return await tx.notifications.put(
            Notification(
                library_id=media.library_id,
                media_id=media.id,
                key=key,
                kind=kind,
                subject=subject,
                body=body,
                tracking_id=media.tracking_id,
            )
        )
