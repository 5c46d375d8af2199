"""Runs that make further pictures: after an approval, and for a whole library."""

import httpx
from temporalio.client import Client

from mediagate.media.values import Status
from tests.workflows import runs
from tests.world import World, picture
from workflows.names import renditions_id, workflow_id
from workflows.rendition_client import start_rebuild
from workflows.rendition_messages import RebuildInput


async def published(world: World, seed: int = 0) -> str:
    """An approved item."""
    media_id = await world.upload(picture(400, 300, seed=seed))
    await runs.stage(world, media_id, Status.AWAITING_MODERATION)
    await world.webhook(world.event(media_id))
    await world.ended(media_id)
    return media_id


async def public(world: World, url: str) -> httpx.Response:
    """What the public gets."""
    return await world.http.get(url, headers={"Authorization": ""})


async def names(world: World, media_id: str) -> set[str]:
    """Names and formats of the item's pictures."""
    return {f"{v['name']}.{v['format']}" for v in (await world.read(media_id))["variants"]}


async def started(client: Client, media_id: str) -> list[str]:
    """Child runs that an upload started."""
    history = await client.get_workflow_handle(workflow_id(media_id)).fetch_history()
    return [
        event.start_child_workflow_execution_initiated_event_attributes.workflow_id
        for event in history.events
        if event.HasField("start_child_workflow_execution_initiated_event_attributes")
    ]


class TestAfterTheApproval:
    async def test_an_eager_library_gets_them_from_a_run_of_their_own(self, world: World) -> None:
        await world.configure(images={"siblings": ["webp"], "build": "eager"})
        media_id = await published(world)
        await world.client.get_workflow_handle(renditions_id(media_id)).result()
        assert {"original.webp", "medium.webp", "thumb.webp"} <= await names(world, media_id)
        assert (await world.media(media_id)).status is Status.APPROVED

    async def test_a_lazy_library_gets_none(self, world: World) -> None:
        await world.configure(images={"siblings": ["webp"], "build": "lazy"})
        media_id = await published(world)
        assert await started(world.client, media_id) == []
        assert await names(world, media_id) == {"original.jpeg", "medium.jpeg", "thumb.jpeg"}

    async def test_a_rejected_item_gets_none(self, world: World) -> None:
        await world.configure(images={"siblings": ["webp"], "build": "eager"})
        media_id = await world.upload(picture(400, 300))
        await runs.stage(world, media_id, Status.AWAITING_MODERATION)
        await world.webhook(world.event(media_id, "reject"))
        await world.ended(media_id)
        assert await started(world.client, media_id) == []


class TestWhenFirstAskedFor:
    async def test_a_lazy_one_is_made_while_the_jpeg_stands_in(self, world: World) -> None:
        await world.configure(images={"siblings": ["webp"], "responsive": [320], "build": "lazy"})
        media_id = await published(world)
        promised = {f"{r['name']}.{r['format']}": r["url"] for r in (await world.read(media_id))["renditions"]}
        assert set(promised) == {"original.webp", "medium.webp", "thumb.webp", "w320.jpeg", "w320.webp"}
        first = await public(world, promised["medium.webp"])
        assert (first.status_code, first.headers["content-type"]) == (200, "image/jpeg")
        assert first.headers["cache-control"] == "private, no-cache"
        await world.client.get_workflow_handle(renditions_id(media_id)).result()
        then = await public(world, promised["medium.webp"])
        assert (then.status_code, then.headers["content-type"]) == (200, "image/webp")
        assert (await world.read(media_id))["renditions"] == []

    async def test_a_size_without_a_picture_is_shown_by_the_original(self, world: World) -> None:
        await world.configure(images={"responsive": [320], "build": "lazy"})
        media_id = await published(world)
        shown = await world.read(media_id)
        original = next(v for v in shown["variants"] if v["name"] == "original")
        answer = await public(world, shown["renditions"][0]["url"])
        assert answer.headers["etag"] == f'"{original["sha256"]}"'

    async def test_what_the_policy_does_not_promise_is_not_there(self, world: World) -> None:
        media_id = await published(world)
        answer = await world.http.get(f"/api/v1/media/{media_id}/files/medium.webp")
        assert answer.status_code == 404
        assert (await world.read(media_id))["renditions"] == []

    async def test_an_item_that_is_not_approved_promises_nothing(self, world: World) -> None:
        await world.configure(images={"siblings": ["webp"], "build": "lazy"})
        media_id = await world.upload(picture(400, 300))
        await runs.stage(world, media_id, Status.AWAITING_MODERATION)
        assert (await world.read(media_id))["renditions"] == []
        assert (await world.http.get(f"/api/v1/media/{media_id}/files/medium.webp")).status_code == 404


class TestRebuild:
    async def test_every_stale_item_is_made_anew_page_by_page(self, world: World) -> None:
        ids = [await published(world, seed) for seed in range(3)]
        before = [{v["name"]: v["sha256"] for v in (await world.read(id_))["variants"]} for id_ in ids]
        await world.configure(images={"progressive": True})
        handle = await start_rebuild(world.flows, RebuildInput(library=world.library.slug, page=2))
        result = await handle.result()
        assert (result.looked_at, result.rebuilt, result.failed) == (3, 3, ())
        after = [{v["name"]: v["sha256"] for v in (await world.read(id_))["variants"]} for id_ in ids]
        assert all(a[name] != b[name] for a, b in zip(after, before, strict=True) for name in b)
        again = await (await start_rebuild(world.flows, RebuildInput(library=world.library.slug))).result()
        assert (again.looked_at, again.rebuilt) == (3, 0)

    async def test_an_item_that_cannot_be_rebuilt_keeps_its_pictures_and_is_named(self, world: World) -> None:
        media_id = await published(world)
        await world.configure(images={"progressive": True})
        row = await world.media(media_id)
        assert row.master_key
        assert row.sha256
        await world.store.delete(row.master_key)
        world.cached(row.sha256).unlink()
        result = await (await start_rebuild(world.flows, RebuildInput(library=world.library.slug))).result()
        assert (result.rebuilt, result.failed) == (0, (media_id,))
        assert await names(world, media_id) == {"original.jpeg", "medium.jpeg", "thumb.jpeg"}
