"""Uploaded files on the worker's disk, by SHA-256, so that the steps of one upload download it once."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

from activities.measures import show_disk
from mediagate.errors import ObjectCorrupt
from mediagate.storage.store import ObjectStore

ABANDONED = 3600
"""Seconds after which a download that nobody wrote to belongs to a worker that was killed."""


class SourceCache:
    """A folder of downloaded sources, bounded in bytes; the least recently used go first."""

    def __init__(self, folder: Path, store: ObjectStore, *, max_bytes: int) -> None:
        self._folder = folder
        self._store = store
        self._max_bytes = max_bytes
        self._held: Counter[str] = Counter()
        self._locks: dict[str, asyncio.Lock] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for part in folder.glob("*.part"):
            with suppress(FileNotFoundError):
                if time.time() - part.stat().st_mtime > ABANDONED:  # younger ones may be another worker's
                    part.unlink()

    @asynccontextmanager
    async def hold(self, key: str, sha256: str, *, max_bytes: int) -> AsyncIterator[Path]:
        """The object's bytes as a file, checked against its digest, kept at least until the block ends.

        Raises:
            ObjectMissing: the store has no such object.
            ObjectCorrupt: its bytes are not those that were recorded.
            StorageUnavailable: the store does not answer.
        """
        self._held[sha256] += 1
        try:
            async with self._locks.setdefault(sha256, asyncio.Lock()):
                path = self._folder / sha256
                if path.exists():
                    await asyncio.to_thread(os.utime, path)
                else:
                    await self._fetch(key, sha256, path, max_bytes)
            yield path
        finally:
            self._held[sha256] -= 1
            if not self._held[sha256]:
                del self._held[sha256]
                self._locks.pop(sha256, None)
            await self._evict()

    async def _fetch(self, key: str, sha256: str, path: Path, max_bytes: int) -> None:
        part = path.with_suffix(f".{uuid4().hex}.part")
        try:
            found = await self._store.download(key, part, max_bytes=max_bytes)
            if found != sha256:
                raise ObjectCorrupt(f"The object {key} has SHA-256 {found}, not the recorded {sha256}.")
            await asyncio.to_thread(part.rename, path)
        finally:
            part.unlink(missing_ok=True)

    async def _evict(self) -> None:
        """Delete the least recently used files beyond the bound, but none that is held."""
        files = await asyncio.to_thread(self._by_last_use)
        total = sum(size for size, _ in files)
        for size, path in files:  # no await from here on: nobody can begin to hold a file between look and delete
            if total <= self._max_bytes:
                return
            if not self._held.get(path.name):
                path.unlink(missing_ok=True)
                total -= size

    def _by_last_use(self) -> list[tuple[int, Path]]:
        show_disk(self._folder)
        files = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another eviction was faster
                stat = path.stat()
                files.append((stat.st_mtime, stat.st_size, path))
        return [(size, path) for _, size, path in sorted(files) if path.suffix != ".part"]
