"""Further pictures of approved items: made once, replaced when stale, gone when unwanted, none after a takedown."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from activities.renditions import Renditions, stale_page
from db.tables import MediaVariant
from mediagate.errors import NotFound, StorageUnavailable
from mediagate.media.values import Status, Verdict
from tests.activities.steps import Steps, perform
from tests.stores import BreakingStore
from tests.world import picture
from workflows.messages import FileInput
from workflows.rendition_messages import RenditionInput, RenditionResult, StaleInput

UPLOADED = {"original", "medium", "thumb"}
SMALL = {"responsive": [320], "siblings": ["webp", "avif"]}
"""Two edges beyond an upload's own pictures would take longer to encode than to test."""


async def approved(steps: Steps, **images: Any) -> str:
    """An item with its three public pictures, of a library with these wishes."""
    await steps.world.configure(images=images)
    media_id = await steps.submitted(picture(400, 300, seed=5))
    await steps.file(media_id)
    return media_id


async def build(steps: Steps, media_id: str, **fields: Any) -> RenditionResult:
    job = RenditionInput(**steps.ref(media_id).model_dump(), **fields)
    return await perform(Renditions(steps.deps).build_renditions, job)


async def manifest(steps: Steps, media_id: str) -> Mapping[str, MediaVariant]:
    async with steps.world.db.transaction() as tx:
        return {str(row.file): row for row in await tx.media.variants(UUID(media_id))}


async def stale(steps: Steps) -> list[str]:
    return list((await stale_page(steps.world.db, StaleInput(library=steps.world.library.slug))).stale)


class TestBuildRenditions:
    async def test_makes_the_responsive_set_and_every_sibling(self, steps: Steps) -> None:
        media_id = await approved(steps, **SMALL)
        made = await build(steps, media_id)
        rows = await manifest(steps, media_id)
        jpegs = UPLOADED | {"w320"}
        assert set(rows) == jpegs | {f"{name}.{kind}" for name in jpegs for kind in ("webp", "avif")}
        assert set(made.made) == set(rows) - UPLOADED
        for name, row in rows.items():
            assert await steps.world.store.sha256(row.key) == row.sha256, name
        assert max(rows["w320.avif"].width, rows["w320.avif"].height) == 320

    async def test_without_wishes_there_is_nothing_to_do(self, steps: Steps) -> None:
        media_id = await approved(steps)
        before = await steps.state(media_id)
        assert await build(steps, media_id) == RenditionResult()
        assert await steps.state(media_id) == before

    async def test_a_second_run_changes_nothing(self, steps: Steps) -> None:
        media_id = await approved(steps, siblings=["webp"])
        await build(steps, media_id)
        before = await steps.state(media_id)
        assert (await build(steps, media_id)).made == ()
        assert await steps.state(media_id) == before

    async def test_a_changed_mark_replaces_what_bears_it_and_deletes_the_old_bytes(self, steps: Steps) -> None:
        media_id = await approved(steps)
        before = await manifest(steps, media_id)
        await steps.world.configure(watermark={"text": "© Gate"})
        assert (await build(steps, media_id)).made == ("original",)
        after = await manifest(steps, media_id)
        assert after["original"].sha256 != before["original"].sha256
        assert {name: after[name].key for name in ("medium", "thumb")} == {
            name: before[name].key for name in ("medium", "thumb")
        }
        kept = [key for key in await steps.world.objects(media_id) if "original" in key and "source" not in key]
        assert kept == [f"media/approved/ID/original-{after['original'].sha256[:12]}.jpg"]

    async def test_what_is_not_wanted_any_more_goes(self, steps: Steps) -> None:
        media_id = await approved(steps, siblings=["webp"])
        await build(steps, media_id)
        await steps.world.configure(images={})
        assert (await build(steps, media_id)).dropped == 3
        assert set(await manifest(steps, media_id)) == UPLOADED
        assert not [key for key in await steps.world.objects(media_id) if key.endswith(".webp")]

    async def test_a_crash_between_bytes_and_rows_is_made_good_by_the_next_attempt(self, steps: Steps) -> None:
        media_id = await approved(steps)
        await steps.world.configure(watermark={"text": "© Gate"})
        broken = BreakingStore(steps.world.store, "delete", StorageUnavailable())
        with pytest.raises(StorageUnavailable):
            await build(steps.over(store=broken), media_id)
        rows = await manifest(steps, media_id)
        assert await steps.world.store.sha256(rows["original"].key) == rows["original"].sha256

    @pytest.mark.parametrize("status", [Status.QUARANTINED, Status.REJECTED])
    async def test_an_item_that_was_taken_down_gets_none(self, steps: Steps, status: Status) -> None:
        media_id = await approved(steps, siblings=["webp"])
        verdict = Verdict.QUARANTINE if status is Status.QUARANTINED else Verdict.REJECT
        job = FileInput(**steps.ref(media_id).model_dump(), verdict=verdict, reason="taken_down")
        await perform(steps.filing.file_media, job)
        before = await steps.state(media_id)
        assert await build(steps, media_id) == RenditionResult()
        assert await steps.state(media_id) == before


class TestStalePage:
    async def test_what_was_made_as_it_would_be_now_is_not_stale(self, steps: Steps) -> None:
        await approved(steps, siblings=["webp"])
        assert await stale(steps) == []

    @pytest.mark.parametrize(
        "change",
        [{"images": {"progressive": True}}, {"images": {"background": "#000000"}}, {"watermark": {"text": "new"}}],
        ids=["progressive", "background", "mark"],
    )
    async def test_a_changed_wish_makes_items_stale_until_they_are_rebuilt(
        self, steps: Steps, change: dict[str, Any]
    ) -> None:
        media_id = await approved(steps)
        await steps.world.configure(**change)
        assert await stale(steps) == [media_id]
        await build(steps, media_id, only_stale=True)
        assert await stale(steps) == []

    async def test_another_engine_makes_items_stale(self, steps: Steps) -> None:
        media_id = await approved(steps)
        async with steps.world.db.transaction() as tx:
            for row in await tx.media.variants(UUID(media_id)):
                row.recipe = "0" * 16
        assert await stale(steps) == [media_id]

    async def test_a_rebuild_leaves_lazy_renditions_unmade(self, steps: Steps) -> None:
        media_id = await approved(steps, siblings=["webp"], build="lazy")
        await build(steps, media_id, only_stale=True)
        assert set(await manifest(steps, media_id)) == UPLOADED

    async def test_pages_follow_one_another(self, steps: Steps) -> None:
        ids = [await approved(steps) for _ in range(3)]
        await steps.world.configure(images={"progressive": True})
        first = await stale_page(steps.world.db, StaleInput(library=steps.world.library.slug, limit=2))
        rest = StaleInput(
            library=steps.world.library.slug, limit=2, after_time=first.after_time, after_id=first.after_id
        )
        second = await stale_page(steps.world.db, rest)
        assert [*first.stale, *second.stale] == ids[::-1]
        assert (second.looked_at, second.after_time) == (1, None)

    async def test_a_library_that_does_not_exist_is_named(self, steps: Steps) -> None:
        with pytest.raises(NotFound, match="'nobody'"):
            await stale_page(steps.world.db, StaleInput(library="nobody"))
