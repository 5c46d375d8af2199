"""Telling the admins: a row for the application, and a mail."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from temporalio import activity

from mediagate import metrics
from mediagate.errors import InvalidRequest, MailUnavailable
from mediagate.flags import Switch
from mediagate.media.lifecycle import DECIDED
from mediagate.media.values import Status
from workflows.messages import NotifyInput

if TYPE_CHECKING:
    from activities.deps import Deps
    from db.session import Transaction
    from db.tables import Media, Notification

log = structlog.get_logger()

_SUMMED_UP = frozenset({"upload_failed", "moderation_result"})
"""What the summary of an import tells of all its files; nobody wants a mail for each of thousands."""


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
            notes = await self.write(tx, await tx.media.get(UUID(job.media_id)), job)
        for note in notes:
            await self.mail(note)

    async def write(self, tx: Transaction, media: Media, job: NotifyInput) -> list[Notification]:
        """The notification's row, once; and the batch's, with its last file. Each owes a mail from the commit on."""
        notes = [await self._put(tx, media, job)]
        summary = await self.sum_up(tx, media, job.library)
        return [*notes, summary] if summary else notes

    async def mail(self, note: Notification) -> None:
        """Send the mail of a notification, unless it went out or another is at it, and note that the server took it.

        Raises:
            MailUnavailable: it did not; the sweep tries again. What it refuses for good is noted on the row instead.
        """
        from db.repositories.notifications import Claim  # SQLAlchemy: not for what only imports the workflow

        if not self._deps.flags.on(Switch.NOTIFICATIONS_MAIL):
            return  # the row owes it, and the sweep pays once mails are switched on
        async with self._deps.db.transaction() as tx:
            claim = await tx.notifications.claim_mail(note.id)
        if claim is Claim.ENDED:
            return
        if claim is Claim.ANOTHERS:  # two steps ended together, or an attempt before this one was killed: look again
            raise MailUnavailable("Another step is at this mail.", retry_after=2)
        sent, never = False, ""
        try:
            await self._send(note)
            sent = True
        except InvalidRequest as error:
            never = error.message
            log.error("mail.refused", notification_id=str(note.id), detail=never)
        finally:
            metrics.MAILS.add(outcome="sent" if sent else "refused" if never else "failed")
            async with self._deps.db.transaction() as tx:
                await tx.notifications.end_mail(note.id, sent=sent, error=never)

    async def _send(self, note: Notification) -> None:
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

    async def _put(self, tx: Transaction, media: Media, job: NotifyInput) -> Notification:
        facts = {
            "library": job.library,
            "media_id": job.media_id,
            "filename": media.filename,
            "status": media.status.value,
            "title": job.detail,
            "detail": job.detail,
            "tracking_id": job.tracking_id,
        }
        imported = media.batch_id and await tx.imports.find(media.batch_id)
        what = f"{job.kind}:{job.occasion}" if job.occasion else job.kind
        by_mail = not (imported and job.kind in _SUMMED_UP)
        note = await self._write(tx, media, f"{job.media_id}:{what}", job.kind, facts, by_mail=by_mail)
        await tx.media.record(media.id, f"notified:{what}", "notified", {"kind": job.kind})
        return note

    async def sum_up(self, tx: Transaction, media: Media, library: str) -> Notification | None:
        """One summary for each batch of which anything came: with the file after which none is left at work."""
        if media.batch_id is None:
            return None
        if await tx.imports.going_on(media.batch_id):
            return None  # more of it is to come; its end sums it up
        counts = await tx.media.batch_counts(media.batch_id)
        ended = DECIDED | {Status.FAILED, Status.EXPIRED}
        if not ended.issuperset(counts) or set(counts) == {Status.EXPIRED}:
            return None
        facts = {
            "library": library,
            "batch_id": str(media.batch_id),
            "total": str(sum(counts.values())),
            **{status.value: str(count) for status, count in counts.items()},
        }
        return await self._write(tx, media, f"{media.batch_id}:batch_summary", "batch_summary", facts)

    async def _write(
        self, tx: Transaction, media: Media, key: str, kind: str, facts: dict[str, str], *, by_mail: bool = True
    ) -> Notification:
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
                by_mail=by_mail,
            )
        )
