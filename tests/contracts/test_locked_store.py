"""What every locked store does, shown on the real one and on its twin."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from pydantic import SecretStr

from db.tables import now
from mediagate.errors import Conflict, ObjectMissing, StorageUnavailable
from mediagate.settings import Settings
from mediagate.storage import keys
from mediagate.storage.locked import LockedStore, ObjectLock
from mediagate.storage.memory_locked import MemoryLockedStore
from mediagate.storage.s3 import S3Store
from mediagate.storage.s3_locked import S3LockedStore
from mediagate.storage.store import CHUNK, S3Address
from tests.contracts.object_stores import KINDS, address

BYTES = "application/octet-stream"
SIX_MB = bytes(range(256)) * (6 * 4 * 1024)


def later(**time: float) -> datetime:
    return now().replace(microsecond=0) + timedelta(**time)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
async def store(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[LockedStore]:
    made: LockedStore
    if kind == "memory":
        made = MemoryLockedStore()
    else:
        settings: Settings = request.getfixturevalue("stack_settings")
        made = S3LockedStore(address(settings).model_copy(update={"bucket": f"{settings.s3_bucket}-evidence"}))
    await made.ensure_locked_bucket()
    yield made
    made.close()


@pytest.fixture
def key() -> str:
    return keys.evidence("demo", str(uuid4()), 0)


async def put(store: LockedStore, key: str, data: bytes = b"hello", **time: float) -> str:
    until = later(**(time or {"hours": 1}))
    return await store.put_locked(key, io.BytesIO(data), content_type=BYTES, retain_until=until)


async def read(store: LockedStore, key: str, version: str) -> bytes:
    return b"".join([chunk async for chunk in store.stream(key, version=version)])


class TestPut:
    async def test_bytes_come_back_by_their_version(self, store: LockedStore, key: str) -> None:
        version = await put(store, key)
        assert await read(store, key, version) == b"hello"

    async def test_from_the_beginning_of_the_file(self, store: LockedStore, key: str) -> None:
        file = io.BytesIO(b"hello")
        file.seek(3)
        version = await store.put_locked(key, file, content_type=BYTES, retain_until=later(hours=1))
        assert await read(store, key, version) == b"hello"

    async def test_of_multipart_size(self, store: LockedStore, key: str) -> None:
        version = await put(store, key, SIX_MB)
        chunks = [chunk async for chunk in store.stream(key, version=version)]
        assert hashlib.sha256(b"".join(chunks)).digest() == hashlib.sha256(SIX_MB).digest()
        assert max(map(len, chunks)) <= CHUNK
        assert (await store.lock(key, version)).holds_until(later(minutes=59))

    async def test_a_second_one_stands_beside_the_first(self, store: LockedStore, key: str) -> None:
        first = await put(store, key, b"first")
        second = await put(store, key, b"second")
        assert first != second
        assert await read(store, key, first) == b"first"
        assert await read(store, key, second) == b"second"


class TestLock:
    async def test_says_until_when_and_that_nobody_may_shorten_it(self, store: LockedStore, key: str) -> None:
        until = later(hours=2)
        version = await store.put_locked(key, io.BytesIO(b"x"), content_type=BYTES, retain_until=until)
        lock = await store.lock(key, version)
        assert lock == ObjectLock(retain_until=until, compliance=True, legal_hold=False)
        assert lock.holds_until(until)
        assert not lock.holds_until(until + timedelta(seconds=1))

    async def test_nobody_deletes_it(self, store: LockedStore, key: str) -> None:
        version = await put(store, key)
        with pytest.raises(Conflict, match="locked"):
            await store.delete_version(key, version)
        assert await read(store, key, version) == b"hello"

    async def test_what_is_past_its_retention_goes(self, store: LockedStore, key: str) -> None:
        version = await put(store, key, seconds=1)

        async def gone() -> bool:
            try:
                await store.delete_version(key, version)
            except Conflict:
                return False
            return True

        async with asyncio.timeout(20):
            while not await gone():
                await asyncio.sleep(0.05)
        with pytest.raises(ObjectMissing):
            await read(store, key, version)
        await store.delete_version(key, version)

    async def test_a_legal_hold_outlasts_the_retention(self, store: LockedStore, key: str) -> None:
        version = await put(store, key, seconds=1)
        for _ in range(2):
            await store.set_legal_hold(key, version, on=True)
        lock = await store.lock(key, version)
        assert lock.legal_hold
        assert lock.retain_until
        async with asyncio.timeout(20):
            while now() <= lock.retain_until:
                await asyncio.sleep(0.05)
        with pytest.raises(Conflict):
            await store.delete_version(key, version)
        for _ in range(2):
            await store.set_legal_hold(key, version, on=False)
        await store.delete_version(key, version)


class TestMissing:
    async def test_every_call_says_so(self, store: LockedStore, key: str) -> None:
        version = await put(store, key)
        other = key.replace("/0", "/1")
        calls = [
            read(store, other, version),
            store.lock(other, version),
            store.set_legal_hold(other, version, on=True),
        ]
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(error) for error in errors] == [ObjectMissing] * len(calls)


class TestKeys:
    async def test_each_once_and_in_order(self, store: LockedStore) -> None:
        folder = f"records/demo/{uuid4()}/"
        for number in (2, 1, 1):
            await put(store, f"{folder}{number}")
        assert [key async for key in store.keys(folder)] == [f"{folder}1", f"{folder}2"]
        assert [key async for key in store.keys(f"{folder}nothing")] == []


class TestReadiness:
    async def test_the_bucket_is_made_once(self, store: LockedStore) -> None:
        await store.ensure_locked_bucket()
        await store.ready()

    async def test_a_store_that_is_down_is_unavailable(self, kind: str, key: str) -> None:
        down: LockedStore
        if kind == "memory":
            down = twin = MemoryLockedStore()
            twin.failing = True
        else:
            closed = S3Address(
                url="http://127.0.0.1:9", access_key=SecretStr("a"), secret_key=SecretStr("b" * 8), bucket="none"
            )
            down = S3LockedStore(closed)
        calls = [down.ready(), down.lock(key, "1"), put(down, key), down.delete_version(key, "1"), read(down, key, "1")]
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(error) for error in errors] == [StorageUnavailable] * len(calls)
        down.close()


class TestS3:
    """What only the real one can show."""

    @pytest.fixture
    async def locked(self, stack_settings: Settings) -> AsyncIterator[S3LockedStore]:
        bucket = f"locked-{uuid4().hex[:8]}"
        made = S3LockedStore(address(stack_settings).model_copy(update={"bucket": bucket}))
        await made.ensure_locked_bucket()
        yield made
        made.close()

    async def test_hiding_or_overwriting_a_key_hides_nothing(self, locked: S3LockedStore, key: str) -> None:
        version = await put(locked, key)
        await locked.put(key, b"another", content_type=BYTES)  # by somebody with the store's credentials
        await locked.delete(key)
        with pytest.raises(ObjectMissing):
            await locked.stat(key)
        assert await read(locked, key, version) == b"hello"
        assert [found async for found in locked.keys("records/")] == [key]

    async def test_more_keys_than_a_page_holds(self, locked: S3LockedStore) -> None:
        wanted = [keys.checkpoint("evidence", number, "0" * 64) for number in range(1, 1101)]
        await asyncio.gather(*(locked.put(key, b"", content_type=BYTES) for key in wanted))
        assert [found async for found in locked.keys(keys.checkpoints("evidence"))] == wanted

    async def test_a_bucket_that_cannot_lock_is_refused(self, stack_settings: Settings) -> None:
        plain = address(stack_settings).model_copy(update={"bucket": f"plain-{uuid4().hex[:8]}"})
        store, locked = S3Store(plain), S3LockedStore(plain)
        await store.ensure_bucket()
        with pytest.raises(StorageUnavailable, match="made without object lock"):
            await locked.ensure_locked_bucket()
        with pytest.raises(StorageUnavailable):
            await put(locked, keys.evidence("demo", str(uuid4()), 0))
        store.close()
        locked.close()
