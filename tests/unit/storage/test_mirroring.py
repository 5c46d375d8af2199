"""One object, the same on both sides, whatever others do meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from mediagate.errors import Conflict, StorageUnavailable
from mediagate.storage import keys
from mediagate.storage.memory import MemoryStore
from mediagate.storage.mirroring import Mirrored, Outcome, mirror
from mediagate.storage.store import ObjectStore
from tests.stores import CountingStore, LayeredStore

JPEG = "image/jpeg"
KEY = keys.master("photos", str(uuid4()))


async def nothing_against_it() -> None:
    """A guard that lets everything pass."""


async def outcome(source: ObjectStore, target: ObjectStore) -> Mirrored:
    return await mirror(source, target, KEY, nothing_against_it)


class Interrupted(LayeredStore):
    """Lets something happen before the calls of one method, as often as it is told."""

    def __init__(self, inner: ObjectStore, call: str, happens: Callable[[], Awaitable[object]], times: int = 1) -> None:
        super().__init__(inner)
        self.call, self.happens, self.times = call, happens, times

    async def before(self, call: str, key: str) -> None:
        del key
        if call == self.call and self.times:
            self.times -= 1
            await self.happens()


@pytest.fixture
def source() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def target() -> MemoryStore:
    return MemoryStore()


class TestOneObject:
    @pytest.mark.parametrize(
        ("here", "there", "expected"),
        [
            (b"x", None, Mirrored(outcome=Outcome.COPIED, bytes=1)),
            (b"x", b"x", Mirrored(outcome=Outcome.SAME, bytes=1)),
            (b"x", b"y", Mirrored(outcome=Outcome.COPIED, bytes=1)),
            (b"", b"yy", Mirrored(outcome=Outcome.COPIED, bytes=0)),
            (None, b"y", Mirrored(outcome=Outcome.REMOVED)),
            (None, None, Mirrored(outcome=Outcome.ABSENT)),
        ],
        ids=["missing", "same", "altered", "longer", "gone", "nothing"],
    )
    async def test_is_the_same_afterwards(
        self, source: MemoryStore, target: MemoryStore, here: bytes | None, there: bytes | None, expected: Mirrored
    ) -> None:
        for store, data in ((source, here), (target, there)):
            if data is not None:
                await store.put(KEY, data, content_type=JPEG)
        assert await outcome(source, target) == expected
        assert [stat.key async for stat in target.list("")] == ([] if here is None else [KEY])
        if here is not None:
            assert await target.get_bytes(KEY, max_bytes=9) == here
        again = Outcome.ABSENT if here is None else Outcome.SAME
        assert (await outcome(source, target)).outcome is again

    async def test_another_type_is_not_the_same(self, source: MemoryStore, target: MemoryStore) -> None:
        await source.put(KEY, b"x", content_type=JPEG)
        await target.put(KEY, b"x", content_type="image/png")
        await outcome(source, target)
        assert (await target.stat(KEY)).content_type == JPEG

    async def test_what_is_the_same_is_not_written(self, source: MemoryStore, target: MemoryStore) -> None:
        for store in (source, target):
            await store.put(KEY, b"x", content_type=JPEG)
        counting = CountingStore(target)
        await outcome(source, counting)
        assert {call for call, _ in counting.calls} == {"stat", "sha256"}

    @pytest.mark.parametrize("here", [b"x", None], ids=["copied", "removed"])
    async def test_nothing_is_changed_against_the_guard(
        self, source: MemoryStore, target: MemoryStore, here: bytes | None
    ) -> None:
        async def forbid() -> None:
            raise Conflict

        if here:
            await source.put(KEY, here, content_type=JPEG)
        await target.put(KEY, b"y", content_type=JPEG)
        with pytest.raises(Conflict):
            await mirror(source, target, KEY, forbid)
        assert await target.get_bytes(KEY, max_bytes=1) == b"y"


class TestOthersAtWork:
    """Others write and delete on both sides, the source first."""

    @pytest.mark.parametrize("call", ["put", "sha256", "stat"])
    async def test_a_write_meanwhile_wins(self, source: MemoryStore, target: MemoryStore, call: str) -> None:
        async def write() -> None:
            for store in (source, target):
                await store.put(KEY, b"new", content_type=JPEG)

        await source.put(KEY, b"old", content_type=JPEG)
        await outcome(source, Interrupted(target, call, write))
        assert await target.get_bytes(KEY, max_bytes=3) == b"new"

    @pytest.mark.parametrize("call", ["put", "sha256", "stat"])
    async def test_a_deletion_meanwhile_wins(self, source: MemoryStore, target: MemoryStore, call: str) -> None:
        async def delete() -> None:
            for store in (source, target):
                await store.delete(KEY)

        await source.put(KEY, b"old", content_type=JPEG)
        await outcome(source, Interrupted(target, call, delete))
        assert [stat async for stat in target.list("")] == []

    async def test_a_first_write_while_it_is_removed(self, source: MemoryStore, target: MemoryStore) -> None:
        async def write() -> None:
            for store in (source, target):
                await store.put(KEY, b"new", content_type=JPEG)

        await target.put(KEY, b"old", content_type=JPEG)
        await outcome(source, Interrupted(target, "delete", write))
        assert await target.get_bytes(KEY, max_bytes=3) == b"new"

    async def test_an_object_that_never_rests_is_left_for_another_time(
        self, source: MemoryStore, target: MemoryStore
    ) -> None:
        async def write() -> None:
            await source.put(KEY, uuid4().bytes, content_type=JPEG)

        await write()
        with pytest.raises(StorageUnavailable, match="keeps changing"):
            async with asyncio.timeout(5):
                await outcome(source, Interrupted(target, "put", write, times=99))

    async def test_a_copy_that_does_not_read_back_is_no_copy(self, source: MemoryStore, target: MemoryStore) -> None:
        async def rot() -> None:
            await target.put(KEY, b"rot", content_type=JPEG)

        await source.put(KEY, b"old", content_type=JPEG)
        with pytest.raises(StorageUnavailable, match="does not read back"):
            await outcome(source, Interrupted(target, "sha256", rot, times=99))
