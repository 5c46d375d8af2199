"""Libraries in buckets of their own, and on the way from one to another while the gate works."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from db.session import Database
from db.tables import Library
from mediagate.access.api_keys import Scope
from mediagate.errors import Conflict, StorageUnavailable
from mediagate.media.values import Status
from mediagate.settings import Settings
from mediagate.storage import keys
from mediagate.storage.placement import DEFAULT, Placement
from tests.places import LEASE, OTHER, Place, digest, ended, open_place, public
from tests.stores import BreakingStore, GatedStore
from tests.workflows import runs
from tests.workflows.runs import until
from tests.world import issue_key, picture
from workflows import store_client
from workflows.names import store_move_id
from workflows.store_messages import StoreAct, StoreCounts, StoreStage

JPEG = "image/jpeg"


Opening = Callable[..., AbstractAsyncContextManager[Place]]


@pytest.fixture
def opening(
    stack_settings: Settings, temporal_client: Client, db: Database, library: Library, tmp_path: Path
) -> Opening:
    """Opens a place as `open_place` does."""
    return partial(open_place, stack_settings, temporal_client, db, library, tmp_path)


@pytest.fixture
async def idle(opening: Opening) -> AsyncIterator[Place]:
    """Without workers."""
    async with opening() as opened:
        yield opened


@pytest.fixture
async def place(idle: Place) -> AsyncIterator[Place]:
    """With workers."""
    async with idle.world.workers():
        yield idle


@pytest.fixture
async def real(opening: Opening) -> AsyncIterator[Place]:
    """Without workers, and with leases."""
    async with opening(lease=LEASE) as opened:
        yield opened


class TestTheWholeGate:
    async def test_two_libraries_in_two_buckets(self, place: Place, db: Database) -> None:
        async with db.transaction() as tx:
            neighbour = await tx.access.ensure_library(f"next-{uuid4().hex[:8]}", name="Next", settings={})
        await place.put_library(OTHER)
        world = place.world
        approved = await runs.to_approved(world)
        assert [answer.status_code for answer in await public(world, approved)] == [200, 200, 200]
        rejected = await runs.to_moderation(world)
        await world.webhook(world.event(rejected, "reject", scores={"nudity": 0.99}))
        await world.ended(rejected)
        withdrawn = await runs.to_approved(world)
        await runs.take_down(world, withdrawn)
        await place.world.until(withdrawn, Status.QUARANTINED)
        await until(lambda: _withdrawn(place, withdrawn))
        await place.stores[DEFAULT].put(keys.master(neighbour.slug, approved), b"x", content_type=JPEG)
        assert await place.digests(DEFAULT) == {}
        assert await place.digests(OTHER, neighbour.slug) == {}
        found = sorted({key.split("/")[2] for key in await place.digests(OTHER) if "/media/" in key})
        assert found == ["approved", "originals", "quarantine", "rejected", "thumbs"]
        for media_id in (approved, rejected, withdrawn):
            row = await world.media(media_id)
            assert (await place.digests(OTHER))[row.master_key or ""] == row.sha256

    async def test_a_process_that_knows_no_such_store_touches_nothing(self, place: Place) -> None:
        await place.put_library("elsewhere")
        announced = await place.world.announce(data := picture())
        await place.world.put(announced, data)
        answer = await place.world.complete(announced, data)
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
        assert await place.digests(DEFAULT) == {}

    async def test_a_mark_that_reached_one_side_is_on_both_once_settings_name_it(self, place: Place) -> None:
        world, data = place.world, picture()
        async with world.db.transaction() as tx:
            await tx.placements.change(world.library, DEFAULT, OTHER)
        key = keys.watermark_image(place.slug, digest(data))
        await place.stores[DEFAULT].put(key, data, content_type="image/jpeg")
        admin = {"Authorization": f"Bearer {await issue_key(world.db, world.library.id, Scope.ADMIN)}"}
        settings, named = f"/api/v1/libraries/{place.slug}/settings", {"watermark": {"image_key": key}}
        assert (await world.http.patch(settings, json=named, headers=admin)).status_code == 200
        assert await place.digests(OTHER) == {key: digest(data)}


async def _withdrawn(place: Place, media_id: str) -> bool:
    """True once nothing stands any more where it was."""
    left = await place.world.objects(media_id)
    return not any(key.startswith(("media/approved/", "media/originals/", "media/thumbs/")) for key in left)


class TestMove:
    async def test_every_step_is_on_record(self, place: Place) -> None:
        await ended(place, place.job(reason="cheaper"))
        async with place.world.db.transaction() as tx:
            records = await tx.audit.page(subject=f"library:{place.slug}", limit=10)
        steps = [(record.document["to"]["home"], record.document["to"]["beside"]) for record in records[::-1]]
        assert steps == [(DEFAULT, OTHER), (OTHER, DEFAULT), (OTHER, None)]
        assert {(record.action, record.actor, record.reason) for record in records} == {
            ("store.placed", "ada", "cheaper")
        }

    async def test_again_does_nothing_and_back_brings_everything_back(self, place: Place) -> None:
        await runs.to_approved(place.world)
        before = await place.digests(DEFAULT)
        await ended(place, place.job())
        again = await ended(place, place.job())
        assert (again.done, await place.digests(OTHER)) == (StoreCounts(), before)
        await ended(place, place.job(store=DEFAULT, pages_per_run=1, page=3))
        assert (await place.digests(DEFAULT), await place.digests(OTHER)) == (before, {})
        assert (await place.placement()).home == DEFAULT

    async def test_what_is_deleted_meanwhile_stays_deleted(self, idle: Place) -> None:
        """The first object is copied and not compared yet when it goes."""
        media_id, kept = str(uuid4()), str(uuid4())
        gone = keys.master(idle.slug, media_id)
        for key in (gone, keys.master(idle.slug, kept)):
            await idle.world.store.put(key, b"x", content_type=JPEG)
        held = GatedStore(idle.stores[OTHER], "sha256")
        async with idle.world.workers(stores={**idle.stores, OTHER: held}):
            running = asyncio.create_task(ended(idle, idle.job()))
            await held.reached.wait()
            await idle.another().delete(gone)
            held.opened.set()
            await running
        assert [*await idle.digests(OTHER)] == [keys.master(idle.slug, kept)]

    async def test_a_worker_that_dies_in_the_middle(self, idle: Place) -> None:
        for n in range(8):
            await idle.world.store.put(keys.master(idle.slug, str(uuid4())), b"%d" % n, content_type=JPEG)
        before = await idle.digests(DEFAULT)
        held = GatedStore(idle.stores[OTHER], "put")
        job = idle.job(page=3)
        async with idle.world.workers(stores={**idle.stores, OTHER: held}, settings=_impatient(idle)):
            handle = await store_client.start(idle.world.flows, job)
            await held.reached.wait()
        async with idle.world.workers():
            await ended(idle, job)
        assert (await handle.result()).stage is StoreStage.DONE
        assert (await idle.digests(OTHER), await idle.digests(DEFAULT)) == (before, {})

    async def test_a_store_that_refuses_for_a_while(self, idle: Place) -> None:
        for n in range(4):
            await idle.world.store.put(keys.master(idle.slug, str(uuid4())), b"%d" % n, content_type=JPEG)
        before = await idle.digests(DEFAULT)
        broken = BreakingStore(idle.stores[OTHER], "put", StorageUnavailable("full", retry_after=0.05), nth=2, times=2)
        gone = BreakingStore(idle.stores[DEFAULT], "delete", StorageUnavailable("away", retry_after=0.05), nth=2)
        async with idle.world.workers(stores={DEFAULT: gone, OTHER: broken}):
            await ended(idle, idle.job())
        assert (await idle.digests(OTHER), await idle.digests(DEFAULT)) == (before, {})
        assert (broken.seen > 4, gone.seen > 4) == (True, True)

    async def test_called_off_while_it_copies(self, real: Place) -> None:
        await real.world.store.put(keys.master(real.slug, str(uuid4())), b"x", content_type=JPEG)
        before = await real.digests(DEFAULT)
        job = real.job(lease=timedelta(minutes=1))
        async with real.world.workers():
            handle = await store_client.start(real.world.flows, job)
            await until(lambda: _is(real, DEFAULT, OTHER))
            await handle.cancel()
            with pytest.raises(Conflict, match="cancelled"):
                await store_client.result(handle)
        assert await real.placement() == Placement(version=2)
        assert await real.digests(DEFAULT) == before

    async def test_stopped_while_it_hands_over_goes_on_where_it_was(self, real: Place) -> None:
        await real.world.store.put(keys.master(real.slug, str(uuid4())), b"x", content_type=JPEG)
        before = await real.digests(DEFAULT)
        async with real.world.workers():
            handle = await store_client.start(real.world.flows, real.job())
            await until(lambda: _is(real, OTHER, DEFAULT))
            await handle.terminate()
            done = await ended(real, real.job())
        assert (done.source, await real.placement()) == (DEFAULT, Placement(home=OTHER, version=3))
        assert (await real.digests(OTHER), await real.digests(DEFAULT)) == (before, {})


def _impatient(place: Place) -> Settings:
    return place.world.settings.model_copy(update={"shutdown_grace": 0})


async def _is(place: Place, home: str, beside: str | None) -> bool:
    placement = await place.placement()
    return (placement.home, placement.beside) == (home, beside)


class TestCopy:
    async def test_leaves_the_library_where_it_is(self, place: Place) -> None:
        await runs.to_approved(place.world)
        before = await place.digests(DEFAULT)
        done = await ended(place, place.job(StoreAct.COPY))
        assert done.done == StoreCounts(looked_at=len(before), copied=len(before), copied_bytes=done.done.copied_bytes)
        assert (await place.digests(DEFAULT), await place.digests(OTHER)) == (before, before)
        assert await place.placement() == Placement()

    async def test_brings_what_is_missing_or_altered_and_takes_away_what_is_gone(self, place: Place) -> None:
        first, second, third = (keys.master(place.slug, f"0000000{n}{str(uuid4())[8:]}") for n in (1, 2, 3))
        await place.world.store.put(first, b"first", content_type=JPEG)
        await place.world.store.put(second, b"second", content_type=JPEG)
        await ended(place, place.job(StoreAct.COPY))
        there = place.stores[OTHER]
        await there.put(first, b"tsrif", content_type=JPEG)
        await there.put(third, b"third", content_type=JPEG)
        done = await ended(place, place.job(StoreAct.COPY))
        assert done.done == StoreCounts(looked_at=3, copied=1, copied_bytes=5, removed=1)
        assert await place.digests(OTHER) == await place.digests(DEFAULT)

    async def test_is_cleared_again(self, place: Place) -> None:
        await place.world.store.put(keys.master(place.slug, str(uuid4())), b"x", content_type=JPEG)
        before = await place.digests(DEFAULT)
        await ended(place, place.job(StoreAct.COPY))
        done = await ended(place, place.job(StoreAct.CLEAR))
        assert (done.done.cleared, await place.digests(OTHER), await place.digests(DEFAULT)) == (1, {}, before)


class TestRefusals:
    async def test_a_library_is_not_cleared_where_it_lives(self, place: Place) -> None:
        await place.world.store.put(keys.master(place.slug, str(uuid4())), b"x", content_type=JPEG)
        with pytest.raises(Conflict, match="lives in the store 'default'"):
            await ended(place, place.job(StoreAct.CLEAR, DEFAULT))
        assert len(await place.digests(DEFAULT)) == 1

    async def test_a_store_that_nobody_described(self, place: Place) -> None:
        with pytest.raises(Conflict, match="describes no store 'nowhere'"):
            await ended(place, place.job(store="nowhere"))

    async def test_the_same_bucket_under_two_names(self, idle: Place) -> None:
        with_alias = {**idle.stores, "alias": idle.stores[DEFAULT]}
        async with idle.world.workers(stores=with_alias):
            with pytest.raises(Conflict, match="the same bucket"):
                await ended(idle, idle.job(store="alias"))
        assert await idle.placement() == Placement()

    async def test_another_run_is_at_work(self, idle: Place) -> None:
        handle = await store_client.start(idle.world.flows, idle.job())
        with pytest.raises(Conflict, match="move to archive"):
            await store_client.start(idle.world.flows, idle.job(StoreAct.CLEAR))
        assert (await store_client.start(idle.world.flows, idle.job())).first_execution_run_id == (
            handle.first_execution_run_id
        )
        await handle.terminate()
        assert handle.id == store_move_id(idle.slug)
