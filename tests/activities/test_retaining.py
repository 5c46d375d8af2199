"""What its time is up for is found page by page, and what must stay is left."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from activities.evidence_access import place_hold
from activities.retaining import Due, Retaining, due_page
from cli.storage import every_due
from db.repositories.audit import Actor
from db.tables import Library, Media, now
from mediagate.errors import NotFound
from mediagate.media.values import Status
from tests.activities.steps import Steps, perform
from tests.world import World, picture
from workflows.storage_messages import RetentionCounts, RetentionCursor, RetentionInput, RetentionStep

OLD = timedelta(days=10)


async def kept_since(world: World, status: Status, age: timedelta = OLD, **fields: Any) -> str:
    """An item that has its status for so long."""
    at = now() - age
    return await world.seal(picture(), age=age, status=status, updated_at=at, filed_at=at, **fields)


async def apply(steps: Steps, **job: Any) -> RetentionCounts:
    """Page by page to the end, as the workflow does."""
    cursor: RetentionCursor | None = RetentionCursor()
    done = RetentionCounts()
    while cursor:
        asked = RetentionInput(library=steps.world.library.slug, cursor=cursor, **job)
        page = await perform(Retaining(steps.deps).apply_retention, asked)
        done, cursor = done.plus(page.done), page.cursor
    return done


async def due(world: World) -> list[Due]:
    return await every_due(world.db, world.library.slug)


class TestRetention:
    async def test_without_a_setting_everything_is_kept(self, steps: Steps) -> None:
        media_id = await kept_since(steps.world, Status.REJECTED, timedelta(days=5000))
        assert await due(steps.world) == []
        assert await apply(steps) == RetentionCounts()
        assert (await steps.world.media(media_id)).status is Status.REJECTED

    @pytest.mark.parametrize("status", [Status.APPROVED, Status.REJECTED, Status.QUARANTINED, Status.FAILED])
    async def test_each_status_has_its_own_time(self, steps: Steps, status: Status) -> None:
        world = steps.world
        await world.configure(retention={status.value: 7})
        ids = {one: await kept_since(world, one) for one in (Status.APPROVED, Status.REJECTED, Status.FAILED)}
        ids[status] = await kept_since(world, status)
        young = await kept_since(world, status, timedelta(days=6))
        done = await apply(steps)
        standing = {one: (await world.media(media_id)).status for one, media_id in ids.items()}
        assert standing == {one: Status.TRASHED if one is status else one for one in ids}
        assert (await world.media(young)).status is status
        assert done.trashed == (1 if status is Status.QUARANTINED else 2)

    async def test_an_item_that_got_its_status_lately_is_kept(self, steps: Steps) -> None:
        await steps.world.configure(retention={"rejected": 7})
        media_id = await steps.world.seal(picture(), age=OLD, status=Status.REJECTED)
        assert await due(steps.world) == []
        assert (await steps.world.media(media_id)).status is Status.REJECTED

    async def test_pages_of_one_find_the_same_as_one_page(self, steps: Steps) -> None:
        world = steps.world
        await world.configure(retention={"approved": 5, "rejected": 5})
        ids = {await kept_since(world, status) for status in (Status.APPROVED, Status.REJECTED) for _ in range(3)}
        held = await kept_since(world, Status.REJECTED)
        await place_hold(world.db, None, UUID(held), Actor("ada", "cli:ada"), reason="case 1")
        found = await due(world)
        assert {str(one.media_id) for one in found if not one.kept} == ids
        assert [(str(one.media_id), one.kept) for one in found if one.kept] == [(held, "legal hold")]
        done = await apply(steps, limit=1)
        assert (done.trashed, done.kept) == (6, 1)
        assert (await world.media(held)).status is Status.REJECTED
        assert (await apply(steps, limit=1)).trashed == 0

    async def test_the_trash_is_emptied_after_its_time_only(self, steps: Steps) -> None:
        world = steps.world
        await world.configure(retention={"rejected": 5})
        media_id = await kept_since(world, Status.REJECTED)
        assert (await apply(steps)).trashed == 1
        assert [one.step for one in await due(world)] == []
        steps = steps.over(settings=world.settings.model_copy(update={"trash_days": 0}))
        other = await kept_since(world, Status.REJECTED)
        done = await apply(steps)
        assert (done.trashed, done.erased, done.bytes) == (1, 1, len(picture()))
        assert (await world.media(media_id)).status is Status.TRASHED
        assert (await world.media(other)).status is Status.ERASED
        assert await world.objects(other) == []

    async def test_old_backups_go_by_themselves(self, steps: Steps) -> None:
        world = steps.world
        await world.configure(retention={"backups": 5})
        media_id = await kept_since(world, Status.QUARANTINED)
        key = f"{world.library.slug}/backups/{media_id}/{(await world.media(media_id)).sha256}"
        await world.store.put(key, picture(), content_type="image/jpeg")
        await alter(world, media_id, backup_key=key)
        assert [(one.step, one.bytes) for one in await due(world)] == [(RetentionStep.BACKUPS, len(picture()))]
        assert (await apply(steps)).backups == 1
        assert await world.objects(media_id) == ["media/originals/ID/source"]

    async def test_a_look_changes_nothing(self, steps: Steps) -> None:
        await steps.world.configure(retention={"rejected": 5})
        media_id = await kept_since(steps.world, Status.REJECTED)
        before = await steps.state(media_id)
        [one] = await due(steps.world)
        assert (one.why, one.bytes, one.kept) == ("rejected for more than 5 days", len(picture()), "")
        assert await steps.state(media_id) == before

    async def test_other_libraries_are_not_looked_at(self, steps: Steps, library: Library) -> None:
        world = steps.world
        await world.configure(retention={"rejected": 5})
        await kept_since(world, Status.REJECTED)
        async with world.db.transaction() as tx:
            other = await tx.access.ensure_library(f"other-{library.slug}", name="", settings={})
        assert await every_due(world.db, other.slug) == []
        with pytest.raises(NotFound):
            await due_page(world.db, RetentionCursor(), library="nobody", limit=10)

    async def test_a_run_that_died_is_made_up_for(self, steps: Steps) -> None:
        """Erased by the rows, and the worker died before it deleted anything: the next run does."""
        world = steps.world
        await world.configure(retention={"rejected": 5})
        media_id = await kept_since(world, Status.REJECTED)
        await apply(steps)
        async with world.db.transaction() as tx:
            media = await tx.media.get(UUID(media_id), lock=True)
            await tx.trash.remove_later(media.id, [media.master_key or ""], "erased")
            await tx.trash.drop(media.id)
            await tx.media.move(media, Status.ERASED)
            await tx.trash.forget(media)
        assert await world.objects(media_id) == ["media/originals/ID/source"]
        await apply(steps)
        assert await world.objects(media_id) == []


async def alter(world: World, media_id: str, **fields: Any) -> None:
    async with world.db.transaction() as tx:
        media: Media = await tx.media.get(UUID(media_id), lock=True)
        media.sqlmodel_update(fields)
