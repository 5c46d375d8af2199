"""What a store in trouble becomes, against a server that plays one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import SecretStr

from mediagate.errors import Conflict, InvalidRequest, MediagateError, ObjectMissing, StorageUnavailable, TooLarge
from mediagate.storage import keys
from mediagate.storage.s3 import S3Store
from mediagate.storage.store import S3Address
from tests.contracts.loopback import served


def document(code: str) -> str:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>so it is</Message></Error>"


class Trouble:
    """Answers every request the same way, and counts them."""

    def __init__(self) -> None:
        self.status = 200
        self.body = ""
        self.media_type = "application/xml"
        self.headers: dict[str, str] = {}
        self.requests = 0
        self.stalls = False
        self.stalled = asyncio.Event()
        self.go_on = asyncio.Event()
        self.app = FastAPI()
        self.app.api_route("/{path:path}", methods=["GET", "PUT", "HEAD", "DELETE", "POST"])(self.answer)

    async def answer(self, request: Request, path: str) -> Response:
        self.requests += 1
        if self.stalls:
            return StreamingResponse(self.slowly(), headers={"content-length": "1000000"})
        return Response(self.body, self.status, media_type=self.media_type, headers=self.headers)

    async def slowly(self) -> AsyncIterator[bytes]:
        yield b"x" * 300_000
        self.stalled.set()
        await self.go_on.wait()
        yield b"x" * 700_000


@pytest.fixture
async def trouble() -> AsyncIterator[tuple[Trouble, S3Store]]:
    made = Trouble()
    async with served(made.app) as url:
        address = S3Address(url=url, access_key=SecretStr("a"), secret_key=SecretStr("b" * 8), bucket="demo-bucket")
        store = S3Store(address, connections=2, read_timeout=1)
        yield made, store
        made.go_on.set()
        store.close()


KEY = keys.staging(str(uuid4()))


class TestAnswers:
    @pytest.mark.parametrize(
        ("status", "code", "error"),
        [
            (404, "NoSuchKey", ObjectMissing),
            (404, "NoSuchBucket", StorageUnavailable),
            (403, "AccessDenied", StorageUnavailable),
            (403, "RequestTimeTooSkewed", StorageUnavailable),
            (412, "PreconditionFailed", Conflict),
            (416, "InvalidRange", InvalidRequest),
            (400, "EntityTooLarge", TooLarge),
            (429, "TooManyRequests", StorageUnavailable),
            (500, "InternalError", StorageUnavailable),
            (503, "SlowDown", StorageUnavailable),
            (507, "XMinioStorageFull", StorageUnavailable),
        ],
    )
    async def test_become_errors_of_the_tree(
        self, trouble: tuple[Trouble, S3Store], status: int, code: str, error: type[MediagateError]
    ) -> None:
        server, store = trouble
        server.status, server.body = status, document(code)
        with pytest.raises(MediagateError) as caught:
            await store.get_bytes(KEY, max_bytes=10)
        assert type(caught.value) is error
        assert KEY in str(caught.value)

    async def test_a_full_disk_is_named_and_not_the_callers_fault(self, trouble: tuple[Trouble, S3Store]) -> None:
        server, store = trouble
        server.status, server.body = 507, document("XMinioStorageFull")
        with pytest.raises(StorageUnavailable, match="XMinioStorageFull"):
            await store.put(KEY, b"x", content_type="image/jpeg")

    async def test_something_else_than_a_store(self, trouble: tuple[Trouble, S3Store]) -> None:
        server, store = trouble
        server.status, server.body, server.media_type = 502, "<html>", "text/html"
        with pytest.raises(StorageUnavailable):
            await store.ready()

    async def test_tries_are_few(self, trouble: tuple[Trouble, S3Store]) -> None:
        server, store = trouble
        server.status, server.body = 503, document("SlowDown")
        with pytest.raises(StorageUnavailable):
            await store.stat(KEY)
        assert server.requests == 3

    async def test_it_does_not_sleep_as_long_as_the_store_likes(self, trouble: tuple[Trouble, S3Store]) -> None:
        server, store = trouble
        server.status, server.body, server.headers = 503, document("SlowDown"), {"Retry-After": "120"}
        with pytest.raises(StorageUnavailable) as caught:
            await asyncio.wait_for(store.get_bytes(KEY, max_bytes=10), 20)
        assert caught.value.retry_after == 120


class TestStalls:
    async def test_a_body_that_stops_is_unavailable_and_leaves_no_file(
        self, trouble: tuple[Trouble, S3Store], tmp_path: Path
    ) -> None:
        server, store = trouble
        server.stalls = True
        with pytest.raises(StorageUnavailable):
            await store.download(KEY, tmp_path / "file", max_bytes=10_000_000)
        assert names(tmp_path) == []

    async def test_a_reader_who_is_cancelled_is_gone_at_once(self, trouble: tuple[Trouble, S3Store]) -> None:
        server, store = trouble
        server.stalls = True

        async def read() -> None:
            async for _ in store.stream(KEY):
                pass

        reading = asyncio.create_task(read())
        await asyncio.wait_for(server.stalled.wait(), 10)
        reading.cancel()
        async with asyncio.timeout(0.5):  # the thread below is still inside its read
            with pytest.raises(asyncio.CancelledError):
                await reading
        server.stalls = False
        server.status, server.body = 404, document("NoSuchKey")
        with pytest.raises(ObjectMissing):
            await store.get_bytes(KEY, max_bytes=10)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class TestAddress:
    @pytest.mark.parametrize("url", ["", "127.0.0.1:9000", "ftp://host", "http://host/path", "http://"])
    def test_a_mistake_in_the_settings_is_named(self, url: str) -> None:
        with pytest.raises(ValueError, match="address of an S3 store"):
            S3Store(S3Address(url=url, access_key=SecretStr("a"), secret_key=SecretStr("b" * 8), bucket="demo"))
