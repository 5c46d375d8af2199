"""Rejected items have a backup; a lost or altered master comes back from it."""

from uuid import UUID, uuid4

import pytest

from activities import backups
from mediagate.errors import Conflict, NotFound
from mediagate.media.values import Status
from mediagate.storage.copying import Standing
from tests.world import World, picture


@pytest.fixture
async def rejected(world: World) -> str:
    """A rejected item."""
    media_id = await world.upload(picture(seed=7))
    await world.until(media_id, Status.AWAITING_MODERATION)
    await world.webhook(world.event(media_id, "reject"))
    await world.ended(media_id)
    return media_id


class TestRestore:
    async def test_a_lost_master_comes_back(self, world: World, rejected: str) -> None:
        row = await world.media(rejected)
        await world.store.delete(row.master_key or "")
        before = await backups.look(world.db, world.store, UUID(rejected))
        assert (before.master, before.backup) == (Standing.MISSING, Standing.INTACT)
        after = await backups.restore(world.db, world.store, UUID(rejected))
        assert (after.master, after.master_key) == (Standing.INTACT, row.master_key)
        assert await world.store.sha256(row.master_key or "") == row.sha256
        assert "restored" in await world.timeline(rejected)

    async def test_an_altered_master_comes_back(self, world: World, rejected: str) -> None:
        row = await world.media(rejected)
        await world.store.put(row.master_key or "", b"something else", content_type="image/jpeg")
        assert (await backups.look(world.db, world.store, UUID(rejected))).master is Standing.ALTERED
        assert (await backups.restore(world.db, world.store, UUID(rejected))).master is Standing.INTACT

    async def test_an_intact_master_is_left_alone(self, world: World, rejected: str) -> None:
        before = await world.timeline(rejected)
        assert (await backups.restore(world.db, world.store, UUID(rejected))).master is Standing.INTACT
        assert await world.timeline(rejected) == before

    async def test_without_an_intact_backup_nothing_is_touched(self, world: World, rejected: str) -> None:
        row = await world.media(rejected)
        await world.store.delete(row.master_key or "")
        await world.store.put(row.backup_key or "", b"something else", content_type="image/jpeg")
        with pytest.raises(Conflict, match="the backup is altered"):
            await backups.restore(world.db, world.store, UUID(rejected))
        assert (await backups.look(world.db, world.store, UUID(rejected))).master is Standing.MISSING

    async def test_what_does_not_exist_has_none(self, world: World) -> None:
        with pytest.raises(NotFound):
            await backups.look(world.db, world.store, uuid4())

    async def test_what_was_never_accepted_has_none(self, world: World) -> None:
        announced = await world.announce(picture())
        with pytest.raises(Conflict, match="never accepted"):
            await backups.look(world.db, world.store, UUID(announced["media_id"]))
