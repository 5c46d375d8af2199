"""Steps of a move, done twice or too late."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from activities.store_moving import StoreMoving
from db.session import Database
from db.tables import Library
from mediagate.errors import Conflict, NotFound, StorageUnavailable
from mediagate.settings import Settings
from mediagate.storage import keys
from mediagate.storage.placement import DEFAULT, Placement
from tests.activities.steps import perform
from tests.places import OTHER, Place, digest, open_place
from tests.stores import BreakingStore
from tests.world import picture
from workflows.store_messages import StoreBegun, StoreCounts, StorePageInput, StorePlace, StoreStage


@pytest.fixture
async def place(
    stack_settings: Settings, temporal_client: Client, db: Database, library: Library, tmp_path: Path
) -> AsyncIterator[Place]:
    async with open_place(stack_settings, temporal_client, db, library, tmp_path) as opened:
        yield opened


@pytest.fixture
def moving(place: Place) -> StoreMoving:
    return StoreMoving(place.world.deps)


@pytest.fixture
async def key(place: Place) -> str:
    """Of an object that both stores have."""
    key = keys.master(place.slug, str(uuid4()))
    for store in place.stores.values():
        await store.put(key, b"x", content_type="image/jpeg")
    return key


def page(place: Place, source: str = DEFAULT, target: str = OTHER) -> StorePageInput:
    return StorePageInput(library=place.slug, source=source, target=target, moving=True)


class TestTwice:
    async def test_a_step_is_taken_and_noted_once(self, place: Place, moving: StoreMoving) -> None:
        step = StorePlace(library=place.slug, home=DEFAULT, beside=OTHER, actor="ada", via="cli:ada")
        for _ in range(2):
            await perform(moving.place_library, step)
        async with place.world.db.transaction() as tx:
            assert len(await tx.audit.page(subject=f"library:{place.slug}", limit=9)) == 1
        assert await place.placement() == Placement(home=DEFAULT, beside=OTHER, version=1)

    async def test_a_beginning_goes_on_with_what_was_begun(self, place: Place, moving: StoreMoving) -> None:
        for _ in range(2):
            begun = await perform(moving.begin_store_move, place.job())
            assert begun == StoreBegun(source=DEFAULT, stage=StoreStage.COPYING)

    async def test_called_off_twice(self, place: Place, moving: StoreMoving) -> None:
        await perform(moving.begin_store_move, place.job())
        for _ in range(2):
            await perform(moving.call_off_store_move, place.job())
        assert await place.placement() == Placement(version=2)

    async def test_a_page(self, place: Place, moving: StoreMoving, key: str) -> None:
        await perform(moving.begin_store_move, place.job())
        await place.stores[OTHER].delete(key)
        done = [(await perform(moving.mirror_page, page(place))).done for _ in range(2)]
        assert done == [StoreCounts(looked_at=1, copied=1, copied_bytes=1), StoreCounts(looked_at=1)]

    async def test_a_beginning_that_was_cut_off_leaves_no_probe(self, place: Place) -> None:
        away = BreakingStore(place.stores[DEFAULT], "delete", StorageUnavailable("away"))
        deps = replace(place.world.deps, stores={**place.stores, DEFAULT: away})
        with pytest.raises(StorageUnavailable):
            await perform(StoreMoving(deps).begin_store_move, place.job())
        assert [stat.key async for stat in away.list(".mediagate/")] != []
        await perform(StoreMoving(deps).begin_store_move, place.job())
        assert [stat.key async for stat in away.list(".mediagate/")] == []


class TestTooLate:
    """An attempt that was given up for dead, and is not."""

    async def test_copying_after_the_hand_over_changes_nothing(
        self, place: Place, moving: StoreMoving, key: str
    ) -> None:
        await place.put_library(OTHER)
        await place.stores[DEFAULT].delete(key)
        with pytest.raises(Conflict):
            await perform(moving.mirror_page, page(place))
        assert [*await place.digests(OTHER)] == [key]

    async def test_clearing_after_it_moved_back_deletes_nothing(
        self, place: Place, moving: StoreMoving, key: str
    ) -> None:
        with pytest.raises(Conflict):
            await perform(moving.clear_page, page(place))
        assert [*await place.digests(DEFAULT)] == [key]

    async def test_calling_off_after_the_hand_over_leaves_it_there(self, place: Place, moving: StoreMoving) -> None:
        await place.put_library(OTHER)
        await perform(moving.call_off_store_move, place.job())
        assert (await place.placement()).home == OTHER


class TestTheLastCopy:
    async def test_what_rows_name_is_brought_home_before_the_old_place_is_cleared(
        self, place: Place, moving: StoreMoving
    ) -> None:
        await place.put_library(OTHER)
        data, stray = picture(), keys.master(place.slug, str(uuid4()))
        kept, lost = [(await place.world.media(await place.world.seal(data))).master_key or "" for _ in range(2)]
        mark = keys.watermark_image(place.slug, digest(data))
        await place.world.configure(watermark={"image_key": mark})
        for key in (kept, lost, stray, mark):
            await place.stores[DEFAULT].put(key, data, content_type="image/jpeg")
        await place.stores[OTHER].delete(lost)
        cleared = await perform(moving.clear_page, page(place))
        assert cleared.done == StoreCounts(copied=2, copied_bytes=2 * len(data), cleared=4)
        assert await place.digests(OTHER) == {key: digest(data) for key in (kept, lost, mark)}
        assert await place.digests(DEFAULT) == {}
        assert (await perform(moving.clear_page, page(place))).done == StoreCounts()


class TestTrouble:
    async def test_a_library_that_is_not_there(self, place: Place, moving: StoreMoving) -> None:
        with pytest.raises(NotFound):
            await perform(moving.begin_store_move, place.job().model_copy(update={"library": "no-such-library"}))

    async def test_a_worker_that_lacks_the_store_leaves_the_page_to_others(
        self, place: Place, moving: StoreMoving
    ) -> None:
        with pytest.raises(StorageUnavailable):
            await perform(moving.mirror_page, page(place, target="elsewhere"))

    async def test_a_library_on_its_way_elsewhere(self, place: Place, moving: StoreMoving) -> None:
        step = StorePlace(library=place.slug, home=DEFAULT, beside="elsewhere", actor="ada", via="cli:ada")
        await perform(moving.place_library, step)
        with pytest.raises(Conflict, match="beside elsewhere"):
            await perform(moving.begin_store_move, place.job())
