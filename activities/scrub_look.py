"""One page's look at the store: what rows name, how it stands, and what is done about it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from activities.recovery.pacing import Throttle
from activities.scrub_repair import BACKUP, MASTER, ON_HOLD, WATERMARK, Expected, put_back
from mediagate.errors import ObjectMissing
from mediagate.storage import keys
from mediagate.storage.copying import Standing, standing
from workflows.storage_messages import DamagedItem, ScrubCounts, ScrubCursor, ScrubInput, ScrubPage

if TYPE_CHECKING:
    from activities.deps import Deps
    from db.session import Transaction
    from db.tables import Library, Media, MediaVariant


class Look:
    """One page's look at the store."""

    def __init__(self, deps: Deps, job: ScrubInput) -> None:
        self._deps, self._job = deps, job
        self._throttle = Throttle(job.bytes_per_second or deps.settings.scrub_rate)
        self._damaged: dict[UUID, list[str]] = {}
        self._intact: list[str] = []
        self._library = ""
        self.counts = job.counts.model_dump()

    async def compare(self, expected: Expected, library: str) -> None:
        """Look at one object, and see to what is wrong with it."""
        from db.tables import FindingKind

        self._library = library
        was = await self._standing(expected)
        if was is not Standing.INTACT and expected.media_id:
            moved = await self._present(expected)  # it may have been filed between the look at the row and this one
            if moved is None:
                return
            expected, was = moved, await self._standing(moved)
        self.counts["rows"] += 1
        self.counts["bytes"] += 0 if was is Standing.MISSING or self._job.quick else expected.bytes
        if was is Standing.INTACT:
            self._intact.append(expected.key)
            return
        kind = FindingKind(was.value)
        facts = {"part": expected.part, "library": library, "media_id": expected.media_id, "bytes": expected.bytes}
        await self.found(expected.key, {**facts, "kind": kind})
        if self._job.repair:
            await self._repair(expected, was)

    async def found(self, key: str, facts: dict[str, object]) -> None:
        """Put a finding on record."""
        self.counts[str(facts["kind"])] += 1
        async with self._deps.db.transaction() as tx:
            await tx.scrubs.find(UUID(self._job.scrub_id), key, facts)

    async def page(self, cursor: ScrubCursor) -> ScrubPage:
        """The result; its numbers go into the scrub's row as well, and what is well again is open no more."""
        from db.tables import FindingState

        async with self._deps.db.transaction() as tx:
            await tx.scrubs.close(self._intact, FindingState.REPAIRED)
            await tx.scrubs.count(UUID(self._job.scrub_id), self.counts)
        damaged = tuple(
            DamagedItem(
                media_id=str(media_id),
                library=self._library,
                scrub_id=self._job.scrub_id,
                keys=tuple(lost),
                actor=self._job.actor,
                via=self._job.via,
            )
            for media_id, lost in self._damaged.items()
        )
        return ScrubPage(cursor=cursor, counts=ScrubCounts(**self.counts), damaged=damaged)

    async def _repair(self, lost: Expected, was: Standing) -> None:
        from db.repositories.audit import Actor

        if not lost.is_picture:
            who = Actor(self._job.actor, self._job.via)
            why = await put_back(self._deps.db, self._deps.store, lost, was, who)
            self.counts["repaired"] += why is None
        else:
            assert lost.media_id
            async with self._deps.db.transaction() as tx:
                held = await tx.evidence.held([lost.media_id])
            why = ON_HOLD if held and was is Standing.ALTERED else ""
            if not why:
                self._damaged.setdefault(lost.media_id, []).append(lost.key)
        if why:
            async with self._deps.db.transaction() as tx:
                await tx.scrubs.explain(lost.key, why)

    async def _standing(self, expected: Expected) -> Standing:
        if not self._job.quick:
            await self._throttle.take(expected.bytes)
            return await standing(self._deps.store, expected.key, expected.sha256)
        try:
            size = (await self._deps.store.stat(expected.key)).size
        except ObjectMissing:
            return Standing.MISSING
        return Standing.INTACT if expected.bytes in {size, 0} else Standing.ALTERED

    async def _present(self, expected: Expected) -> Expected | None:
        """The same part of the item as the rows say by now; None if there is none."""
        assert expected.media_id
        async with self._deps.db.transaction() as tx:
            media = (await tx.scrubs.items([expected.media_id])).get(expected.media_id)
            variants = await tx.media.variants(expected.media_id)
        parts = expected_of(media, variants) if media else []
        return next((one for one in parts if one.part == expected.part), None)


def expected_of(media: Media, variants: Sequence[MediaVariant]) -> list[Expected]:
    """Master and backup first: pictures are made anew from the master."""
    own = ((media.master_key, MASTER), (media.backup_key, BACKUP))
    found = [Expected(key, media.sha256, media.bytes or 0, part, media.id) for key, part in own if key and media.sha256]
    return found + [Expected(row.key, row.sha256, row.bytes, str(row.file), media.id) for row in variants]


async def named(tx: Transaction, found: Collection[str]) -> set[str]:
    """Which of these objects items name, as their rows stand now."""
    items = {UUID(item) for key in found if (item := keys.item_of(key))}
    rows = await tx.scrubs.items(list(items))
    manifests = await tx.media.manifests(rows)
    return {one.key for row in rows.values() for one in expected_of(row, manifests.get(row.id, ()))}.intersection(found)


def watermarks_of(library: Library) -> list[Expected]:
    key = library.watermark.image_key
    return [Expected(key, key.rpartition("/")[2], 0, WATERMARK)] if key else []
