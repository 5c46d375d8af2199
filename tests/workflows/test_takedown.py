"""Takedowns: the row closes at once, files and caches follow whatever is away meanwhile."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ActivityError, ApplicationError

from mediagate.errors import PurgeUnavailable
from mediagate.media.values import Status, Verdict
from mediagate.notify.purging import MemoryPurger
from mediagate.storage import keys
from tests.stores import GatedStore
from tests.workflows import runs
from tests.world import PATIENCE, GateWith, World, picture
from workflows.names import Role, takedown_id

HOOK = {"purge_url": "http://cdn.test/purge", "skip_time": True}
WITHHELD = [
    "backups/ID/SHA",
    "media/quarantine/ID/medium.jpg",
    "media/quarantine/ID/original.jpg",
    "media/quarantine/ID/source",
    "media/quarantine/ID/thumb.jpg",
]


def run(world: World, media_id: str) -> WorkflowHandle[Any, Any]:
    """The takedown's run."""
    return world.client.get_workflow_handle(takedown_id(media_id))


async def ended(world: World, media_id: str) -> dict[str, Any]:
    """What came of it."""
    async with asyncio.timeout(PATIENCE):
        result: dict[str, Any] = await run(world, media_id).result()
    return result


async def retried(world: World, media_id: str, activity: str, *, attempts: int) -> None:
    """Return when an activity of the takedown has failed so many times."""

    async def again() -> bool:
        pending = (await run(world, media_id).describe()).raw_description.pending_activities
        return any(p.attempt > attempts for p in pending if p.activity_type.name == activity)

    await runs.until(again)


async def told(world: World, media_id: str) -> list[str]:
    """The kinds of notification since the item was approved."""
    kinds = [note.kind for note in await runs.notifications(world, media_id)]
    return sorted(kind for kind in kinds if kind != "moderation_result")


async def objects(world: World, media_id: str) -> list[str]:
    """The item's objects, without the digest in a backup's name."""
    sha256 = (await world.media(media_id)).sha256 or ""
    return [key.replace(sha256, "SHA") for key in await world.objects(media_id)]


def purger(world: World) -> MemoryPurger:
    """The hook of this world."""
    assert isinstance(world.deps.purger, MemoryPurger)
    return world.deps.purger


class TestWithdrawal:
    async def test_files_and_row_say_what_was_decided(self, world: World) -> None:
        media_id = await runs.to_approved(world)
        upload_run = (await world.media(media_id)).run_id
        decision = await runs.take_down(world, media_id, note="By court order.")
        assert (decision.verdict, decision.reason, decision.detail, decision.decided_by) == (
            Verdict.QUARANTINE,
            "takedown:copyright",
            "By court order.",
            "person:ada",
        )
        assert await ended(world, media_id) == {
            "media_id": media_id,
            "status": "quarantined",
            "reason": "takedown:copyright",
            "purged": False,
        }
        row = await world.media(media_id)
        assert (row.status, row.reason, row.detail) == (Status.QUARANTINED, "takedown:copyright", "By court order.")
        assert row.run_id == upload_run
        assert await objects(world, media_id) == WITHHELD
        assert (await world.timeline(media_id))[-4:] == ["status", "decided", "filed", "notified"]
        assert await told(world, media_id) == ["takedown"]
        assert [(d.round, d.verdict) for d in await runs.decisions(world, media_id)] == [
            (0, "approve"),
            (1, "quarantine"),
        ]

    async def test_it_is_closed_before_any_file_is_moved(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(Role.FLOW,)) as world:
            async with world.workers(Role.IO, Role.CPU, Role.VENDOR):
                media_id = await runs.to_approved(world)
            before = await world.objects(media_id)
            await runs.take_down(world, media_id)
            assert (await world.media(media_id)).status is Status.QUARANTINED
            assert await world.objects(media_id) == before
            async with world.workers(Role.IO):
                await ended(world, media_id)
            assert await objects(world, media_id) == WITHHELD

    async def test_a_worker_that_is_lost_while_files_move_costs_nothing(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(Role.FLOW,), shutdown_grace=0) as world:
            async with world.workers(Role.IO, Role.CPU, Role.VENDOR):
                media_id = await runs.to_approved(world)
            store = GatedStore(world.store, "delete")
            async with world.workers(Role.IO, store=store):
                await runs.take_down(world, media_id)
                await store.reached.wait()  # copied and committed, nothing deleted
            assert set(WITHHELD) < set(await objects(world, media_id))
            async with world.workers(Role.IO):
                await ended(world, media_id)
            assert await objects(world, media_id) == WITHHELD
            assert await told(world, media_id) == ["takedown"]

    async def test_asked_for_twice_it_happens_once(self, world: World) -> None:
        media_id = await runs.to_approved(world)
        first, second = await asyncio.gather(
            runs.take_down(world, media_id), runs.take_down(world, media_id, verdict=Verdict.REJECT, actor="bob")
        )
        await ended(world, media_id)
        third = await runs.take_down(world, media_id, verdict=Verdict.REJECT, actor="bob")
        await ended(world, media_id)
        assert first == second == third
        assert len(await runs.decisions(world, media_id)) == 2
        assert await told(world, media_id) == ["takedown"]

    async def test_an_altered_picture_fails_the_run_and_is_closed_all_the_same(self, world: World) -> None:
        media_id = await runs.to_approved(world)
        key = keys.filed(world.library.slug, Status.APPROVED, media_id, "medium")
        right = await world.store.get_bytes(key, max_bytes=10**7)
        await world.store.put(key, picture(seed=9), content_type="image/jpeg")
        await runs.take_down(world, media_id)
        with pytest.raises(WorkflowFailureError) as failed:
            await ended(world, media_id)
        assert isinstance(failed.value.cause, ActivityError)
        assert isinstance(failed.value.cause.cause, ApplicationError)
        assert failed.value.cause.cause.type == "ObjectCorrupt"
        assert (await world.media(media_id)).status is Status.QUARANTINED
        assert await told(world, media_id) == ["system_alert"]
        await world.store.put(key, right, content_type="image/jpeg")  # mended: the same takedown goes on
        await runs.take_down(world, media_id)
        await ended(world, media_id)
        assert await objects(world, media_id) == WITHHELD


class TestPurge:
    async def test_caches_are_told_at_once_and_again_a_minute_later(self, gate_with: GateWith) -> None:
        async with gate_with(**HOOK) as world:
            media_id = await runs.to_approved(world)
            await runs.take_down(world, media_id)
            assert (await ended(world, media_id))["purged"] is True
            first, second = purger(world).orders.values()
            assert first == second
            assert (first.media_id, first.library, first.reason) == (
                media_id,
                world.library.slug,
                "takedown:copyright",
            )
            assert first.tags == (f"media-{media_id}",)
            assert {f"/api/v1/media/{media_id}/files/{name}" for name in ("original", "medium.webp", "thumb")} <= set(
                first.urls
            )

    async def test_a_hook_that_is_away_for_an_hour_is_tried_until_it_is_back(self, gate_with: GateWith) -> None:
        async with gate_with(**HOOK) as world:
            media_id = await runs.to_approved(world)
            purger(world).trouble = PurgeUnavailable(retry_after=1200)
            await runs.take_down(world, media_id)
            await retried(world, media_id, "purge_caches", attempts=3)
            assert (await world.media(media_id)).status is Status.QUARANTINED
            assert await objects(world, media_id) == WITHHELD
            assert await told(world, media_id) == ["system_alert", "takedown"]
            assert purger(world).orders == {}
            purger(world).trouble = None
            assert (await ended(world, media_id))["purged"] is True
            assert len(purger(world).orders) == 2
            described = await run(world, media_id).describe()
            assert described.close_time is not None
            assert described.close_time - described.start_time > timedelta(hours=1)

    async def test_taken_down_again_caches_are_told_again(self, gate_with: GateWith) -> None:
        async with gate_with(**HOOK) as world:
            media_id = await runs.to_approved(world)
            for _ in range(2):
                await runs.take_down(world, media_id)
                await ended(world, media_id)
            assert len(purger(world).orders) == 4
