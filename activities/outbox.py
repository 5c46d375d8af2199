"""The row is the outbox: an accepted item owes a start, and anybody may pay it, any number of times."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from workflows.messages import UploadInput, Waits

if TYPE_CHECKING:
    from db.session import Database
    from db.tables import Library, Media
    from mediagate.settings import Settings
    from workflows.client import Flows


async def start_upload(db: Database, flows: Flows, settings: Settings, media: Media, library: Library) -> None:
    """Start the run of an accepted item and note it on the row. Idempotent.

    Raises:
        WorkflowsUnavailable: the start is still owed; the sweep pays it.
        DatabaseUnavailable: the run exists, the note is missing; the sweep finds the run and writes it.
    """
    upload = UploadInput(
        media_id=str(media.id),
        library=library.slug,
        tracking_id=media.tracking_id,
        filename=media.filename,
        batch_id=str(media.batch_id) if media.batch_id else None,
        waits=Waits(
            vendor=timedelta(seconds=settings.vendor_wait),
            polls=settings.vendor_polls,
            review=timedelta(seconds=settings.review_deadline),
        ),
    )
    run_id = await flows.start_upload(upload, link=f"{settings.public_url}/api/v1/media/{media.id}")
    async with db.transaction() as tx:
        await tx.media.mark_started(media.id, run_id)
        await tx.media.record(media.id, "started", "started", {"run_id": run_id})
