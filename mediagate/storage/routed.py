"""Several stores as one: each library's objects are in the store that its placement names.

What libraries share (`staging/`, `work/`) is in the default store, so presigned uploads go there, and sealing or filing
copies across where a library lives elsewhere.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from mediagate.errors import MediagateError, StorageUnavailable
from mediagate.storage import keys
from mediagate.storage.mirroring import merged, transfer
from mediagate.storage.placement import DEFAULT, Placement, Placements
from mediagate.storage.store import ObjectStat, ObjectStore, PresignedUpload

T = TypeVar("T")

_SHARED = Placement()


class RoutedStore:
    """`ObjectStore` over stores by name, of which one is `DEFAULT`.

    What was done under a placement that did not hold to the end is done again under the present one. While a library
    moves, it is written to both sides, and a write that one of them refuses fails.
    """

    def __init__(self, stores: Mapping[str, ObjectStore], placements: Placements) -> None:
        self._stores = stores
        self._placements = placements

    async def put(self, key: str, data: bytes | Path, *, content_type: str, sha256: str | None = None) -> ObjectStat:
        async def write(placement: Placement) -> ObjectStat:
            stats = [
                await self._at(side).put(key, data, content_type=content_type, sha256=sha256)
                for side in placement.sides
            ]
            return stats[0]

        return await self._agreed(key, write)

    async def get_bytes(self, key: str, *, max_bytes: int) -> bytes:
        return await self._read(key, lambda store: store.get_bytes(key, max_bytes=max_bytes))

    async def stream(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        first, rest = await self._read(key, lambda store: _opened(store.stream(key, start=start, length=length)))
        try:
            if first is not None:
                yield first
                async for chunk in rest:
                    yield chunk
        finally:
            await _closed(rest)

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        return await self._read(key, lambda store: store.download(key, path, max_bytes=max_bytes))

    async def stat(self, key: str) -> ObjectStat:
        return await self._read(key, lambda store: store.stat(key))

    async def copy(self, source: str, target: str) -> None:
        async def write(placement: Placement) -> None:
            home = self._at(placement.home)

            async def bring(store: ObjectStore) -> None:
                if store is home:
                    await home.copy(source, target)
                else:
                    await transfer(store, source, home, target)

            await self._read(source, bring)
            await self._spread(placement, target)

        await self._agreed(target, write)

    async def spread(self, key: str) -> None:
        await self._agreed(key, lambda placement: self._spread(placement, key))

    async def _spread(self, placement: Placement, key: str) -> None:
        if placement.beside:
            await transfer(self._at(placement.home), key, self._at(placement.beside), key)

    async def sha256(self, key: str) -> str:
        return await self._read(key, lambda store: store.sha256(key))

    async def delete(self, key: str) -> None:
        async def remove(placement: Placement) -> None:
            for side in placement.sides:
                await self._at(side).delete(key)

        await self._agreed(key, remove)

    async def delete_all(self, keys: Sequence[str]) -> None:
        folders: dict[str, list[str]] = {}
        for key in keys:
            folders.setdefault(key.partition("/")[0], []).append(key)
        for those in folders.values():

            async def remove(placement: Placement, those: Sequence[str] = those) -> None:
                for side in placement.sides:
                    await self._at(side).delete_all(those)

            await self._agreed(those[0], remove)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectStat]:
        """As said of `ObjectStore`; a prefix without a `/` names objects of several libraries, out of every store.

        Of a library that moves meanwhile, such a listing may name a part only.
        """
        listing = self._list_folder(prefix, after) if "/" in prefix else self._list_everywhere(prefix, after)
        async for stat in listing:
            yield stat

    async def _list_folder(self, prefix: str, after: str) -> AsyncIterator[ObjectStat]:
        placement = await self._placement(prefix)
        complete = False
        while not complete:
            async for stat in self._at(placement.home).list(prefix, after=after):
                if (present := await self._placement(prefix)) != placement:
                    break
                yield stat
                after = stat.key
            else:
                present = await self._placement(prefix)
                complete = present == placement
            placement = present

    async def _list_everywhere(self, prefix: str, after: str) -> AsyncIterator[ObjectStat]:
        names = list(self._stores)
        async for found in merged(*(self._stores[name].list(prefix, after=after) for name in names)):
            home = (await self._placement(next(iter(found.values())).key)).home
            for place, stat in found.items():
                if names[place] == home:
                    yield stat

    async def presign_upload(
        self, key: str, *, content_type: str, max_bytes: int, expires: timedelta
    ) -> PresignedUpload:
        home = self._at((await self._placement(key)).home)
        return await home.presign_upload(key, content_type=content_type, max_bytes=max_bytes, expires=expires)

    async def ready(self) -> None:
        """The default store, without which nobody can upload; another one that is away concerns its libraries only."""
        await self._at(DEFAULT).ready()

    async def ensure_bucket(self, cors_origins: Sequence[str] = ()) -> None:
        """Every bucket; uploaders' pages send to that of the default store only."""
        for name, store in self._stores.items():
            await store.ensure_bucket(cors_origins if name == DEFAULT else ())

    def close(self) -> None:
        for store in self._stores.values():
            store.close()

    def _at(self, name: str) -> ObjectStore:
        if store := self._stores.get(name):
            return store
        raise StorageUnavailable(
            f"The library is in the store {name!r}, which MEDIAGATE_STORES does not describe here."
        )

    async def _placement(self, key: str) -> Placement:
        library = keys.library_of(key)
        return await self._placements.of(library) if library else _SHARED

    async def _read(self, key: str, call: Callable[[ObjectStore], Awaitable[T]]) -> T:
        """From the home alone, which has everything at any time: beside it, what was deleted may show up for a moment,
        when a copy of it was on its way."""
        return await self._agreed(key, lambda placement: call(self._at(placement.home)))

    async def _agreed(self, key: str, act: Callable[[Placement], Awaitable[T]]) -> T:
        """Act under a placement that holds from the beginning to the end."""
        placement = await self._placement(key)
        while True:
            try:
                done = await act(placement)
            except MediagateError:
                if (present := await self._placement(key)) == placement:
                    raise
            else:
                if (present := await self._placement(key)) == placement:
                    return done
            placement = present


async def _opened(chunks: AsyncIterator[bytes]) -> tuple[bytes | None, AsyncIterator[bytes]]:
    return await anext(chunks, None), chunks


async def _closed(chunks: AsyncIterator[bytes]) -> None:
    if isinstance(chunks, AsyncGenerator):
        await chunks.aclose()
