"""The object store on S3, through the `minio` client.

The client is synchronous: calls run in a bounded pool of threads of their own, so that a slow store cannot take the
threads of other work. Retries here only bridge a blip; lasting trouble becomes `StorageUnavailable` and is retried by
policy.
"""

import asyncio
import hashlib
import io
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.datatypes import Object, PostPolicy
from minio.deleteobjects import DeleteObject
from minio.helpers import MIN_PART_SIZE
from urllib3 import BaseHTTPResponse

from mediagate import metrics
from mediagate.errors import ObjectCorrupt, StorageUnavailable, TooLarge
from mediagate.storage.measured import in_thread, measured
from mediagate.storage.s3_cors import set_cors
from mediagate.storage.s3_errors import translated
from mediagate.storage.store import CHUNK, ObjectStat, PresignedUpload, S3Address

T = TypeVar("T")

_PAGE = 1000
_EPOCH = datetime.fromtimestamp(0, UTC)


class S3Store:
    """`ObjectStore` on any S3. Make one per process; thread-safe; `close` it at the end.

    connections: calls at a time, and connections kept.
    connect_timeout, read_timeout: seconds; the second bounds each wait for bytes, not the whole transfer.
    """

    def __init__(
        self, address: S3Address, *, connections: int = 16, connect_timeout: float = 3, read_timeout: float = 30
    ) -> None:
        # A Retry-After header would let urllib3 sleep in the thread for as long as the store likes.
        retries = urllib3.Retry(
            total=2,
            backoff_factor=0.2,
            status_forcelist=(500, 502, 503, 504),
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        timeout = urllib3.Timeout(connect=connect_timeout, read=read_timeout)
        self._http = urllib3.PoolManager(maxsize=connections, timeout=timeout, retries=retries)
        self._executor = ThreadPoolExecutor(connections, thread_name_prefix="s3")
        self._address = address
        self._bucket = address.bucket
        self._client = _client(address.url, address, self._http)
        self._public = _client(address.public_url, address, self._http) if address.public_url else self._client

    async def put(self, key: str, data: bytes | Path, *, content_type: str, sha256: str | None = None) -> ObjectStat:
        return await self._run(self._put, key, data, content_type, sha256)

    def _put(self, key: str, data: bytes | Path, content_type: str, sha256: str | None) -> ObjectStat:
        with _opened(data) as source:
            size = source.seek(0, io.SEEK_END)
            source.seek(0)
            if sha256 is not None:
                digest = hashlib.file_digest(source, "sha256").hexdigest()
                if digest != sha256:
                    raise ObjectCorrupt(f"The data for {key!r} have SHA-256 {digest}, not {sha256}.")
                source.seek(0)
            with translated(key):
                # One part at a time: three parallel ones would hold three parts and leave this pool's bounds.
                written = self._client.put_object(
                    self._bucket,
                    key,
                    source,
                    size,
                    content_type=content_type,
                    part_size=MIN_PART_SIZE,
                    num_parallel_uploads=1,
                )
        metrics.STORE_BYTES.add(size, direction="written")
        # What a look at the object would say: asking for it would double the requests of every upload.
        return ObjectStat(
            key=key, size=size, etag=written.etag or "", content_type=content_type, modified=datetime.now(UTC)
        )

    async def get_bytes(self, key: str, *, max_bytes: int) -> bytes:
        return await self._run(self._get_bytes, key, max_bytes)

    def _get_bytes(self, key: str, max_bytes: int) -> bytes:
        return b"".join(self._chunks(key, max_bytes))

    async def stream(
        self, key: str, *, start: int = 0, length: int | None = None, version: str | None = None
    ) -> AsyncIterator[bytes]:
        if length == 0:
            return
        response = await self._run(self._open, key, start, length, version)
        reading: asyncio.Future[bytes] | None = None
        try:
            while True:
                reading = in_thread(self._executor, _read, response, key)
                chunk = await asyncio.shield(reading)
                if not chunk:
                    return
                yield chunk
        finally:
            # A cancelled reader leaves a thread inside the response: it is closed when that thread is through.
            if reading is None or reading.done():
                _release(response)
            else:
                reading.add_done_callback(lambda done: _abandon(response, done))

    def _open(self, key: str, start: int, length: int | None, version: str | None = None) -> BaseHTTPResponse:
        with translated(key):
            return self._client.get_object(self._bucket, key, offset=start, length=length or 0, version_id=version)

    def _chunks(self, key: str, max_bytes: int | None) -> Iterator[bytes]:
        """The whole object; for use in one thread. Raises `TooLarge` beyond `max_bytes`."""
        response = self._open(key, 0, None)
        try:
            total = 0
            while chunk := _read(response, key):
                total += len(chunk)
                if max_bytes is not None and total > max_bytes:
                    raise TooLarge(f"The object {key!r} is larger than {max_bytes} bytes.")
                yield chunk
        finally:
            _release(response)

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        return await self._run(self._download, key, path, max_bytes)

    def _download(self, key: str, path: Path, max_bytes: int) -> str:
        digest = hashlib.sha256()
        partial = path.with_name(f".{path.name}.{uuid4().hex}.part")
        try:
            with partial.open("xb") as file:
                for chunk in self._chunks(key, max_bytes):
                    digest.update(chunk)
                    file.write(chunk)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return digest.hexdigest()

    async def stat(self, key: str) -> ObjectStat:
        return await self._run(self._stat, key)

    def _stat(self, key: str) -> ObjectStat:
        with translated(key):
            return _described(self._client.stat_object(self._bucket, key))

    async def copy(self, source: str, target: str) -> None:
        await self._run(self._copy, source, target)

    def _copy(self, source: str, target: str) -> None:
        with translated(source):
            self._client.copy_object(self._bucket, target, CopySource(self._bucket, source))

    async def spread(self, key: str) -> None:
        """Nothing: there is one place."""

    async def sha256(self, key: str) -> str:
        return await self._run(self._sha256, key)

    def _sha256(self, key: str) -> str:
        digest = hashlib.sha256()
        for chunk in self._chunks(key, None):
            digest.update(chunk)
        return digest.hexdigest()

    async def delete(self, key: str) -> None:
        await self._run(self._delete, key)

    def _delete(self, key: str) -> None:
        with translated(key, missing_ok=True):
            self._client.remove_object(self._bucket, key)

    async def delete_all(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _PAGE):
            await self._run(self._delete_all, keys[start : start + _PAGE])

    def _delete_all(self, keys: Sequence[str]) -> None:
        with translated(keys[0], missing_ok=True):
            for refused in self._client.remove_objects(self._bucket, map(DeleteObject, keys)):
                raise StorageUnavailable(f"The store did not delete {refused.name!r}: {refused.message}")

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectStat]:
        objects = self._client.list_objects(self._bucket, prefix=prefix, recursive=True, start_after=after or None)
        while page := await self._run(_page, objects, prefix):
            for item in page:
                yield item

    async def presign_upload(
        self, key: str, *, content_type: str, max_bytes: int, expires: timedelta
    ) -> PresignedUpload:
        if self._address.presign == "put":
            seconds = int(expires.total_seconds())
            url = self._public.presigned_put_object(self._bucket, key, expires=expires)
            return PresignedUpload(method="PUT", url=url, headers={"Content-Type": content_type}, expires_in=seconds)
        return self._presigned_post(key, content_type, max_bytes, expires)

    def _presigned_post(self, key: str, content_type: str, max_bytes: int, expires: timedelta) -> PresignedUpload:
        policy = PostPolicy(self._bucket, datetime.now(UTC) + expires)
        policy.add_equals_condition("key", key)
        policy.add_equals_condition("Content-Type", content_type)
        policy.add_content_length_range_condition(1, max_bytes)
        fields = {"key": key, "Content-Type": content_type, **self._public.presigned_post_policy(policy)}
        base = (self._address.public_url or self._address.url).rstrip("/")
        seconds = int(expires.total_seconds())
        return PresignedUpload(method="POST", url=f"{base}/{self._bucket}", fields=fields, expires_in=seconds)

    async def ready(self) -> None:
        await self._run(self._ready)

    def _ready(self) -> None:
        with translated(self._bucket):
            if not self._client.bucket_exists(self._bucket):
                raise StorageUnavailable(f"The bucket {self._bucket!r} does not exist.")

    async def ensure_bucket(self, cors_origins: Sequence[str] = ()) -> None:
        await self._run(self._ensure_bucket, cors_origins)

    def _ensure_bucket(self, cors_origins: Sequence[str]) -> None:
        with translated(self._bucket, already_ok=True):
            if not self._client.bucket_exists(self._bucket):
                self._client.make_bucket(self._bucket, location=self._address.region)
        if cors_origins:
            with translated(self._bucket):
                set_cors(self._client, self._bucket, cors_origins)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._http.clear()

    async def _run(self, call: Callable[..., T], *args: object) -> T:
        return await measured(self._executor, self._bucket, call, *args)


def _client(url: str, address: S3Address, http: urllib3.PoolManager) -> Minio:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
        raise ValueError(f"Not the address of an S3 store: {url!r}.")
    return Minio(
        parts.netloc,
        access_key=address.access_key.get_secret_value(),
        secret_key=address.secret_key.get_secret_value(),
        secure=parts.scheme == "https",
        region=address.region,  # without it every first call asks the store for it
        http_client=http,
    )


@contextmanager
def _opened(data: bytes | Path) -> Iterator[io.BytesIO | io.BufferedReader]:
    with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as source:
        yield source


def _read(response: BaseHTTPResponse, key: str) -> bytes:
    with translated(key):
        chunk = response.read(CHUNK)
    metrics.STORE_BYTES.add(len(chunk), direction="read")
    return chunk


def _release(response: BaseHTTPResponse) -> None:
    response.close()
    response.release_conn()


def _abandon(response: BaseHTTPResponse, done: asyncio.Future[bytes]) -> None:
    done.cancelled() or done.exception()  # looked at, or asyncio reports it as never retrieved
    _release(response)


def _page(objects: Iterator[Object], prefix: str) -> list[ObjectStat]:
    with translated(prefix):
        return [_described(item) for item in itertools.islice(objects, _PAGE)]


def _described(item: Object) -> ObjectStat:
    return ObjectStat(
        key=item.object_name or "",
        size=item.size or 0,
        etag=(item.etag or "").strip('"'),
        content_type=item.content_type or "",
        modified=item.last_modified or _EPOCH,
    )
