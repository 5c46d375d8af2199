"""Libraries between stores: which steps a move takes, and the objects page by page.

Whatever deletes asks before each time whether the library still is where that is right, so an attempt that was taken
for dead, and is not, does nothing to what others have made of it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog
from temporalio import activity

from activities import heartbeats
from mediagate.errors import Conflict, InvalidRequest, NotFound, StorageUnavailable
from mediagate.storage import keys
from mediagate.storage.mirroring import Guard, Mirrored, Outcome, merged, mirror
from workflows.store_messages import (
    StoreAct,
    StoreBegun,
    StoreCounts,
    StoreMoveInput,
    StorePage,
    StorePageInput,
    StorePlace,
    StoreStage,
)

if TYPE_CHECKING:
    from activities.deps import Deps
    from db.session import Database
    from mediagate.storage.placement import Placement
    from mediagate.storage.store import ObjectStore


log = structlog.get_logger()


class StoreMoving:
    """Steps of copies and moves between stores."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def begin_store_move(self, job: StoreMoveInput) -> StoreBegun:
        """Look where the library is, try both stores, and announce a move. Idempotent: a move that was begun goes on.

        Raises:
            NotFound: there is no such library.
            InvalidRequest: no store of that name is described here, or it is the same bucket under another name.
            Conflict: the library is on its way elsewhere, or lives in the store that is to be cleared.
        """
        placement = await placed(self._deps.db, job.library)
        if job.store not in self._deps.stores:
            raise InvalidRequest(f"MEDIAGATE_STORES of the workers describes no store {job.store!r}.")
        if job.act is StoreAct.CLEAR:
            await self._guard(job.library, away_from=job.store)()
            return StoreBegun(source=job.store, stage=StoreStage.CLEARING)
        if job.store == placement.home:
            if placement.beside is None:
                return StoreBegun(source=placement.home, stage=StoreStage.DONE)
            return StoreBegun(source=placement.beside, stage=StoreStage.HANDING_OVER)
        what = f"{job.library} {placement.home} {job.store}"
        await check_apart(self._store(placement.home), self._store(job.store), what)
        if job.act is StoreAct.MOVE:
            move = StorePlace(library=job.library, home=placement.home, beside=job.store, actor=job.actor, via=job.via)
            await self._place(move.model_copy(update={"reason": job.reason}))
        return StoreBegun(source=placement.home, stage=StoreStage.COPYING)

    @activity.defn
    async def place_library(self, step: StorePlace) -> None:
        """Take a step of a move, and put it on record. Idempotent.

        Raises:
            Conflict: it does not follow from where the library is.
        """
        await self._place(step)

    @activity.defn
    async def call_off_store_move(self, job: StoreMoveInput) -> None:
        """Have the library stay where it was, unless it has been handed over. Idempotent; copies remain."""
        placement = await placed(self._deps.db, job.library)
        if placement.beside == job.store:
            home, reason = placement.home, f"called off: {job.reason}" if job.reason else "called off"
            await self._place(StorePlace(library=job.library, home=home, actor=job.actor, via=job.via, reason=reason))

    async def _place(self, step: StorePlace) -> None:
        from db.repositories.audit import Actor

        async with self._deps.db.transaction() as tx:
            library = await tx.access.library(step.library, lock=True)
            if library is None:
                raise NotFound(f"There is no library {step.library!r}.")
            before = await tx.placements.of(step.library)
            after = await tx.placements.change(library, step.home, step.beside)
            if before != after:
                await tx.audit.note(
                    "store.placed",
                    f"library:{step.library}",
                    Actor(step.actor, step.via),
                    library=step.library,
                    reason=step.reason,
                    data={"from": before.model_dump(), "to": after.model_dump()},
                )

    @activity.defn
    async def mirror_page(self, job: StorePageInput) -> StorePage:
        """Bring the next objects to the target, each read back and compared; remove there what the source has not.

        Idempotent: what is the same already is compared only.
        """
        source, target = self._store(job.source), self._store(job.target)
        guard = self._guard(job.library, between=(job.source, job.target), moving=job.moving)
        async with heartbeats.every(5):
            found = await self._following(job, source, target)
            turns = asyncio.Semaphore(job.at_once)

            async def one(key: str) -> StoreCounts:
                async with turns:
                    return _counted(await mirror(source, target, key, guard)).plus(StoreCounts(looked_at=1))

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(one(key)) for key, _ in found]
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
        return _page(found, job.limit, [task.result() for task in tasks])

    @activity.defn
    async def clear_page(self, job: StorePageInput) -> StorePage:
        """Delete the next objects from the source, where the library does not live any more. Idempotent.

        What a row names and its home lacks is brought there before: this may be the last copy of it.

        Raises:
            Conflict: it lives there.
        """
        source, guard = self._store(job.source), self._guard(job.library, away_from=job.source)
        async with heartbeats.every(5):
            await guard()
            home = self._store((await placed(self._deps.db, job.library)).home)
            found = await self._following(job, source, home)
            left = [key for key, holders in found if holders == {0}]
            brought = await self._bring_home(job.library, source, home, left, guard)
            there = [key for key, holders in found if 0 in holders]
            await guard()
            await source.delete_all(there)
        return _page(found, job.limit, [*brought, StoreCounts(cleared=len(there))])

    async def _bring_home(
        self, slug: str, source: ObjectStore, home: ObjectStore, left: Sequence[str], guard: Guard
    ) -> list[StoreCounts]:
        """What rows name of that which only the old place has."""
        from activities.scrub_look import named, watermarks_of

        if not left:
            return []
        async with self._deps.db.transaction() as tx:
            wanted = await named(tx, left)
            if library := await tx.access.library(slug):
                wanted |= {mark.key for mark in watermarks_of(library)}.intersection(left)
        brought = []
        for key in wanted:
            log.warning("store.left_behind", key=key)
            brought.append(_counted(await mirror(source, home, key, guard)))
        return brought

    async def _following(self, job: StorePageInput, *stores: ObjectStore) -> list[tuple[str, set[int]]]:
        """The next keys that any of the stores has, and which have it, by their place."""
        found = list[tuple[str, set[int]]]()
        folder = f"{keys.library_folder(job.library)}/"
        async for stats in merged(*(store.list(folder, after=job.after) for store in stores)):
            found.append((next(iter(stats.values())).key, set(stats)))
            if len(found) == job.limit:
                break
        return found

    def _store(self, name: str) -> ObjectStore:
        if store := self._deps.stores.get(name):
            return store
        raise StorageUnavailable(f"MEDIAGATE_STORES of this worker describes no store {name!r}.")

    def _guard(
        self, library: str, *, between: tuple[str, str] | None = None, moving: bool = False, away_from: str = ""
    ) -> Guard:
        async def check() -> None:
            placement = await placed(self._deps.db, library)
            if away_from in placement.sides:
                raise Conflict(f"The library {library!r} lives in the store {away_from!r}.")
            if between and (placement.home, placement.beside) != (between[0], between[1] if moving else None):
                raise Conflict(f"The library {library!r} is not where it was when this copy began.")

        return check


def _page(found: Sequence[tuple[str, set[int]]], limit: int, counts: Sequence[StoreCounts]) -> StorePage:
    total = StoreCounts()
    for more in counts:
        total = total.plus(more)
    return StorePage(done=total, after=found[-1][0] if len(found) == limit else "")


def _counted(done: Mirrored) -> StoreCounts:
    copied = done.outcome is Outcome.COPIED
    removed = done.outcome is Outcome.REMOVED
    return StoreCounts(copied=copied, copied_bytes=done.bytes if copied else 0, removed=removed)


async def placed(db: Database, library: str) -> Placement:
    """Where a library is now.

    Raises:
        NotFound: there is no such library.
    """
    async with db.transaction() as tx:
        if await tx.access.library(library) is None:
            raise NotFound(f"There is no library {library!r}.")
        return await tx.placements.of(library)


async def check_apart(one: ObjectStore, other: ObjectStore, what: str) -> None:
    """Try both stores with an object of a few bytes, which is deleted again.

    `what`: makes its key. An attempt after one that died takes the same, so none is left behind.

    Raises:
        InvalidRequest: they are one and the same bucket: what a move deletes in the one would be gone in the other.
        StorageUnavailable: one of them does not answer.
    """
    key = keys.probe(hashlib.sha256(what.encode()).hexdigest())
    await other.ready()
    await one.put(key, what.encode(), content_type="text/plain")
    try:
        if [stat.key async for stat in other.list(key)]:
            raise InvalidRequest("Both stores are the same bucket under two names.")
    finally:
        await one.delete(key)
