"""Is the stored object what was announced, and may it be opened at all?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from temporalio import activity

from mediagate.errors import ObjectCorrupt, ObjectMissing, ScannerUnavailable
from mediagate.media.values import MIB, Refusal, Status
from workflows.messages import MediaRef, StepResult

if TYPE_CHECKING:
    from pathlib import Path

    from activities.deps import Deps
    from db.session import Transaction
    from db.tables import Library, Media
    from mediagate.malware.scanner import ScanResult
    from mediagate.media.values import ImageFacts, Limits

HEADER_BYTES = 8 * MIB
"""What looking at a picture's header takes beyond the file itself."""

SCAN_TRIES = 5
"""So often a scan that the scanner cannot bring to its end is tried: full disks pass, files that defeat it do not."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Verified:
    """An item whose stored object is what was announced, and what its header says."""

    media: Media
    library: Library
    facts: ImageFacts


class Verifying:
    """The check of the stored object."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def verify(self, ref: MediaRef) -> Verified | StepResult:
        """Compare the sealed object with its receipt, have it scanned for malware, and compare its header with the
        limits; the caller keeps the facts. Nothing of it is decoded before the scan.

        Idempotent. A refusal is a result, never an error.

        Raises:
            ScannerUnavailable: the scanner is away, and uploads wait for it (`clamd_fail_closed`).
        """
        async with self._deps.db.transaction() as tx:
            media, library = await tx.media.with_library(UUID(ref.media_id))
            # A reset may bring an item back here that stands further on: it stays there until it is filed anew.
            if media.status in {Status.ACCEPTED, Status.FAILED}:
                await tx.media.move(media, Status.PROCESSING)
        limits = self._deps.settings.limits(library.settings)
        try:
            async with self._deps.sources.hold(
                media.master_key or "", media.sha256 or "", max_bytes=limits.max_bytes
            ) as path:
                facts = await self._scan(path, media, ref) or await self._inspect(path, media, limits)
        except ObjectMissing:
            return StepResult(refused=Refusal.OBJECT_MISSING, detail="The uploaded object is gone.")
        except ObjectCorrupt as error:
            return StepResult(refused=Refusal.HASH_MISMATCH, detail=error.message)
        if isinstance(facts, StepResult):
            return facts
        return Verified(media, library, facts)

    async def _scan(self, path: Path, media: Media, ref: MediaRef) -> StepResult | None:
        """What the malware scanner has against the file; None if nothing, or if nobody is asked."""
        from mediagate.malware.scanner import ScanOutcome

        if self._deps.scanner is None:
            return None
        try:
            said = _decided(await self._deps.scanner.scan(path))
        except ScannerUnavailable as error:
            if self._deps.settings.clamd_fail_closed:
                raise
            await self._note_unscanned(media, ref, error.message)
            return None
        if said.outcome is ScanOutcome.CLEAN:
            return None
        if said.outcome is ScanOutcome.INFECTED:
            log.warning("malware.found", media_id=ref.media_id, signature=said.detail)
            return StepResult(refused=Refusal.MALWARE, detail=said.detail)
        if self._deps.settings.clamd_fail_closed:
            return StepResult(refused=Refusal.UNSCANNABLE, detail=f"The malware scanner gave up on it: {said.detail}")
        await self._note_unscanned(media, ref, said.detail)
        return None

    async def _note_unscanned(self, media: Media, ref: MediaRef, why: str) -> None:
        """On the item's timeline; admins are told once an hour, however many uploads go by."""
        from db.tables import Notification
        from mediagate.notify.render import MailKind, render

        hour = datetime.now(UTC).strftime("%Y-%m-%dT%H")
        title = f"Uploads to {ref.library} are not scanned for malware"
        detail = f"{why} MEDIAGATE_CLAMD_FAIL_CLOSED is off, so they go on (docs/runbooks/malware.md)."
        facts = {"title": title, "detail": detail, "since": f"{hour}:00 UTC", "library": ref.library}
        subject, body = render(MailKind.SYSTEM_ALERT, facts)
        async with self._deps.db.transaction() as tx:
            await tx.media.record(media.id, "unscanned", "unscanned", {"why": why})
            await tx.notifications.put(
                Notification(
                    library_id=media.library_id,
                    key=f"{media.library_id}:unscanned:{hour}",
                    kind="unscanned",
                    subject=subject,
                    body=body,
                    tracking_id=ref.tracking_id,
                )
            )

    async def _inspect(self, path: Path, media: Media, limits: Limits) -> ImageFacts | StepResult:
        from mediagate.imaging import Refused, inspect  # Pillow: not for the processes that only run workflows

        try:
            return await self._deps.pictures.run(
                HEADER_BYTES + 2 * (media.bytes or 0), inspect, path, declared_type=media.content_type, limits=limits
            )
        except Refused as refused:
            return StepResult(refused=refused.reason, detail=refused.detail)


async def keep_facts(tx: Transaction, media: Media, facts: ImageFacts) -> None:
    """Put what the header says on the row, which is locked, and on the timeline. Idempotent."""
    media.facts = facts.model_dump(mode="json")
    media.width, media.height = facts.width, facts.height
    said = {"sha256": media.sha256, "bytes": media.bytes, "format": facts.format, "frames": facts.frames}
    await tx.media.record(media.id, "verified", "verified", said)


def _decided(said: ScanResult) -> ScanResult:
    """The scanner's word, once it will not change any more.

    Raises:
        ScannerUnavailable: it may, by another try.
    """
    from mediagate.malware.scanner import ScanOutcome

    if said.outcome is ScanOutcome.FAILED and activity.info().attempt < SCAN_TRIES:
        raise ScannerUnavailable(f"The malware scanner could not bring the scan to its end: {said.detail}")
    return said
