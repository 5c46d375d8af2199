"""Words exchanged with moderation vendors."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from temporalio import activity

from activities.inbox import note
from activities.vendor_calls import VendorCall, count_cache_hit
from mediagate.access.delivery import Purpose, file_url, version_of
from mediagate.errors import InvalidRequest, VendorUnavailable
from mediagate.flags import Switch
from mediagate.media.values import MODERATION, Status, VariantFile, VariantName
from mediagate.vendors.interface import Answers, Submission
from mediagate.vendors.reuse import CACHED_FROM, content_digest
from workflows.messages import MediaRef, PollInput, PollResult, SubmitInput, SubmitResult
from workflows.names import workflow_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from activities.deps import Deps
    from db.session import Transaction
    from db.tables import Media, MediaVariant, VendorSubmission
    from mediagate.moderation.findings import VendorEvent
    from mediagate.vendors.interface import ModerationVendor, ReadCopy, SubmissionReceipt

COPY_LIFETIME = 24 * 3600
"""Seconds for which a vendor may fetch the moderation copy, as long as the item is under moderation."""


class Moderation:
    """Submission and polling."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    def _vendor(self, name: str) -> ModerationVendor:
        try:
            return self._deps.vendors[name or self._deps.settings.vendor_name]
        except KeyError:
            raise InvalidRequest(f"No vendor is named {name!r} here: add it to MEDIAGATE_VENDORS.") from None

    @activity.defn
    async def submit_for_moderation(self, ref: SubmitInput) -> SubmitResult:
        """Hand the vendor a signed URL of the moderation copy; the media id makes a second submission the same one.

        The row says `awaiting_moderation` before the vendor is called, because the URL can be read only in that
        status and the vendor's answer may come before its receipt. Whatever is in the inbox by then is handed on. A
        vendor that gave its final word already, or did so about the same content before, is not called.
        """
        media_id, vendor = UUID(ref.media_id), self._vendor(ref.vendor)
        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(media_id, lock=True)
            rows = await tx.media.variants(media_id)
            if media.status == Status.PROCESSING or media.status == Status.FAILED:
                await tx.media.move(media, Status.AWAITING_MODERATION)
            copies = {row.frame: row for row in rows if row.name == VariantName.MODERATION}
            submission = self._submission(ref, media, copies, vendor.name)
            begun = await self._begin(tx, submission, copies, vendor)
            answered = await self._is_answered(tx, media, begun, ref.library)
            call = VendorCall(self._deps, vendor.name, media.library_id)
            if not answered:
                await call.admitted(tx)
        said = () if answered else await self._submit(call, vendor, media, submission, copies)
        return await self._result(media, vendor, said)

    @activity.defn
    async def poll_vendor(self, ref: PollInput) -> PollResult:
        """Ask a vendor for a result whose webhook did not come; one that is here by now is not asked for again."""
        media_id, vendor = UUID(ref.media_id), self._vendor(ref.vendor)
        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(media_id)
            submission = await tx.vendors.submission(media_id, vendor.name)
            events = await _final_words(tx, media_id, vendor.name)
            call = None
            if not events and vendor.capabilities.polls:
                call = VendorCall(self._deps, vendor.name, media.library_id)
                await call.admitted(tx)
        if call:
            reference = submission.reference if submission else ""
            events = await call.make(lambda: _polled(vendor, ref.media_id, reference))
        async with self._deps.db.transaction() as tx:
            await _keep(tx, media, events)
            key = f"polled:{activity.info().activity_id}"
            await tx.media.record(media_id, key, "polled", {"vendor": vendor.name, "events": len(events)})
            if call:
                await call.succeeded(tx)
        return PollResult(events=tuple(events))

    async def _begin(
        self, tx: Transaction, submission: Submission, copies: Mapping[int, MediaVariant], vendor: ModerationVendor
    ) -> VendorSubmission:
        from db.tables import VendorSubmission

        kept = self._deps.settings.vendor(vendor.name).cache_for
        digests = [copies[frame].sha256 for frame in sorted(copies)] if kept else []
        caption = submission.caption if vendor.capabilities.texts else None
        row = VendorSubmission(
            media_id=UUID(submission.media_id),
            vendor=vendor.name,
            model_version=vendor.capabilities.model_version,
            content=content_digest(digests, caption),
        )
        return await tx.vendors.begin(row)

    async def _is_answered(self, tx: Transaction, media: Media, submission: VendorSubmission, library: str) -> bool:
        """True if nobody need be called: the vendor answered a submission of this item, or of the same content."""
        from db.tables import now

        vendor = submission.vendor
        if submission.submitted_at or submission.cached_from:
            return bool(await _final_words(tx, media.id, vendor))
        if not self._deps.flags.on(Switch.VENDOR_RESULT_CACHE, str(media.id), library=library, vendor=vendor):
            return False
        since = now() - timedelta(seconds=self._deps.settings.vendor(vendor).cache_for)
        event = await tx.vendors.said_before(submission, media.library_id, since=since)
        if event is None:
            return False
        submission.cached_from, submission.answered_at = UUID(event.raw[CACHED_FROM]), now()
        await tx.inbox.put_own(event, tracking_id=media.tracking_id)
        facts = {"vendor": vendor, "verdict": event.verdict.value, "from": event.raw[CACHED_FROM]}
        await tx.media.record(media.id, f"cached:{vendor}", "cached", facts)
        await tx.vendors.count(vendor, media.library_id, cached=1)
        count_cache_hit(vendor)
        return True

    async def _submit(
        self,
        call: VendorCall,
        vendor: ModerationVendor,
        media: Media,
        submission: Submission,
        copies: Mapping[int, MediaVariant],
    ) -> tuple[VendorEvent, ...]:
        """Call the vendor and keep its receipt; what it said at once."""
        order = sorted(copies)

        async def read(place: int) -> bytes:
            return await self._deps.store.get_bytes(copies[order[place]].key, max_bytes=MODERATION.max_bytes)

        receipt = await call.make(lambda: _submitted(vendor, submission, read))
        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(media.id, lock=True)
            media.vendor_reference = receipt.reference
            row = await tx.vendors.submission(media.id, vendor.name, lock=True)
            assert row is not None
            # The media id makes a second submission the same one, but not for who answers each call at once.
            billed = receipt.calls if row.submitted_at is None or _answers_at_once(vendor) else 0
            await tx.vendors.took(row, receipt.reference, calls=billed)
            await _keep(tx, media, receipt.events)
            await tx.media.record(media.id, f"submitted:{vendor.name}", "submitted", {"vendor": vendor.name})
            await call.succeeded(tx, cost_micros=billed * self._price(vendor))
        return receipt.events

    async def _result(self, media: Media, vendor: ModerationVendor, said: Iterable[VendorEvent]) -> SubmitResult:
        """The receipt with all that is in the inbox.

        A transaction after the one that made the reference known: whatever came by it before is found here, and
        whatever comes later finds the item itself.
        """
        async with self._deps.db.transaction() as tx:
            row = await tx.vendors.submission(media.id, vendor.name)
            reference = row.reference if row else ""
            for early in await tx.inbox.claim(vendor.name, reference, media.id):
                await note(tx, media, early)
            heard = await tx.inbox.heard(media.id)
        known = {(event.vendor, event.event_id) for event in heard}
        return SubmitResult(
            vendor=vendor.name,
            reference=reference,
            events=(*heard, *(event for event in said if (event.vendor, event.event_id) not in known)),
            closed=_answers_at_once(vendor) and not vendor.capabilities.polls,
        )

    def _price(self, vendor: ModerationVendor) -> int:
        """Millionths of a US dollar for a billed unit."""
        agreed = self._deps.settings.vendor(vendor.name).cost_micros
        return vendor.capabilities.cost_micros if agreed is None else agreed

    def _submission(self, ref: MediaRef, media: Media, copies: Mapping[int, MediaVariant], vendor: str) -> Submission:
        """`copies`: the moderation copies by frame; 0 is the picture itself, an animation's poster."""
        settings, expires_at = self._deps.settings, int(time.time()) + COPY_LIFETIME

        def url(frame: int) -> str:
            file = VariantFile(VariantName.MODERATION, frame=frame)
            query = self._deps.signer.query(
                ref.media_id,
                str(file),
                library=ref.library,
                version=version_of(copies[frame].sha256 if frame in copies else ""),
                purpose=Purpose.MODERATION,
                expires_at=expires_at,
            )
            return file_url(settings.public_url, ref.media_id, str(file), query)

        return Submission(
            media_id=ref.media_id,
            workflow_id=workflow_id(ref.media_id),
            tracking_id=ref.tracking_id,
            media_url=url(0),
            frame_urls=tuple(url(frame) for frame in sorted(copies) if frame),
            callback_url=f"{settings.public_url}/api/v1/webhooks/moderation/{vendor}",
            caption=media.caption,
            sha256=copies[0].sha256 if 0 in copies else "",
            content_type="image/jpeg",
        )


async def _submitted(vendor: ModerationVendor, submission: Submission, read: ReadCopy) -> SubmissionReceipt:
    receipt = await vendor.submit(submission, read)
    return receipt.model_copy(update={"events": tuple(_about(submission.media_id, receipt.events))})


async def _polled(vendor: ModerationVendor, media_id: str, reference: str) -> list[VendorEvent]:
    return _about(media_id, await vendor.poll(media_id, reference=reference))


def _about(media_id: str, events: Iterable[VendorEvent]) -> list[VendorEvent]:
    """The events, each of which names the item; one about another item would be that one's verdict."""
    named = [event if event.media_id else event.model_copy(update={"media_id": media_id}) for event in events]
    if any(event.media_id != media_id for event in named):
        raise VendorUnavailable(f"The moderation vendor answered for another item than {media_id}.")
    return named


async def _keep(tx: Transaction, media: Media, events: Iterable[VendorEvent]) -> None:
    """Put what came without a webhook beside what webhooks brought. Idempotent."""
    for event in events:
        await tx.inbox.put_own(event, tracking_id=media.tracking_id)
        await tx.vendors.answered(media.library_id, event)


async def _final_words(tx: Transaction, media_id: UUID, vendor: str) -> list[VendorEvent]:
    return [event for event in await tx.inbox.heard(media_id) if event.vendor == vendor and event.settles]


def _answers_at_once(vendor: ModerationVendor) -> bool:
    return vendor.capabilities.answers is Answers.AT_ONCE
