"""Pictures made of the upload; all CPU work of the gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from temporalio import activity

from activities import heartbeats
from mediagate.errors import ObjectMissing, TooLarge, WatermarkUnusable
from mediagate.media.values import MEDIUM, MIB, MODERATION, ORIGINAL, THUMB, ImageFacts, VariantName, WatermarkSpec
from mediagate.storage import keys
from workflows.messages import MediaRef, StepResult

if TYPE_CHECKING:
    from pathlib import Path

    from activities.deps import Deps
    from mediagate.imaging import Rendering as Picture
    from mediagate.imaging import Watermark

T = TypeVar("T")

MAX_WATERMARK_BYTES = 4 * MIB


@dataclass(frozen=True)
class _Source:
    path: Path
    facts: ImageFacts
    watermark: Watermark | None
    marked: frozenset[VariantName]


class Rendering:
    """The marked original and the variants, each from the source."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def apply_watermark(self, ref: MediaRef) -> StepResult:
        """Decode in full and write the marked original to `work/`. Idempotent: the bytes are the same each time."""
        from mediagate.imaging import render_marked  # Pillow: not for the processes that only run workflows

        def render(source: _Source) -> list[Picture]:
            mark = source.watermark if VariantName.ORIGINAL in source.marked else None
            return [render_marked(source.path, source.facts, ORIGINAL, mark)]

        return await self._render(ref, render, "original")

    @activity.defn
    async def build_variants(self, ref: MediaRef) -> StepResult:
        """Decode scaled and write medium, thumb and moderation copy to `work/`. Idempotent as above."""
        from mediagate.imaging import render_variants

        def render(source: _Source) -> list[Picture]:
            specs = (MODERATION, MEDIUM, THUMB)
            return render_variants(source.path, source.facts, specs, source.watermark, source.marked)

        return await self._render(ref, render, "variants")

    async def _render(self, ref: MediaRef, render: Callable[[_Source], list[Picture]], step: str) -> StepResult:
        from mediagate.imaging import Refused

        async with heartbeats.poison_guarded(5):
            try:
                async with self._source(ref) as source:
                    pictures = await self._on_cpu(source.facts.decode_bytes, lambda: render(source))
            except Refused as refused:
                return StepResult(refused=refused.reason, detail=refused.detail)
            await self._store(UUID(ref.media_id), pictures, step)
        return StepResult()

    @asynccontextmanager
    async def _source(self, ref: MediaRef) -> AsyncIterator[_Source]:
        async with self._deps.db.transaction() as tx:
            media, library = await tx.media.with_library(UUID(ref.media_id))
        spec = WatermarkSpec.model_validate(library.settings.get("watermark", {}))
        watermark = await self._watermark(spec)
        hold = self._deps.sources.hold(media.master_key or "", media.sha256 or "", max_bytes=media.bytes or 0)
        async with hold as path:
            facts = ImageFacts.model_validate(media.facts)
            yield _Source(path=path, facts=facts, watermark=watermark, marked=frozenset(spec.variants))

    async def _watermark(self, spec: WatermarkSpec) -> Watermark | None:
        """The library's mark, ready to draw. What is wrong with it is not the uploader's fault: the upload waits."""
        from mediagate.imaging import Refused, Watermark

        if spec.empty:
            return None
        try:
            image = await self._mark_image(spec.image_key) if spec.image_key else None
            return await self._on_cpu(0, lambda: Watermark(spec, image))
        except (Refused, ObjectMissing, TooLarge) as error:
            raise WatermarkUnusable(f"The library's watermark cannot be used: {error}", retry_after=60) from error

    async def _mark_image(self, key: str) -> bytes:
        return await self._deps.store.get_bytes(key, max_bytes=MAX_WATERMARK_BYTES)

    async def _on_cpu(self, nbytes: int, work: Callable[[], T]) -> T:
        def admitted() -> T:
            with self._deps.memory.admit(nbytes):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._deps.cpu, admitted)

    async def _store(self, media_id: UUID, pictures: Sequence[Picture], step: str) -> None:
        """Bytes first, then the rows that name them. An attempt that was given up for dead may come after the filing:
        it leaves nothing.
        """
        variants = []
        for picture in pictures:
            key = keys.work(str(media_id), picture.variant.file)
            await self._deps.store.put(
                key, picture.data, content_type=picture.variant.format.content_type, sha256=picture.variant.sha256
            )
            variants.append(picture.variant.model_copy(update={"key": key}))
        data: dict[str, Any] = {str(v.file): {"width": v.width, "height": v.height, "bytes": v.bytes} for v in variants}
        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(media_id, lock=True)
            if media.filed_at is None:
                await tx.media.put_variants(media_id, variants)
                await tx.media.record(media_id, f"rendered:{step}", "rendered", data)
                return
        for variant in variants:
            await self._deps.store.delete(variant.key)
