"""Pictures made of the upload; all CPU work of the gate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from temporalio import activity

from activities import heartbeats
from activities.detecting import in_banks, in_texts
from activities.switches import Steps
from activities.verifying import Verified, Verifying, keep_facts
from mediagate.errors import ClassifierUnusable, DecoderDied, ObjectMissing, TooLarge, WatermarkUnusable
from mediagate.flags import Switch
from mediagate.media.renditions import ImagePolicy, upload_specs
from mediagate.media.values import MIB, ImageFacts, Variant, VariantName, VariantSpec, WatermarkSpec
from mediagate.storage import keys
from workflows.messages import MediaRef, StepResult

if TYPE_CHECKING:
    from pathlib import Path

    from activities.deps import Deps
    from db.tables import Library, Media
    from mediagate.imaging import Rendering as Picture
    from mediagate.imaging.jobs import Mark, Rendered
    from mediagate.moderation.findings import VendorEvent

MAX_WATERMARK_BYTES = 4 * MIB


@dataclass(frozen=True)
class Source:
    """An upload's bytes on this worker's disk, and how its library wants them shown."""

    media: Media
    library: Library
    path: Path
    facts: ImageFacts
    policy: ImagePolicy
    mark: Mark


class Rendering:
    """What every upload gets: the marked original and the variants."""

    def __init__(self, deps: Deps, verifying: Verifying) -> None:
        self._deps = deps
        self._verifying = verifying

    @activity.defn
    async def verify_and_render(self, ref: MediaRef) -> StepResult:
        """Check the sealed object; then write original, medium, thumb and the unmarked moderation copies to `work/`,
        all from one download and one decode.

        Idempotent: the bytes are the same each time. A refusal is a result, never an error.

        Raises:
            ScannerUnavailable: the malware scanner is away, and uploads wait for it (`clamd_fail_closed`).
        """
        from mediagate.imaging import Refused  # Pillow: not for the processes that only run workflows

        async with heartbeats.poison_guarded(5):
            verified = await self._verifying.verify(ref)
            if isinstance(verified, StepResult):
                return verified
            if activity.info().attempt > 1:  # the pictures may never be made: what is known of the file is kept now
                await self._keep_facts(verified)
            try:
                async with source_of(self._deps, verified.media, verified.library, verified.facts) as source:
                    made = await rendered(self._deps, source, upload_specs(source.policy))
            except Refused as refused:
                await self._keep_facts(verified)
                return StepResult(refused=refused.reason, detail=refused.detail)
            steps = Steps(self._deps.flags, source.media, source.library)
            said = [*await self._classified(ref, made, steps), *await in_texts(source.media, source.library, steps)]
            events = await self._keep(verified, made, said, steps, tracking_id=ref.tracking_id)
        return StepResult(events=tuple(events))

    async def _classified(self, ref: MediaRef, made: Rendered, steps: Steps) -> list[VendorEvent]:
        """What the local model says of the moderation copies, if there is a model."""
        from mediagate.wiring import classifier_config

        config = classifier_config(self._deps.settings)
        if config is None or not steps.may(Switch.LOCAL_CLASSIFIER):
            return []
        from mediagate.classifier import classify, event

        copies = [one.data for one in made.pictures if one.variant.name is VariantName.MODERATION]
        try:
            said = await self._deps.pictures.run(0, classify, config, copies)
        except DecoderDied as error:  # no fault of the file, which was decoded by now
            raise ClassifierUnusable(f"The local model cannot be run: {error.message}") from error
        return [event(ref.media_id, said, at=datetime.now(UTC))]

    async def _keep_facts(self, verified: Verified) -> None:
        async with self._deps.db.transaction() as tx:
            await keep_facts(tx, await tx.media.get(verified.media.id, lock=True), verified.facts)

    async def _keep(
        self, verified: Verified, made: Rendered, said: list[VendorEvent], steps: Steps, *, tracking_id: str
    ) -> list[VendorEvent]:
        """Bytes first, then the rows that name them. An attempt that was given up for dead may come after the filing:
        it leaves nothing. What all of the gate's own detectors say, hash banks too.
        """
        media_id = verified.media.id
        variants = [
            await stored(self._deps, picture, keys.work(str(media_id), picture.variant.file))
            for picture in made.pictures
        ]
        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(media_id, lock=True)
            await keep_facts(tx, media, verified.facts)
            if media.filed_at is None:
                await tx.media.put_variants(media_id, variants)
                await tx.fingerprints.put(media_id, media.library_id, made.phash)
                await tx.media.record(media_id, "rendered:upload", "rendered", sizes(variants))
                events = [*said]
                if steps.may(Switch.HASH_BANKS):
                    events += await in_banks(tx, media, verified.library, made.phash)
                await steps.note(tx)
                for event in events:
                    await tx.inbox.put_own(event, tracking_id=tracking_id)
                return events
        for variant in variants:
            await self._deps.store.delete(variant.key)
        return []


@asynccontextmanager
async def opened_source(deps: Deps, ref: MediaRef) -> AsyncIterator[Source]:
    """As `source_of`, of an item that was verified before."""
    async with deps.db.transaction() as tx:
        media, library = await tx.media.with_library(UUID(ref.media_id))
    async with source_of(deps, media, library, ImageFacts.model_validate(media.facts)) as source:
        yield source


@asynccontextmanager
async def source_of(deps: Deps, media: Media, library: Library, facts: ImageFacts) -> AsyncIterator[Source]:
    """The sealed master, held on disk, with its library's wishes.

    Raises:
        WatermarkUnusable: the image of the library's mark is gone or too large.
    """
    from mediagate.imaging.jobs import Mark

    spec = library.watermark
    mark = Mark(spec, await _mark_image(deps, spec), deps.settings.watermark_font)
    hold = deps.sources.hold(media.master_key or "", media.sha256 or "", max_bytes=media.bytes or 0)
    async with hold as path:
        yield Source(media, library, path, facts, library.images, mark)


async def rendered(deps: Deps, source: Source, specs: Sequence[VariantSpec]) -> Rendered:
    """Pictures made in the pool. Raises Refused, WatermarkUnusable, DecoderDied."""
    from mediagate.imaging.jobs import render

    return await deps.pictures.run(
        source.facts.decode_bytes, render, source.path, source.facts, tuple(specs), source.mark
    )


async def stored(deps: Deps, picture: Picture, key: str) -> Variant:
    """Put a picture's bytes where `key` says; its line of the manifest."""
    variant = picture.variant
    await deps.store.put(key, picture.data, content_type=variant.format.content_type, sha256=variant.sha256)
    return variant.model_copy(update={"key": key})


def sizes(variants: Sequence[Variant]) -> dict[str, Any]:
    """For the timeline."""
    return {str(v.file): {"width": v.width, "height": v.height, "bytes": v.bytes} for v in variants}


async def _mark_image(deps: Deps, spec: WatermarkSpec) -> bytes | None:
    if spec.empty or not spec.image_key:
        return None
    try:
        return await deps.store.get_bytes(spec.image_key, max_bytes=MAX_WATERMARK_BYTES)
    except (ObjectMissing, TooLarge) as error:
        raise WatermarkUnusable(f"The library's watermark cannot be used: {error}", retry_after=60) from error
