"""Words exchanged with the moderation vendor."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import UUID

from temporalio import activity

from mediagate.access.delivery import Purpose, file_url, version_of
from mediagate.errors import InvalidRequest
from mediagate.media.values import MODERATION, Status, VariantFile, VariantName
from mediagate.moderation.findings import VendorEvent
from workflows.messages import MediaRef, PollInput, PollResult, SubmitInput, SubmitResult
from workflows.names import workflow_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from activities.deps import Deps
    from db.tables import Media, MediaVariant
    from mediagate.vendors.interface import ModerationVendor, Submission

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
        status and the vendor's answer may come before its receipt. Events that came earlier still are picked up from
        the inbox.
        """
        media_id, vendor = UUID(ref.media_id), self._vendor(ref.vendor)
        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(media_id, lock=True)
            rows = await tx.media.variants(media_id)
            if media.status == Status.PROCESSING or media.status == Status.FAILED:
                await tx.media.move(media, Status.AWAITING_MODERATION)
        copies = {row.frame: row for row in rows if row.name == VariantName.MODERATION}
        order = sorted(copies)

        async def read(place: int) -> bytes:
            return await self._deps.store.get_bytes(copies[order[place]].key, max_bytes=MODERATION.max_bytes)

        receipt = await vendor.submit(self._submission(ref, media, copies, vendor.name), read)
        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(media_id, lock=True)
            media.vendor_reference = receipt.reference
            await tx.media.record(media_id, f"submitted:{vendor.name}", "submitted", {"vendor": vendor.name})
            stored = await tx.inbox.of_media(media_id)
        early = [VendorEvent.model_validate(row.event) for row in stored]
        return SubmitResult(vendor=vendor.name, reference=receipt.reference, events=(*receipt.events, *early))

    @activity.defn
    async def poll_vendor(self, ref: PollInput) -> PollResult:
        """Ask the vendor for a result whose webhook did not come. Reads only."""
        events = await self._vendor(ref.vendor).poll(ref.media_id)
        async with self._deps.db.transaction() as tx:
            key = f"polled:{activity.info().activity_id}"
            await tx.media.record(UUID(ref.media_id), key, "polled", {"events": len(events)})
        return PollResult(events=tuple(events))

    def _submission(self, ref: MediaRef, media: Media, copies: Mapping[int, MediaVariant], vendor: str) -> Submission:
        """`copies`: the moderation copies by frame; 0 is the picture itself, an animation's poster."""
        from mediagate.vendors.interface import Submission

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
