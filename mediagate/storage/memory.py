"""The object store in memory: the shipped twin of `S3Store`, for tests and for trying things without a store."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from mediagate.errors import (
    Expired,
    InvalidRequest,
    NotAllowed,
    ObjectCorrupt,
    ObjectMissing,
    StorageUnavailable,
    TooLarge,
    UnsupportedType,
)
from mediagate.storage.store import CHUNK, ObjectStat, PresignedUpload


@dataclass(frozen=True)
class _Policy:
    key: str
    content_type: str
    max_bytes: int
    expires_at: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryStore:
    """`ObjectStore` in a dictionary. `failing` makes every call raise `StorageUnavailable`: a store that is down."""

    def __init__(self, *, presign: str = "post", clock: Callable[[], datetime] = _utc_now) -> None:
        self.failing = False
        self._presign = presign
        self._clock = clock
        self._objects: dict[str, tuple[ObjectStat, bytes]] = {}
        self._policies: dict[str, _Policy] = {}

    async def put(self, key: str, data: bytes | Path, *, content_type: str, sha256: str | None = None) -> ObjectStat:
        self._check_up()
        body = data if isinstance(data, bytes) else await asyncio.to_thread(data.read_bytes)
        digest = hashlib.sha256(body).hexdigest()
        if sha256 not in (None, digest):
            raise ObjectCorrupt(f"The data for {key!r} have SHA-256 {digest}, not {sha256}.")
        return self._store(key, body, content_type)

    def _store(self, key: str, body: bytes, content_type: str) -> ObjectStat:
        tag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        stat = ObjectStat(key=key, size=len(body), etag=tag, content_type=content_type, modified=self._clock())
        self._objects[key] = stat, body
        return stat

    async def get_bytes(self, key: str, *, max_bytes: int) -> bytes:
        stat, body = self._find(key)
        if stat.size > max_bytes:
            raise TooLarge(f"The object {key!r} is larger than {max_bytes} bytes.")
        return body

    async def stream(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if length == 0:
            return
        stat, body = self._find(key)
        if start and start >= stat.size:
            raise InvalidRequest(f"The object {key!r} has {stat.size} bytes: nothing from {start} on.")
        end = stat.size if length is None else min(stat.size, start + length)
        for offset in range(start, end, CHUNK):
            yield body[offset : min(end, offset + CHUNK)]

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        body = await self.get_bytes(key, max_bytes=max_bytes)
        await asyncio.to_thread(_write_at_once, path, body)
        return hashlib.sha256(body).hexdigest()

    async def stat(self, key: str) -> ObjectStat:
        return self._find(key)[0]

    async def copy(self, source: str, target: str) -> None:
        stat, body = self._find(source)
        self._store(target, body, stat.content_type)

    async def spread(self, key: str) -> None:
        """Nothing: there is one place."""

    async def sha256(self, key: str) -> str:
        return hashlib.sha256(self._find(key)[1]).hexdigest()

    async def delete(self, key: str) -> None:
        self._check_up()
        self._objects.pop(key, None)

    async def delete_all(self, keys: Sequence[str]) -> None:
        for key in keys:
            await self.delete(key)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectStat]:
        self._check_up()
        for key in sorted(self._objects):
            if key.startswith(prefix) and key > after and (found := self._objects.get(key)):
                yield found[0].model_copy(update={"content_type": ""})

    async def presign_upload(
        self, key: str, *, content_type: str, max_bytes: int, expires: timedelta
    ) -> PresignedUpload:
        policy_id = uuid4().hex
        self._policies[policy_id] = _Policy(key, content_type, max_bytes, self._clock() + expires)
        seconds = int(expires.total_seconds())
        if self._presign == "put":
            url = f"memory:///{key}?policy={policy_id}"
            return PresignedUpload(method="PUT", url=url, headers={"Content-Type": content_type}, expires_in=seconds)
        fields = {"key": key, "Content-Type": content_type, "policy": policy_id}
        return PresignedUpload(method="POST", url="memory:///", fields=fields, expires_in=seconds)

    async def accept(self, presigned: PresignedUpload, data: bytes) -> ObjectStat:
        """Do what a store does when an uploader uses the URL: enforce the policy of a POST, store what a PUT brings.

        Raises:
            NotAllowed: the fields are not the ones that were signed.
            Expired, UnsupportedType, TooLarge, InvalidRequest (empty): the policy refuses the upload.
        """
        self._check_up()
        posted = presigned.method == "POST"
        policy_id = presigned.fields.get("policy", "") if posted else presigned.url.partition("?policy=")[2]
        policy = self._policies.get(policy_id)
        if policy is None or (posted and presigned.fields.get("key") != policy.key):
            raise NotAllowed("This upload was not signed here.")
        if self._clock() >= policy.expires_at:
            raise Expired("The presigned upload has expired.")
        content_type = (presigned.fields if posted else presigned.headers).get("Content-Type", "")
        if posted:
            _check_policy(policy, data, content_type)
        return self._store(policy.key, data, content_type)

    async def ready(self) -> None:
        self._check_up()

    async def ensure_bucket(self, cors_origins: Sequence[str] = ()) -> None:  # noqa: ARG002  # no browser comes here
        self._check_up()

    def close(self) -> None:
        self._objects.clear()

    def _check_up(self) -> None:
        if self.failing:
            raise StorageUnavailable

    def _find(self, key: str) -> tuple[ObjectStat, bytes]:
        self._check_up()
        if key not in self._objects:
            raise ObjectMissing(f"The object store has no object {key!r}.")
        return self._objects[key]


def _check_policy(policy: _Policy, data: bytes, content_type: str) -> None:
    if content_type != policy.content_type:
        raise UnsupportedType(f"This upload was signed for {policy.content_type!r}.")
    if not data:
        raise InvalidRequest("An upload has at least one byte.")
    if len(data) > policy.max_bytes:
        raise TooLarge(f"This upload may have {policy.max_bytes} bytes.")


def _write_at_once(path: Path, body: bytes) -> None:
    partial = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        partial.write_bytes(body)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
