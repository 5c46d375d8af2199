"""Usage is counted by the database itself: whatever writes rows, and however many at the same time."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from activities.storage_usage import disks, tend, watch
from db.session import Database
from db.tables import Library, Media, MediaVariant, Notification, StorageChange, now
from mediagate.media.values import Status
from mediagate.settings import Settings
from tests.world import World, picture

Held = dict[tuple[str, str], tuple[int, int]]


async def held(db: Database, library: Library) -> Held:
    """Objects and bytes by status and kind."""
    async with db.transaction() as tx:
        return {(one.status, one.kind): (one.objects, one.bytes) for one in await tx.storage.totals(library.id)}


async def recounted(db: Database, library: Library) -> int:
    async with db.transaction() as tx:
        return await tx.storage.recount(library.id)


def item(library: Library, **fields: Any) -> Media:
    media = Media(library_id=library.id, filename="a.jpg", content_type="image/jpeg", declared_bytes=100)
    media.sqlmodel_update(fields)
    return media


def variant(media: Media, name: str = "thumb", size: int = 10) -> MediaVariant:
    facts: dict[str, Any] = {
        "width": 1,
        "height": 1,
        "quality": 80,
        "sha256": "0" * 64,
        "engine": "",
        "key": uuid4().hex,
    }
    return MediaVariant(media_id=media.id, name=name, format="jpeg", bytes=size, **facts)


class TestCounting:
    async def test_the_way_of_an_upload(self, db: Database, library: Library) -> None:
        async with db.transaction() as tx:
            tx.media.add(media := item(library))
        assert await held(db, library) == {("awaiting_upload", "announced"): (1, 100)}
        async with db.transaction() as tx:
            row = await tx.media.get(media.id, lock=True)
            row.status, row.bytes, row.master_key = Status.ACCEPTED, 90, "m"
        assert await held(db, library) == {("accepted", "master"): (1, 90)}
        async with db.transaction() as tx:
            tx.session.add_all([variant(media), variant(media, "medium", 20)])
        assert await held(db, library) == {("accepted", "master"): (1, 90), ("accepted", "variant"): (2, 30)}
        async with db.transaction() as tx:
            row = await tx.media.get(media.id, lock=True)
            row.status, row.backup_key = Status.REJECTED, "b"
        rejected = {("rejected", kind): (1, 90) for kind in ("master", "backup")}
        assert await held(db, library) == {**rejected, ("rejected", "variant"): (2, 30)}
        async with db.transaction() as tx:
            for name in ("thumb", "medium"):
                row_ = await tx.session.get(MediaVariant, (media.id, name, "jpeg", 0))
                await tx.session.delete(row_)
            row = await tx.media.get(media.id, lock=True)
            row.status, row.backup_key, row.master_key = Status.ERASED, None, None
        assert await held(db, library) == {}
        assert await recounted(db, library) == 0

    async def test_a_transaction_that_is_taken_back_counts_nothing(self, db: Database, library: Library) -> None:
        with suppress(ZeroDivisionError):
            async with db.transaction() as tx:
                tx.media.add(item(library))
                await tx.session.flush()
                raise ZeroDivisionError
        assert await held(db, library) == {}

    async def test_at_the_same_time(self, db: Database, library: Library) -> None:
        """Forty items through four statuses each, eight at a time, while everything is added up again and again."""
        limit = asyncio.Semaphore(8)

        async def live() -> None:
            async with limit:
                async with db.transaction() as tx:
                    tx.media.add(media := item(library))
                for status in (Status.ACCEPTED, Status.PROCESSING, Status.APPROVED):
                    async with db.transaction() as tx:
                        row = await tx.media.get(media.id, lock=True)
                        row.status, row.bytes, row.master_key = status, 100, "m"
                        if status is Status.PROCESSING:
                            tx.session.add(variant(media))

        async def fold() -> None:
            for _ in range(10):
                async with db.transaction() as tx:
                    await tx.storage.fold(limit=50)

        await asyncio.gather(*(live() for _ in range(40)), fold(), fold())
        wanted = {("approved", "master"): (40, 4000), ("approved", "variant"): (40, 400)}
        assert await held(db, library) == wanted
        assert await recounted(db, library) == 0
        async with db.transaction() as tx:
            await tx.storage.fold(limit=100_000)
            left = select(func.count()).select_from(StorageChange).where(col(StorageChange.library_id) == library.id)
            assert (await tx.session.execute(left)).scalar_one() == 0
        assert await held(db, library) == wanted

    async def test_what_is_wrong_is_corrected(self, db: Database, library: Library) -> None:
        async with db.transaction() as tx:
            tx.media.add(item(library, status=Status.APPROVED, bytes=7, master_key="m"))
            tx.session.add(StorageChange(library_id=library.id, status="approved", kind="master", objects=5, bytes=1))
        assert await held(db, library) == {("approved", "master"): (6, 8)}
        assert await recounted(db, library) == 1
        assert await held(db, library) == {("approved", "master"): (1, 7)}


class TestQuota:
    async def test_two_cannot_use_the_same_rest(self, db: Database, library: Library) -> None:
        async def announce() -> bool:
            async with db.transaction() as tx:
                if not await tx.storage.may_keep(library.id, size=100, most=550):
                    return False
                tx.media.add(item(library))
                return True

        assert sorted(await asyncio.gather(*(announce() for _ in range(12)))) == [False] * 7 + [True] * 5

    async def test_what_never_came_counts_no_more(self, db: Database, library: Library) -> None:
        async with db.transaction() as tx:
            tx.media.add(media := item(library))
        async with db.transaction() as tx:
            assert await tx.storage.kept(library.id) == 100
            (await tx.media.get(media.id, lock=True)).status = Status.EXPIRED
        async with db.transaction() as tx:
            assert await tx.storage.kept(library.id) == 0


class TestRoom:
    """One alert for each incident, which ends with a margin."""

    @pytest.fixture
    def name(self) -> str:
        return f"disk:{uuid4().hex}:/"

    async def seen(self, db: Database, settings: Settings, name: str, used: int) -> tuple[bool, int]:
        """Whether it is short after this look, and how many alerts there have been."""
        async with db.transaction() as tx:
            await tx.storage.tell_space(name, used=used, size=100)
        await watch(db, settings)
        async with db.transaction() as tx:
            short = next(space.short_since for space in await tx.storage.spaces() if space.name == name)
            told = (
                select(func.count()).select_from(Notification).where(col(Notification.key).startswith(f"space:{name}"))
            )
            return short is not None, (await tx.session.execute(told)).scalar_one()

    async def test_one_alert_for_each_incident(self, db: Database, stack_settings: Settings, name: str) -> None:
        looks = [(50, (False, 0)), (89, (False, 0)), (90, (True, 1)), (97, (True, 1)), (86, (True, 1)), (91, (True, 1))]
        looks += [(84, (False, 1)), (89, (False, 1)), (95, (True, 2)), (10, (False, 2))]
        for used, expected in looks:
            assert await self.seen(db, stack_settings, name, used) == expected, used

    async def test_a_large_disk_is_not_short_for_its_share(
        self, db: Database, stack_settings: Settings, name: str
    ) -> None:
        async with db.transaction() as tx:
            await tx.storage.tell_space(name, used=95 * 2**40, size=100 * 2**40)
        await watch(db, stack_settings)
        async with db.transaction() as tx:
            assert [space.short_since for space in await tx.storage.spaces() if space.name == name] == [None]

    async def test_a_process_that_is_gone_is_forgotten(self, db: Database, stack_settings: Settings, name: str) -> None:
        await self.seen(db, stack_settings, name, 95)
        async with db.transaction() as tx:
            await tx.storage.forget_spaces(now() + timedelta(minutes=1))
            assert await tx.storage.spaces() == []

    async def test_the_store_is_measured_by_what_is_counted(self, db: Database, stack_settings: Settings) -> None:
        async with db.transaction() as tx:
            used = sum(one.bytes for one in await tx.storage.totals() if one.kind != "announced")
        await watch(db, stack_settings.model_copy(update={"store_capacity": used + 10**9}))
        async with db.transaction() as tx:
            [store] = [space for space in await tx.storage.spaces() if space.name == "store"]
            await tx.storage.forget_spaces(now() + timedelta(minutes=1))
        assert (store.used, store.size) == (used, used + 10**9)

    def test_each_disk_once(self, stack_settings: Settings) -> None:
        folder = stack_settings.state_dir
        found = disks([folder, folder / "not" / "there" / "yet"])
        [(name, (used, size))] = found.items()
        assert name.endswith(f":{folder}")
        assert 0 < used < size


class TestTending:
    async def test_changes_are_added_up(self, world: World) -> None:
        media_id = await world.seal(picture(), status=Status.APPROVED)
        before = await held(world.db, world.library)
        await tend(world.deps, purges_after=timedelta(0), limit=10)
        assert await held(world.db, world.library) == before == {("approved", "master"): (1, len(picture()))}
        assert UUID(media_id)
