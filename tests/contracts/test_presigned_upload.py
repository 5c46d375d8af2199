"""What a presigned upload allows, shown on the real store with a real HTTP client, and on the twin."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from mediagate.errors import MediagateError, ObjectMissing
from mediagate.storage import keys
from mediagate.storage.store import ObjectStore, PresignedUpload
from tests.contracts.object_stores import KINDS, open_store, twin

pytestmark = pytest.mark.parametrize("kind", KINDS)

JPEG = "image/jpeg"


@pytest.fixture
async def store(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[ObjectStore]:
    made = open_store(kind, request)
    yield made
    made.close()


@pytest.fixture
async def put_store(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[ObjectStore]:
    made = open_store(kind, request, "put")
    yield made
    made.close()


@pytest.fixture
def key() -> str:
    return keys.staging(str(uuid4()))


async def is_accepted(store: ObjectStore, presigned: PresignedUpload, data: bytes) -> bool:
    """Use the presigned upload as a browser would."""
    if memory := twin(store):
        try:
            await memory.accept(presigned, data)
        except MediagateError:
            return False
        return True
    async with httpx.AsyncClient(trust_env=False) as client:
        if presigned.method == "PUT":
            response = await client.put(presigned.url, content=data, headers=presigned.headers)
        else:
            response = await client.post(presigned.url, data=presigned.fields, files={"file": ("x.jpg", data)})
    assert response.status_code < 500, response.text
    return response.is_success


class TestPresignedPost:
    async def presigned(self, store: ObjectStore, key: str) -> PresignedUpload:
        return await store.presign_upload(key, content_type=JPEG, max_bytes=10, expires=timedelta(minutes=15))

    async def test_takes_what_was_signed(self, store: ObjectStore, key: str) -> None:
        presigned = await self.presigned(store, key)
        assert (presigned.method, presigned.expires_in) == ("POST", 900)
        assert await is_accepted(store, presigned, b"0123456789")
        stat = await store.stat(key)
        assert (stat.size, stat.content_type) == (10, JPEG)

    @pytest.mark.parametrize("data", [b"", b"0123456789x"], ids=["empty", "too large"])
    async def test_refuses_another_size(self, store: ObjectStore, key: str, data: bytes) -> None:
        presigned = await self.presigned(store, key)
        assert not await is_accepted(store, presigned, data)
        with pytest.raises(ObjectMissing):
            await store.stat(key)

    @pytest.mark.parametrize(
        "change",
        [{"Content-Type": "text/html"}, {"key": "staging/other"}, {"key": "../../escape"}],
        ids=["type", "key", "traversal"],
    )
    async def test_refuses_other_fields(self, store: ObjectStore, key: str, change: dict[str, str]) -> None:
        presigned = await self.presigned(store, key)
        forged = presigned.model_copy(update={"fields": {**presigned.fields, **change}})
        assert not await is_accepted(store, forged, b"hello")

    async def test_refuses_when_it_has_expired(self, store: ObjectStore, key: str) -> None:
        presigned = await store.presign_upload(key, content_type=JPEG, max_bytes=10, expires=timedelta(seconds=-60))
        assert not await is_accepted(store, presigned, b"hello")


class TestPresignedPut:
    async def test_takes_the_bytes(self, put_store: ObjectStore, key: str) -> None:
        presigned = await put_store.presign_upload(key, content_type=JPEG, max_bytes=10, expires=timedelta(minutes=15))
        assert (presigned.method, presigned.headers) == ("PUT", {"Content-Type": JPEG})
        assert await is_accepted(put_store, presigned, b"hello")
        stat = await put_store.stat(key)
        assert (stat.size, stat.content_type) == (5, JPEG)

    async def test_refuses_a_changed_url(self, put_store: ObjectStore, key: str) -> None:
        presigned = await put_store.presign_upload(key, content_type=JPEG, max_bytes=10, expires=timedelta(minutes=15))
        assert not await is_accepted(
            put_store, presigned.model_copy(update={"url": presigned.url[:-4] + "0000"}), b"hello"
        )
