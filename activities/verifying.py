"""Is the stored object what was announced, and may it be opened at all?"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from temporalio import activity

from activities import heartbeats
from mediagate.errors import ObjectCorrupt, ObjectMissing
from mediagate.media.values import MIB, Refusal, Status
from workflows.messages import MediaRef, StepResult

if TYPE_CHECKING:
    from pathlib import Path

    from activities.deps import Deps
    from db.tables import Media
    from mediagate.media.values import ImageFacts, Limits

HEADER_BYTES = 8 * MIB
"""What looking at a picture's header takes beyond the file itself."""


class Verifying:
    """The check of the stored object."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def verify_object(self, ref: MediaRef) -> StepResult:
        """Compare the sealed object with its receipt and its header with the limits; keep the facts.

        Idempotent: reads, and writes the same facts again. A refusal is a result, never an error.
        """
        async with self._deps.db.transaction() as tx:
            media, library = await tx.media.with_library(UUID(ref.media_id))
            # A reset may bring an item back here that stands further on: it stays there until it is filed anew.
            if media.status in {Status.ACCEPTED, Status.FAILED}:
                await tx.media.move(media, Status.PROCESSING)
        limits = self._deps.settings.limits(library.settings)
        try:
            async with (
                heartbeats.poison_guarded(5),
                self._deps.sources.hold(media.master_key or "", media.sha256 or "", max_bytes=limits.max_bytes) as path,
            ):
                facts = await self._inspect(path, media, limits)
        except ObjectMissing:
            return StepResult(refused=Refusal.OBJECT_MISSING, detail="The uploaded object is gone.")
        except ObjectCorrupt as error:
            return StepResult(refused=Refusal.HASH_MISMATCH, detail=error.message)
        if isinstance(facts, StepResult):
            return facts
        await self._keep(media.id, facts)
        return StepResult()

    async def _inspect(self, path: Path, media: Media, limits: Limits) -> ImageFacts | StepResult:
        from mediagate.imaging import Refused, inspect  # Pillow: not for the processes that only run workflows

        try:
            return await self._deps.pictures.run(
                HEADER_BYTES + 2 * (media.bytes or 0), inspect, path, declared_type=media.content_type, limits=limits
            )
        except Refused as refused:
            return StepResult(refused=refused.reason, detail=refused.detail)

    async def _keep(self, media_id: UUID, facts: ImageFacts) -> None:
        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(media_id, lock=True)
            media.facts = facts.model_dump(mode="json")
            media.width, media.height = facts.width, facts.height
            await tx.media.record(
                media_id,
                "verified",
                "verified",
                {"sha256": media.sha256, "bytes": media.bytes, "format": facts.format, "frames": facts.frames},
            )
