"""The row is the outbox: an accepted item owes a start, and anybody may pay it, any number of times."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from mediagate.errors import Unavailable
from mediagate.moderation.lanes import Lane, lane_of
from mediagate.moderation.policy import Policy
from workflows.messages import UploadInput, VendorAsk, Waits

if TYPE_CHECKING:
    from db.session import Database
    from db.tables import Library, Media
    from mediagate.settings import Settings, VendorSettings
    from workflows.client import Flows

log = structlog.get_logger()

LOST_RUN = ""
"""In place of the run id of an item whose run a restore lost: its next one takes the place of whatever is there."""
CALL_MARGIN = 15.0
"""Seconds that an attempt has beyond the vendor's own time: for the rows, and for reading pictures."""


async def start_upload(db: Database, flows: Flows, settings: Settings, media: Media, library: Library) -> None:
    """Start the run of an accepted item and note it on the row. Idempotent.

    Raises:
        WorkflowsUnavailable: the start is still owed; the sweep pays it.
        DatabaseUnavailable: the run exists, the note is missing; the sweep finds the run and writes it.
    """
    async with db.transaction() as tx:
        policy = (await tx.policies.active(library)).live
        under_way = await tx.media.under_way(library.id, most=policy.lanes.bulk_from + 1)
        imported = media.batch_id is not None and await tx.imports.find(media.batch_id) is not None
    lane = lane_of(policy.lanes, size=media.bytes or 0, trusted=media.trusted, open_uploads=under_way - 1)
    lane = Lane.BULK if imported else lane
    upload = UploadInput(
        media_id=str(media.id),
        library=library.slug,
        tracking_id=media.tracking_id,
        filename=media.filename,
        batch_id=str(media.batch_id) if media.batch_id else None,
        waits=Waits(
            vendor=timedelta(seconds=settings.vendor_wait),
            polls=settings.vendor_polls,
            review=settings.review_time,
        ),
        ask=vendors_asked(settings, policy, lane),
        lane=lane,
    )
    link = f"{settings.public_url}/api/v1/media/{media.id}"
    run_id = await flows.start_upload(upload, link=link, anew=media.run_id == LOST_RUN)
    async with db.transaction() as tx:
        await tx.media.mark_started(media.id, run_id)
        await tx.media.record(media.id, "started", "started", {"run_id": run_id})


async def start_or_owe(db: Database, flows: Flows, settings: Settings, media: Media, library: Library) -> None:
    """Start the run now if the service answers; else the row owes it and the sweep pays."""
    try:
        await start_upload(db, flows, settings, media, library)
    except Unavailable as error:
        log.warning("upload.start_owed", media_id=str(media.id), error=error.code)


def vendors_asked(settings: Settings, policy: Policy, lane: Lane) -> tuple[VendorAsk, ...]:
    """Whom a run asks, and with how much patience; empty: the deployment's own vendor, as if there were no others.

    A vendor that the policy names and the deployment does not have is asked all the same: its silence is on the
    decision, where leaving it out would not be seen.
    """
    return tuple(_ask(name, settings.vendors.get(name)) for name in policy.asked(lane))


def _ask(name: str, vendor: VendorSettings | None) -> VendorAsk:
    if vendor is None:
        return VendorAsk(name=name)
    return VendorAsk(
        name=name,
        call=timedelta(seconds=vendor.timeout + CALL_MARGIN),
        give_up_after=timedelta(seconds=vendor.give_up_after),
        wait=timedelta(seconds=vendor.wait) if vendor.wait else None,
        own_queue=vendor.calls_per_second is not None,
    )
