"""What every object store does, shown on the real one and on its twin."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from mediagate.errors import InvalidRequest, ObjectCorrupt, ObjectMissing, StorageUnavailable, TooLarge
from mediagate.storage import keys
from mediagate.storage.store import CHUNK, ObjectStore
from tests.contracts.object_stores import KINDS, open_store, open_store_that_is_down

pytestmark = pytest.mark.parametrize("kind", KINDS)

JPEG = "image/jpeg"
SIX_MB = bytes(range(256)) * (6 * 4 * 1024)


@pytest.fixture
async def store(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[ObjectStore]:
    async with asyncio.timeout(60):
        made = open_store(kind, request)
        yield made
        made.close()


@pytest.fixture
def media_id() -> str:
    return str(uuid4())


@pytest.fixture
def key(media_id: str) -> str:
    return keys.staging(media_id)


async def read(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class TestPutAndGet:
    async def test_bytes_come_back_with_their_facts(self, store: ObjectStore, key: str) -> None:
        written = await store.put(key, b"hello", content_type=JPEG)
        assert await store.get_bytes(key, max_bytes=5) == b"hello"
        assert await store.stat(key) == written.model_copy(update={"modified": (await store.stat(key)).modified})
        assert (written.key, written.size, written.content_type) == (key, 5, JPEG)
        assert written.etag == hashlib.md5(b"hello").hexdigest()

    async def test_writing_again_replaces_the_whole_object(self, store: ObjectStore, key: str) -> None:
        await store.put(key, b"first and longer", content_type=JPEG)
        await store.put(key, b"second", content_type="image/png")
        assert await store.get_bytes(key, max_bytes=100) == b"second"
        assert (await store.stat(key)).content_type == "image/png"

    async def test_a_file_of_multipart_size(self, store: ObjectStore, key: str, tmp_path: Path) -> None:
        path = tmp_path / "source"
        path.write_bytes(SIX_MB)
        digest = hashlib.sha256(SIX_MB).hexdigest()
        stat = await store.put(key, path, content_type=JPEG, sha256=digest)
        assert stat.size == len(SIX_MB)
        assert await store.sha256(key) == digest

    async def test_data_with_another_digest_are_not_written(self, store: ObjectStore, key: str) -> None:
        with pytest.raises(ObjectCorrupt):
            await store.put(key, b"hello", content_type=JPEG, sha256="0" * 64)
        with pytest.raises(ObjectMissing):
            await store.stat(key)

    async def test_an_object_beyond_the_limit_is_not_read(self, store: ObjectStore, key: str) -> None:
        await store.put(key, b"hello", content_type=JPEG)
        with pytest.raises(TooLarge):
            await store.get_bytes(key, max_bytes=4)

    async def test_an_empty_object(self, store: ObjectStore, key: str) -> None:
        await store.put(key, b"", content_type=JPEG)
        assert await store.get_bytes(key, max_bytes=10) == b""
        assert await read(store.stream(key)) == b""

    async def test_many_at_once(self, store: ObjectStore) -> None:
        bodies = {keys.staging(str(uuid4())): str(n).encode() for n in range(60)}
        await asyncio.gather(*(store.put(key, body, content_type=JPEG) for key, body in bodies.items()))
        found = await asyncio.gather(*(store.get_bytes(key, max_bytes=10) for key in bodies))
        assert found == [*bodies.values()]


class TestDownload:
    async def test_writes_the_file_and_says_its_digest(self, store: ObjectStore, key: str, tmp_path: Path) -> None:
        await store.put(key, SIX_MB, content_type=JPEG)
        digest = await store.download(key, tmp_path / "file", max_bytes=len(SIX_MB))
        assert digest == hashlib.sha256(SIX_MB).hexdigest()
        assert (tmp_path / "file").read_bytes() == SIX_MB
        assert names(tmp_path) == ["file"]

    async def test_leaves_nothing_when_the_object_is_too_large(
        self, store: ObjectStore, key: str, tmp_path: Path
    ) -> None:
        await store.put(key, SIX_MB, content_type=JPEG)
        with pytest.raises(TooLarge):
            await store.download(key, tmp_path / "file", max_bytes=len(SIX_MB) - 1)
        assert names(tmp_path) == []


class TestStream:
    async def test_comes_in_bounded_chunks(self, store: ObjectStore, key: str) -> None:
        await store.put(key, SIX_MB, content_type=JPEG)
        chunks = [chunk async for chunk in store.stream(key)]
        assert b"".join(chunks) == SIX_MB
        assert max(map(len, chunks)) <= CHUNK

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [(0, None, b"0123456789"), (3, None, b"3456789"), (0, 4, b"0123"), (3, 4, b"3456"), (8, 9, b"89"), (3, 0, b"")],
    )
    async def test_ranges(self, store: ObjectStore, key: str, start: int, length: int | None, expected: bytes) -> None:
        await store.put(key, b"0123456789", content_type=JPEG)
        assert await read(store.stream(key, start=start, length=length)) == expected

    async def test_a_range_after_the_end_is_refused(self, store: ObjectStore, key: str) -> None:
        await store.put(key, b"0123456789", content_type=JPEG)
        with pytest.raises(InvalidRequest):
            await read(store.stream(key, start=10))

    async def test_a_reader_who_leaves_early_takes_nothing_with_him(self, store: ObjectStore, key: str) -> None:
        await store.put(key, SIX_MB, content_type=JPEG)
        for _ in range(40):
            chunks = store.stream(key)
            assert len(await anext(chunks)) == CHUNK
            await chunks.aclose()  # type: ignore[attr-defined]
        assert await store.sha256(key) == hashlib.sha256(SIX_MB).hexdigest()


class TestMissing:
    async def test_every_read_says_so(self, store: ObjectStore, key: str, tmp_path: Path) -> None:
        reads = [
            store.stat(key),
            store.sha256(key),
            store.get_bytes(key, max_bytes=1),
            store.download(key, tmp_path / "file", max_bytes=1),
            store.copy(key, key + "-copy"),
            read(store.stream(key)),
        ]
        errors = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(error) for error in errors] == [ObjectMissing] * len(reads)
        assert names(tmp_path) == []


class TestCopyAndDelete:
    async def test_copy_keeps_bytes_type_and_source(self, store: ObjectStore, media_id: str) -> None:
        source, target = keys.staging(media_id), keys.master("demo", media_id)
        await store.put(source, b"hello", content_type=JPEG)
        await store.copy(source, target)
        copied = await store.stat(target)
        assert (copied.key, copied.size, copied.content_type) == (target, 5, JPEG)
        assert await store.get_bytes(source, max_bytes=5) == await store.get_bytes(target, max_bytes=5)

    async def test_copying_twice_has_the_same_effect(self, store: ObjectStore, media_id: str) -> None:
        source, target = keys.staging(media_id), keys.master("demo", media_id)
        await store.put(source, b"hello", content_type=JPEG)
        await store.copy(source, target)
        await store.copy(source, target)
        assert await store.get_bytes(target, max_bytes=5) == b"hello"

    async def test_several_are_deleted_at_once_whether_they_are_there_or_not(
        self, store: ObjectStore, media_id: str
    ) -> None:
        there, absent = keys.staging(media_id), keys.master("demo", media_id)
        await store.put(there, b"hello", content_type=JPEG)
        await store.delete_all([])
        await store.delete_all([there, absent])
        await store.delete_all([there, absent])
        with pytest.raises(ObjectMissing):
            await store.stat(there)

    async def test_deleting_twice_is_no_error(self, store: ObjectStore, key: str) -> None:
        await store.put(key, b"hello", content_type=JPEG)
        await store.delete(key)
        await store.delete(key)
        with pytest.raises(ObjectMissing):
            await store.stat(key)


class TestList:
    async def test_names_what_is_below_a_prefix_in_order(self, store: ObjectStore, media_id: str) -> None:
        names = ["medium", "original", "thumb"]
        for name in reversed(names):
            await store.put(keys.work(media_id, name), name.encode(), content_type=JPEG)
        found = [item async for item in store.list(f"{keys.WORK}{media_id}/")]
        assert [item.key for item in found] == [keys.work(media_id, name) for name in names]
        assert [item.size for item in found] == [len(name) for name in names]

    async def test_goes_on_after_a_key(self, store: ObjectStore, media_id: str) -> None:
        for name in ("medium", "original", "thumb"):
            await store.put(keys.work(media_id, name), name.encode(), content_type=JPEG)
        found = [item.key async for item in store.list(f"{keys.WORK}{media_id}/", after=keys.work(media_id, "medium"))]
        assert found == [keys.work(media_id, name) for name in ("original", "thumb")]

    async def test_names_what_several_folders_have(self, store: ObjectStore, media_id: str) -> None:
        written = [keys.master("demo", media_id), keys.master("other", media_id), keys.staging(media_id)]
        for key in written:
            await store.put(key, b"x", content_type=JPEG)
        assert [item.key async for item in store.list("") if media_id in item.key] == written

    async def test_nothing_there(self, store: ObjectStore, media_id: str) -> None:
        assert [item async for item in store.list(f"{keys.WORK}{media_id}/")] == []


class TestReadiness:
    async def test_ready_once_the_bucket_is_there(self, store: ObjectStore) -> None:
        await store.ensure_bucket(["http://127.0.0.1:8000"])
        await store.ensure_bucket(["http://127.0.0.1:8000"])
        await store.ready()

    async def test_a_store_that_is_down_is_unavailable(self, kind: str, key: str) -> None:
        down = open_store_that_is_down(kind)
        calls = [down.ready(), down.stat(key), down.put(key, b"x", content_type=JPEG), down.delete(key)]
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(error) for error in errors] == [StorageUnavailable] * len(calls)
        down.close()
