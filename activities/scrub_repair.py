"""Putting back what was lost or altered: masters and backups from an intact copy, pictures from the master.

On legal hold nothing is written over: an altered object may be what the case is about. What is missing is put back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from temporalio import activity

from activities import heartbeats
from activities.rendering import opened_source, rendered
from mediagate.errors import MediagateError, ObjectCorrupt, ObjectMissing
from mediagate.media.renditions import ImagePolicy, public_specs, upload_specs
from mediagate.media.values import ImageFormat, Variant, VariantFile, VariantSpec
from mediagate.storage.copying import Standing, copy_verified, standing
from workflows.storage_messages import DamagedItem

if TYPE_CHECKING:
    from activities.deps import Deps
    from activities.rendering import Source
    from db.repositories.audit import Actor
    from db.session import Database
    from db.tables import Media, MediaVariant
    from mediagate.imaging import Rendering as Picture
    from mediagate.storage.store import ObjectStore

MASTER, BACKUP, WATERMARK = "master", "backup", "watermark"
"""Parts of a finding that are no pictures."""
ON_HOLD = "it is on legal hold, so what is there is not written over"
_TWINS = 5
"""Items with the same bytes that are asked for theirs."""


@dataclass(frozen=True)
class Expected:
    """An object that a row names. `part`: as `ScrubFinding.part`."""

    key: str
    sha256: str
    bytes: int
    part: str
    media_id: UUID | None = None

    @property
    def is_picture(self) -> bool:
        """True if it can be made anew from the master."""
        return self.part not in {MASTER, BACKUP, WATERMARK}


async def put_back(db: Database, store: ObjectStore, lost: Expected, was: Standing, who: Actor) -> str | None:
    """Put a master or a backup back from another copy of the same bytes: the item's own other one, or that of an item
    of the library with the same file. None if that is done, else why it is not. Idempotent.
    """
    if lost.media_id is None:
        return "there is no copy of it here"
    async with db.transaction() as tx:
        media, library = await tx.media.with_library(lost.media_id)
        held = await tx.evidence.held([media.id])
        twins = await tx.fingerprints.exact(media, limit=_TWINS)
    if held and was is Standing.ALTERED:
        return ON_HOLD
    copies = [key for one in (media, *twins) for key in (one.master_key, one.backup_key) if key and key != lost.key]
    for copy in copies:
        if await standing(store, copy, lost.sha256) is Standing.INTACT:
            break
    else:
        return "there is no intact copy of it here"
    try:
        await copy_verified(store, copy, lost.key, lost.sha256)
    except (ObjectMissing, ObjectCorrupt) as error:  # the copy was lost in this very moment
        return error.message
    await _record(db, media, library.slug, {"part": lost.part, "was": was.value, "from": copy}, lost.key, who)
    return None


async def _record(db: Database, media: Media, library: str, facts: dict[str, object], key: str, who: Actor) -> None:
    from db.tables import FindingState

    async with db.transaction() as tx:
        await tx.scrubs.close([key], FindingState.REPAIRED, f"from {facts['from']}")
        at = activity.info().started_time.isoformat() if activity.in_activity() else ""
        await tx.media.record(media.id, f"restored:{key}:{at}", "restored", facts)
        await tx.audit.note("storage.repaired", f"media:{media.id}", who, library=library, data={**facts, "key": key})


class ScrubRepair:
    """Makes lost pictures anew."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def rebuild_pictures(self, item: DamagedItem) -> int:
        """Render the pictures whose objects are lost or altered, and put them where their rows say. Idempotent.

        The bytes are the same as before, as long as the library's settings and the engine are; where they are not, the
        row gets the new digest.
        """
        from db.repositories.audit import Actor

        who, db = Actor(item.actor, item.via), self._deps.db
        async with heartbeats.poison_guarded(5):
            async with db.transaction() as tx:
                rows = [row for row in await tx.media.variants(UUID(item.media_id)) if row.key in item.keys]
            try:
                async with opened_source(self._deps, item) as source:
                    pictures = await self._pictures(source, rows)
                    return sum([await self._replace(source, row, pictures, who) for row in rows])
            except (ObjectMissing, ObjectCorrupt):
                await self._explain(item.keys, "its master is lost or altered as well")
            except MediagateError as error:
                if error.retryable:
                    raise
                await self._explain(item.keys, error.message)
        return 0

    async def _pictures(self, source: Source, rows: list[MediaVariant]) -> dict[VariantFile, Picture]:
        """All pictures of each group that lost one: what a picture looks like to the byte depends on its company."""
        lost = {(row.file.name, row.file.format) for row in rows}
        found: dict[VariantFile, Picture] = {}
        for group in _made_together(source.policy):
            if any((spec.name, spec.format) in lost for spec in group):
                made = await rendered(self._deps, source, group)
                found |= {picture.variant.file: picture for picture in made.pictures}
        return found

    async def _replace(
        self, source: Source, row: MediaVariant, pictures: dict[VariantFile, Picture], who: Actor
    ) -> bool:
        picture = pictures.get(row.file)
        if picture is None:
            await self._explain([row.key], "the library's settings ask for no such picture any more")
            return False
        variant: Variant = picture.variant.model_copy(update={"key": row.key})
        content_type = variant.format.content_type
        await self._deps.store.put(row.key, picture.data, content_type=content_type, sha256=variant.sha256)
        async with self._deps.db.transaction() as tx:
            await tx.media.get(row.media_id, lock=True)
            present = await tx.media.variant(row.media_id, row.file)
            still = present is not None and present.key == row.key
            if still and variant.sha256 != row.sha256:
                await tx.media.put_variants(row.media_id, [variant])
        if not still:  # it was filed elsewhere meanwhile, from a copy that was there
            await self._deps.store.delete(row.key)
            return False
        facts: dict[str, object] = {"part": str(row.file), "from": "the master"}
        await _record(self._deps.db, source.media, source.library.slug, facts, row.key, who)
        return True

    async def _explain(self, keys: tuple[str, ...] | list[str], why: str) -> None:
        async with self._deps.db.transaction() as tx:
            for key in keys:
                await tx.scrubs.explain(key, why)


def _made_together(policy: ImagePolicy) -> list[list[VariantSpec]]:
    """As upload and renditions make them."""
    upload = list(upload_specs(policy))
    files = {spec.file for spec in upload}
    more = [spec for file, spec in public_specs(policy).items() if file not in files]
    return [upload, *([spec for spec in more if (spec.format is ImageFormat.AVIF) is slow] for slow in (False, True))]
