"""The steps of an import, twice, at the same time, and interrupted: nothing is made twice and nothing is left over."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from activities.import_items import MOST_ATTEMPTS, SOURCE_AWAY
from activities.importing import Importing
from activities.notifying import Notifying
from db.tables import Import, ImportItem, Library
from mediagate.errors import StorageUnavailable
from mediagate.media.imports import ImportItemState, ImportState
from mediagate.media.values import Status
from tests.activities.steps import perform
from tests.imports import SOURCE, folder, importing, items, junk, planned, row, stocked
from tests.stores import BreakingStore, GatedStore
from tests.world import GateWith, World
from workflows.import_messages import (
    AdvanceInput,
    AdvanceResult,
    EndInput,
    ImportOrder,
    ImportProgress,
    ImportRecord,
    ListInput,
    ListResult,
)


class Crash(Exception):
    """The worker dies here: nothing is translated, nothing is cleaned up."""


@pytest.fixture
async def world(gate_with: GateWith, library: Library) -> AsyncIterator[World]:
    """A gate without workers whose library may import: the tests call the steps."""
    async with importing(gate_with, library, roles=()) as opened:
        yield opened


class Steps:
    """The steps of one import. `deps`: in place of the world's own."""

    def __init__(self, world: World, one: Import, **deps: Any) -> None:
        self.world, self.one = world, one
        self._deps = replace(world.deps, **deps)
        self._steps = Importing(self._deps, Notifying(self._deps))

    @classmethod
    async def of(cls, world: World, *objects: tuple[str, bytes]) -> "Steps":
        """An import of these objects, listed."""
        await stocked(world, *objects)
        one = planned(world)
        one.created_by = "ada"
        async with world.db.transaction() as tx:
            one = await tx.imports.begin(one)
        steps = cls(world, one)
        await steps.listed()
        return steps

    def over(self, **deps: Any) -> "Steps":
        """The same import with other parts."""
        return Steps(self.world, self.one, **deps)

    def reading(self, call: str, error: Exception, **when: Any) -> "Steps":
        """The same import from a source that fails."""
        source = BreakingStore(self.world.deps.import_sources[SOURCE], call, error, **when)
        return self.over(import_sources={SOURCE: source})

    async def listed(self, **fields: Any) -> ListResult:
        return await perform(self._steps.list_import, ListInput(import_id=str(self.one.id), **fields))

    async def advance(self, **fields: Any) -> AdvanceResult:
        job = {"at_once": 10, "begin": 10, **fields}
        return await perform(self._steps.advance_import, AdvanceInput(import_id=str(self.one.id), **job))

    async def record(self, act: str, **progress: Any) -> None:
        order = ImportOrder(actor="bob", via="cli:bob")
        at = ImportProgress(state=ImportState.IMPORTING, **progress)
        await perform(
            self._steps.record_import, ImportRecord(import_id=str(self.one.id), progress=at, act=act, order=order)
        )

    async def end(self, state: ImportState, *, round_: int = 1) -> bool:
        slug = self.world.library.slug
        job = EndInput(import_id=str(self.one.id), library=slug, round=round_, state=state)
        return (await perform(self._steps.end_import, job)).ended

    async def item(self, name: str) -> ImportItem:
        return (await items(self.world, self.one))[name][0]

    async def states(self) -> list[ImportItemState]:
        return [item.state for item, _ in (await items(self.world, self.one)).values()]

    async def masters(self) -> int:
        """How many masters the library has, of whatever items."""
        return len([stat async for stat in self.world.store.list(f"{self.world.library.slug}/media/originals/")])


class TestListing:
    async def test_page_by_page_and_twice(self, world: World) -> None:
        steps = await Steps.of(world, *junk(5))
        first = await steps.listed(limit=3)
        assert first.after == folder(world.library) + "junk-002.jpg"
        again = await steps.listed(limit=3, after=first.after)
        assert (again.after, again.counts.total) == (None, 5)
        found = [item for item, _ in (await items(world, steps.one)).values()]
        assert [item.filename for item in found] == [name for name, _ in junk(5)]
        assert all(item.etag for item in found)

    async def test_a_source_that_is_away_holds_it(self, world: World) -> None:
        steps = await Steps.of(world)
        held = await steps.reading("list", StorageUnavailable("s3.internal refused")).listed()
        assert (held.hold, held.detail) == (
            timedelta(seconds=SOURCE_AWAY),
            "The source did not answer; the workers' logs say more.",
        )


class TestTwice:
    async def test_a_step_that_runs_again_begins_nothing_again(self, world: World) -> None:
        steps = await Steps.of(world, *junk(3))
        for moved in (3, 0):
            step = await steps.advance()
            assert (step.moved, step.counts.under_way, step.more) == (moved, 3, False)
        assert await steps.masters() == 3

    async def test_two_attempts_at_the_same_time(self, world: World) -> None:
        """The server gave up on one that is still at it: each object is accepted once, and the window holds."""
        steps = await Steps.of(world, *junk(6))
        slow = GatedStore(world.deps.import_sources[SOURCE], "download")
        late = asyncio.create_task(steps.over(import_sources={SOURCE: slow}).advance(at_once=3))
        await slow.reached.wait()
        assert (await steps.advance(at_once=3)).counts.under_way == 3
        slow.opened.set()
        assert (await late).counts.under_way == 3
        accepted = [media for _, media in (await items(world, steps.one)).values() if media]
        assert len(accepted) == 3
        for media in accepted:
            assert (await world.timeline(str(media.id))).count("accepted") == 1

    async def test_a_crash_after_the_copy_leaves_nothing_in_the_end(self, world: World) -> None:
        steps = await Steps.of(world, *junk(2))

        class Dying(BreakingStore):
            async def after(self, call: str, key: str) -> None:
                if call == "put":
                    raise Crash

        dying = steps.over(store=Dying(world.store, "", Crash()))
        with pytest.raises(Crash):
            await dying.advance()
        assert await steps.masters() == 1
        assert set(await steps.states()) == {ImportItemState.TAKEN}
        assert await steps.end(ImportState.CANCELLED)
        assert await steps.masters() == 0
        assert set(await steps.states()) == {ImportItemState.CANCELLED}

    async def test_a_crash_after_the_copy_is_made_good(self, world: World) -> None:
        steps = await Steps.of(world, *junk(1))
        with pytest.raises(Crash):
            await steps.over(store=BreakingStore(world.store, "put", Crash())).advance()
        assert (await steps.advance()).counts.under_way == 1
        assert await steps.masters() == 1

    async def test_ending_twice_tells_once(self, world: World) -> None:
        steps = await Steps.of(world)
        for _ in range(2):
            assert await steps.end(ImportState.DONE)
        assert len(world.mailer.sent) == 1

    async def test_one_that_is_not_done_does_not_end(self, world: World) -> None:
        steps = await Steps.of(world, *junk(1))
        assert not await steps.end(ImportState.DONE)
        assert (await row(world, steps.one)).ended_at is None

    async def test_an_end_of_an_earlier_round_ends_nothing(self, world: World) -> None:
        steps = await Steps.of(world, *junk(1))
        assert await steps.end(ImportState.CANCELLED, round_=0)
        assert (await row(world, steps.one)).state is ImportState.IMPORTING


class TestOrders:
    async def test_nothing_begins_after_a_pause_is_written_down(self, world: World) -> None:
        """Not even what was being copied in that moment."""
        steps = await Steps.of(world, *junk(2))
        slow = GatedStore(world.deps.import_sources[SOURCE], "download")
        step = asyncio.create_task(steps.over(import_sources={SOURCE: slow}).advance())
        await slow.reached.wait()
        await steps.record("pause", paused=True, detail="paused by bob")
        slow.opened.set()
        assert (await step).counts.waiting == 2
        assert (await steps.advance()).counts.waiting == 2
        assert (await row(world, steps.one)).detail == "paused by bob"
        await steps.record("resume")
        assert (await steps.advance()).counts.under_way == 2

    async def test_an_order_is_put_on_record_once(self, world: World) -> None:
        steps = await Steps.of(world)
        for _ in range(2):
            await steps.record("pause", paused=True)
        async with world.db.transaction() as tx:
            [record] = await tx.audit.page(subject=f"import:{steps.one.id}", limit=5)
        assert (record.action, record.actor, record.via) == ("import.pause", "bob", "cli:bob")
        assert record.library == world.library.slug


class TestObjects:
    async def test_that_changed_after_they_were_listed(self, world: World) -> None:
        steps = await Steps.of(world, *junk(1))
        await stocked(world, ("junk-000.jpg", b"something else"))
        assert (await steps.advance()).counts.failed == 1
        item = await steps.item("junk-000.jpg")
        assert (item.reason, item.detail) == (
            "object_changed",
            "The object changed after it was listed; start another import for it.",
        )

    async def test_larger_than_a_day_allows(self, world: World) -> None:
        steps = await Steps.of(world, *junk(1))
        await world.configure(limits={"daily_bytes": 5})
        assert (await steps.advance()).counts.failed == 1
        assert (await steps.item("junk-000.jpg")).reason == "too_large"

    async def test_one_for_which_no_store_answers_is_given_up(self, world: World) -> None:
        """And does not keep the others waiting for ever."""
        steps = await Steps.of(world, *junk(2))
        away = steps.reading("stat", StorageUnavailable("s3.internal: 500"), times=10_000, about="000.jpg")
        for _ in range(MOST_ATTEMPTS):
            held = await away.advance()
            assert held.hold == timedelta(seconds=SOURCE_AWAY)
            assert "s3.internal" not in held.detail
        assert (await away.advance()).counts.under_way == 1
        item = await steps.item("junk-000.jpg")
        assert (item.state, item.reason) == (ImportItemState.FAILED, "storage_unavailable")

    async def test_a_quota_of_uploads_under_way_is_waited_for(self, world: World) -> None:
        steps = await Steps.of(world, *junk(3))
        await world.configure(limits={"open_uploads": 2})
        step = await steps.advance()
        assert (step.counts.under_way, step.counts.waiting) == (2, 1)
        assert "may have 2 at a time" in step.detail
        assert (await row(world, steps.one)).detail == step.detail

    async def test_whose_run_failed_have_failed_until_that_is_repaired(self, world: World) -> None:
        steps = await Steps.of(world, *junk(2))
        await steps.advance()
        for (_, media), status in zip((await items(world, steps.one)).values(), ("failed", "approved"), strict=True):
            assert media
            async with world.db.transaction() as tx:
                stored = await tx.media.get(media.id, lock=True)
                stored.status, stored.reason = Status(status), "ObjectCorrupt" if status == "failed" else ""
        counts = (await steps.advance()).counts
        assert (counts.imported, counts.failed) == (1, 1)
        assert (await steps.item("junk-000.jpg")).reason == "ObjectCorrupt"
