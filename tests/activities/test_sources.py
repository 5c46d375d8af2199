"""The cache of sources on the worker's disk."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from activities.sources import SourceCache
from mediagate.errors import ObjectCorrupt, ObjectMissing, StorageUnavailable
from mediagate.storage.memory import MemoryStore
from tests.stores import BreakingStore, CountingStore, GatedStore

PLENTY = 10**9


async def stored(store: MemoryStore, data: bytes) -> tuple[str, str]:
    """Key and digest of a new object."""
    digest = hashlib.sha256(data).hexdigest()
    await store.put(digest, data, content_type="image/jpeg")
    return digest, digest


def files(folder: Path) -> list[str]:
    """What is on the disk."""
    return sorted(path.name for path in folder.iterdir())


class TestHold:
    async def test_holds_at_the_same_time_download_once(self, tmp_path: Path) -> None:
        memory = MemoryStore()
        key, digest = await stored(memory, b"picture")
        store = CountingStore(memory)
        cache = SourceCache(tmp_path, store, max_bytes=PLENTY)

        async def read() -> bytes:
            async with cache.hold(key, digest, max_bytes=100) as path:
                return path.read_bytes()

        assert await asyncio.gather(*(read() for _ in range(5))) == [b"picture"] * 5
        assert store.calls == [("download", key)]

    async def test_a_later_hold_finds_the_file(self, tmp_path: Path) -> None:
        memory = MemoryStore()
        key, digest = await stored(memory, b"picture")
        cache = SourceCache(tmp_path, memory, max_bytes=PLENTY)
        for _ in range(2):
            async with cache.hold(key, digest, max_bytes=100) as path:
                assert path.read_bytes() == b"picture"
            memory.failing = True

    async def test_a_failed_download_leaves_nothing_and_is_tried_again(self, tmp_path: Path) -> None:
        memory = MemoryStore()
        key, digest = await stored(memory, b"picture")
        cache = SourceCache(tmp_path, BreakingStore(memory, "download", StorageUnavailable()), max_bytes=PLENTY)
        with pytest.raises(StorageUnavailable):
            async with cache.hold(key, digest, max_bytes=100):
                pytest.fail("There is nothing to hold.")
        assert files(tmp_path) == []
        async with cache.hold(key, digest, max_bytes=100) as path:
            assert path.read_bytes() == b"picture"

    async def test_one_that_waits_for_a_download_that_fails_makes_its_own(self, tmp_path: Path) -> None:
        memory = MemoryStore()
        key, digest = await stored(memory, b"picture")
        gated = GatedStore(memory, "download")
        cache = SourceCache(tmp_path, BreakingStore(gated, "download", StorageUnavailable()), max_bytes=PLENTY)

        async def read() -> bytes:
            async with cache.hold(key, digest, max_bytes=100) as path:
                return path.read_bytes()

        gated.opened.set()
        first, second = await asyncio.gather(read(), read(), return_exceptions=True)
        assert isinstance(first, StorageUnavailable)
        assert second == b"picture"


class TestWrongBytes:
    async def test_an_object_that_is_not_what_was_recorded_is_not_kept(self, tmp_path: Path) -> None:
        memory = MemoryStore()
        key, _ = await stored(memory, b"picture")
        cache = SourceCache(tmp_path, memory, max_bytes=PLENTY)
        with pytest.raises(ObjectCorrupt):
            async with cache.hold(key, "0" * 64, max_bytes=100):
                pytest.fail("These are other bytes.")
        assert files(tmp_path) == []

    async def test_an_object_that_is_gone_says_so(self, tmp_path: Path) -> None:
        cache = SourceCache(tmp_path, MemoryStore(), max_bytes=PLENTY)
        with pytest.raises(ObjectMissing):
            async with cache.hold("nothing", "0" * 64, max_bytes=100):
                pytest.fail("There is no such object.")
        assert files(tmp_path) == []


class TestEviction:
    async def test_the_least_recently_used_goes_first(self, tmp_path: Path) -> None:
        memory = MemoryStore()
        objects = [await stored(memory, bytes([n]) * 100) for n in range(3)]
        cache = SourceCache(tmp_path, memory, max_bytes=250)
        for key, digest in (objects[0], objects[1], objects[0], objects[2]):
            async with cache.hold(key, digest, max_bytes=100):
                pass
        assert files(tmp_path) == sorted([objects[0][1], objects[2][1]])

    async def test_what_is_held_stays_whatever_the_bound(self, tmp_path: Path) -> None:
        memory = MemoryStore()
        one, two = await stored(memory, b"1" * 100), await stored(memory, b"2" * 100)
        cache = SourceCache(tmp_path, memory, max_bytes=0)
        async with cache.hold(*one, max_bytes=100) as path:
            async with cache.hold(*two, max_bytes=100):
                pass
            assert path.read_bytes() == b"1" * 100
            assert files(tmp_path) == [one[1]]
        assert files(tmp_path) == []

    async def test_many_that_end_at_once_agree(self, tmp_path: Path) -> None:
        memory = MemoryStore()
        objects = [await stored(memory, bytes([n]) * 100) for n in range(40)]
        cache = SourceCache(tmp_path, memory, max_bytes=500)

        async def read(key: str, digest: str) -> int:
            async with cache.hold(key, digest, max_bytes=100) as path:
                return len(path.read_bytes())

        assert await asyncio.gather(*(read(*each) for each in objects * 3)) == [100] * 120
        assert len(files(tmp_path)) <= 5


class TestAKilledWorker:
    async def test_its_partial_downloads_are_removed_at_the_next_start(self, tmp_path: Path) -> None:
        for name in (f"{'0' * 64}.abc.part", f".{'0' * 64}.abc.part.def.part", "1" * 64):
            (tmp_path / name).write_bytes(b"pic")
            os.utime(tmp_path / name, (0, 0))
        (tmp_path / f"{'2' * 64}.abc.part").write_bytes(b"another worker is at it")
        SourceCache(tmp_path, MemoryStore(), max_bytes=PLENTY)
        assert files(tmp_path) == ["1" * 64, f"{'2' * 64}.abc.part"]
