"""Further pictures of approved items: siblings, the responsive set, and whatever a change of settings made stale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from temporalio import activity

from activities import heartbeats
from activities.rendering import Source, opened_source, rendered, sizes, stored
from mediagate.errors import NotFound, ObjectMissing
from mediagate.media.renditions import Build, ImagePolicy, public_specs
from mediagate.media.values import ImageFormat, Status, Variant, VariantFile, VariantSpec, WatermarkSpec
from mediagate.storage import keys
from workflows.rendition_messages import RenditionInput, RenditionResult, StaleInput, StalePage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from activities.deps import Deps
    from db.session import Database
    from db.tables import Library, MediaVariant


@dataclass(frozen=True)
class _Owed:
    """What stands between an item's manifest and its library's wishes."""

    make: tuple[VariantSpec, ...]
    drop: tuple[VariantFile, ...]


class Renditions:
    """Brings the pictures of approved items in line with their library's policy."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def build_renditions(self, job: RenditionInput) -> RenditionResult:
        """Make what is missing or stale, take away what is not wanted any more. Idempotent: then nothing is owed.

        AVIF comes last: it takes longer than everything else together. An item that is no longer approved is left
        alone. New bytes get a key of their own, so that a row never names bytes that it does not describe.
        """
        async with heartbeats.poison_guarded(5):
            try:
                async with opened_source(self._deps, job) as source:
                    return await self._settle(source, only_stale=job.only_stale)
            except ObjectMissing:
                async with self._deps.db.transaction() as tx:
                    media = await tx.media.get(UUID(job.media_id))
                if media.status is Status.APPROVED:
                    raise
                return RenditionResult()  # taken down meanwhile, and its master moved

    async def _settle(self, source: Source, *, only_stale: bool) -> RenditionResult:
        owed, made = await self._owed(source, only_stale=only_stale), list[str]()
        for slow in (False, True):
            specs = [spec for spec in owed.make if (spec.format is ImageFormat.AVIF) is slow]
            if specs:
                made += await self._make(source, specs)
        dropped = await self._replace(source, (), owed.drop) if owed.drop else 0
        return RenditionResult(made=tuple(made), dropped=dropped)

    @activity.defn
    async def find_stale(self, job: StaleInput) -> StalePage:
        """`stale_page` for a workflow."""
        return await stale_page(self._deps.db, job)

    async def _owed(self, source: Source, *, only_stale: bool) -> _Owed:
        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(source.media.id)
            rows = await tx.media.variants(media.id)
        if media.status is not Status.APPROVED:
            return _Owed((), ())
        owed = _owed(source.policy, source.mark.spec, rows)
        if only_stale and source.policy.build is Build.LAZY:
            present = {row.file for row in rows}
            return replace(owed, make=tuple(spec for spec in owed.make if spec.file in present))
        return owed

    async def _make(self, source: Source, specs: Sequence[VariantSpec]) -> list[str]:
        media_id, slug = str(source.media.id), source.library.slug
        variants = []
        for picture in (await rendered(self._deps, source, specs)).pictures:
            variant = picture.variant
            key = keys.filed(slug, Status.APPROVED, media_id, variant.file, revision=variant.sha256)
            variants.append(await stored(self._deps, picture, key))
        await self._replace(source, variants, ())
        return [str(variant.file) for variant in variants]

    async def _replace(self, source: Source, variants: Sequence[Variant], drop: Iterable[VariantFile]) -> int:
        """The rows first, then the objects that no row names any more."""
        obsolete: set[str] = set()
        gone = list(drop)
        async with self._deps.db.transaction() as tx:
            media = await tx.media.get(source.media.id, lock=True)
            if media.status is Status.APPROVED:
                old = {row.file: row.key for row in await tx.media.variants(media.id)}
                obsolete = {old[file] for file in [*gone, *(v.file for v in variants)] if file in old}
                obsolete -= {variant.key for variant in variants}
                await tx.media.put_variants(media.id, variants)
                for file in gone:
                    await tx.media.drop_variant(media.id, file)
                if variants:
                    key = f"rendered:{'-'.join(sorted(v.sha256[:8] for v in variants))}"
                    await tx.media.record(media.id, key, "rendered", sizes(variants))
            else:  # taken down meanwhile: nothing new may stay where the public reads
                obsolete = {variant.key for variant in variants}
        for key in obsolete:
            await self._deps.store.delete(key)
        return len(gone)


async def stale_page(db: Database, job: StaleInput) -> StalePage:
    """A page of a library's approved items, and which of them have stale pictures. Reads only.

    Raises:
        NotFound: there is no such library.
    """
    after = (job.after_time, UUID(job.after_id)) if job.after_time and job.after_id else None
    async with db.transaction() as tx:
        library = await tx.access.library(job.library)
        if library is None:
            raise NotFound(f"There is no library {job.library!r}.")
        items = await tx.media.page(library.id, status=Status.APPROVED, q=None, after=after, limit=job.limit)
        manifests = await tx.media.manifests(item.id for item in items)
    stale = tuple(str(item.id) for item in items if _is_stale(library, manifests.get(item.id, ())))
    last = items[-1] if len(items) == job.limit else None
    return StalePage(
        looked_at=len(items),
        stale=stale,
        after_time=last.created_at if last else None,
        after_id=str(last.id) if last else "",
    )


def _owed(policy: ImagePolicy, mark: WatermarkSpec, rows: Sequence[MediaVariant]) -> _Owed:
    from mediagate.imaging.jobs import recipes

    wanted, present = public_specs(policy), {row.file: row.recipe for row in rows}
    current = recipes(wanted.values(), mark)
    make = tuple(spec for file, spec in wanted.items() if present.get(file) != current[file])
    return _Owed(make, tuple(file for file in present if file not in wanted))


def _is_stale(library: Library, rows: Sequence[MediaVariant]) -> bool:
    """Something that is there was made otherwise than it would be now, or is not wanted any more.

    A rendition that is missing is not stale: it is made when it is asked for, or was owed to a run.
    """
    owed = _owed(library.images, library.watermark, rows)
    present = {row.file for row in rows}
    return bool(owed.drop) or any(spec.file in present for spec in owed.make)
