"""Stores that misbehave at a chosen moment: thin layers over a real one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

from mediagate.storage.store import ObjectStat, ObjectStore, PresignedUpload


class LayeredStore:
    """An `ObjectStore` that tells `before` of every call, and of every write `after`, and else passes it on."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner

    async def before(self, call: str, key: str) -> None:
        """Called with the name of each method and the key that it is about (of a copy: the target)."""

    async def after(self, call: str, key: str) -> None:
        """Called when a write has happened."""

    async def put(self, key: str, data: bytes | Path, *, content_type: str, sha256: str | None = None) -> ObjectStat:
        await self.before("put", key)
        stat = await self._inner.put(key, data, content_type=content_type, sha256=sha256)
        await self.after("put", key)
        return stat

    async def get_bytes(self, key: str, *, max_bytes: int) -> bytes:
        await self.before("get_bytes", key)
        return await self._inner.get_bytes(key, max_bytes=max_bytes)

    async def stream(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        await self.before("stream", key)
        async for chunk in self._inner.stream(key, start=start, length=length):
            yield chunk

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        await self.before("download", key)
        return await self._inner.download(key, path, max_bytes=max_bytes)

    async def stat(self, key: str) -> ObjectStat:
        await self.before("stat", key)
        return await self._inner.stat(key)

    async def copy(self, source: str, target: str) -> None:
        await self.before("copy", target)
        await self._inner.copy(source, target)
        await self.after("copy", target)

    async def spread(self, key: str) -> None:
        await self._inner.spread(key)

    async def sha256(self, key: str) -> str:
        await self.before("sha256", key)
        return await self._inner.sha256(key)

    async def delete(self, key: str) -> None:
        await self.before("delete", key)
        await self._inner.delete(key)
        await self.after("delete", key)

    async def delete_all(self, keys: Sequence[str]) -> None:
        for key in keys:
            await self.delete(key)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectStat]:
        await self.before("list", prefix)
        async for found in self._inner.list(prefix, after=after):
            yield found

    async def presign_upload(
        self, key: str, *, content_type: str, max_bytes: int, expires: timedelta
    ) -> PresignedUpload:
        return await self._inner.presign_upload(key, content_type=content_type, max_bytes=max_bytes, expires=expires)

    async def ready(self) -> None:
        await self._inner.ready()

    async def ensure_bucket(self, cors_origins: Sequence[str] = ()) -> None:
        await self._inner.ensure_bucket(cors_origins)

    def close(self) -> None:
        self._inner.close()


class CountingStore(LayeredStore):
    """Keeps the list of `(call, key)` in `calls`."""

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.calls: list[tuple[str, str]] = []

    async def before(self, call: str, key: str) -> None:
        self.calls.append((call, key))


class BreakingStore(LayeredStore):
    """Raises `error` at the `nth` call (1 is the first) of the method `call`, as often as `times` says.

    `about`: only calls about keys that end like this count.
    """

    def __init__(
        self, inner: ObjectStore, call: str, error: Exception, *, nth: int = 1, times: int = 1, about: str = ""
    ) -> None:
        super().__init__(inner)
        self._call = call
        self._about = about
        self._error = error
        self._failing = range(nth, nth + times)
        self.seen = 0

    async def before(self, call: str, key: str) -> None:
        if call == self._call and key.endswith(self._about):
            self.seen += 1
            if self.seen in self._failing:
                raise self._error


class GatedStore(LayeredStore):
    """Stops at the first call of a method: `reached` is set, and it goes on when `opened` is."""

    def __init__(self, inner: ObjectStore, call: str) -> None:
        super().__init__(inner)
        self._call = call
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def before(self, call: str, key: str) -> None:
        if call == self._call:
            self.reached.set()
            await self.opened.wait()
