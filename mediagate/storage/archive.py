"""Where backups are kept: files by name, on S3 (`s3.S3Store` is one as it is) or in a folder (`FolderArchive`)."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar
from uuid import uuid4

from mediagate.errors import InvalidRequest, ObjectCorrupt, ObjectMissing, StorageUnavailable, TooLarge
from mediagate.storage.store import ObjectStat

T = TypeVar("T")


class Archive(Protocol):
    """The part of `ObjectStore` that backups need; what is said there of each method holds."""

    async def put(self, key: str, data: bytes | Path, *, content_type: str, sha256: str | None = None) -> ObjectStat:
        """Store bytes or a file, durably."""

    async def get_bytes(self, key: str, *, max_bytes: int) -> bytes:
        """The whole of a small file."""

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        """Write a file to `path`; its SHA-256."""

    async def sha256(self, key: str) -> str:
        """The digest of what is really stored."""

    async def delete(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""

    def list(self, prefix: str) -> AsyncIterator[ObjectStat]:
        """Every file whose name begins with `prefix`, in order of names."""

    def close(self) -> None:
        """Give up threads and connections."""


class FolderArchive:
    """`Archive` in a folder. Files appear whole or not at all, synced, readable by their owner only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, data: bytes | Path, *, content_type: str, sha256: str | None = None) -> ObjectStat:
        del content_type  # a folder has no place for it
        return await _in_thread(self._put, key, data, sha256)

    def _put(self, key: str, data: bytes | Path, sha256: str | None) -> ObjectStat:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_name(f".{path.name}.{uuid4().hex}.part")
        try:
            with partial.open("xb") as file:
                os.fchmod(file.fileno(), 0o600)
                if isinstance(data, bytes):
                    file.write(data)
                else:
                    with data.open("rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
            if sha256 is not None and _sha256(partial) != sha256:
                raise ObjectCorrupt(f"The data for {key!r} do not have the SHA-256 {sha256}.")
            partial.replace(path)
            _sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)
        return self._stat(path)

    async def get_bytes(self, key: str, *, max_bytes: int) -> bytes:
        return await _in_thread(self._get_bytes, key, max_bytes)

    def _get_bytes(self, key: str, max_bytes: int) -> bytes:
        with self._reading(key, max_bytes) as path:
            return path.read_bytes()

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        return await _in_thread(self._download, key, path, max_bytes)

    def _download(self, key: str, path: Path, max_bytes: int) -> str:
        partial = path.with_name(f".{path.name}.{uuid4().hex}.part")
        try:
            with self._reading(key, max_bytes) as source:
                shutil.copyfile(source, partial)
            digest = _sha256(partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return digest

    async def sha256(self, key: str) -> str:
        return await _in_thread(self._sha256, key)

    def _sha256(self, key: str) -> str:
        with self._reading(key, None) as path:
            return _sha256(path)

    async def delete(self, key: str) -> None:
        await _in_thread(self._path(key).unlink, True)

    async def list(self, prefix: str) -> AsyncIterator[ObjectStat]:
        for stat in await _in_thread(self._found, prefix):
            yield stat

    def _found(self, prefix: str) -> Sequence[ObjectStat]:
        top = self._path(prefix) if prefix.endswith("/") else self._folder
        files = (Path(folder, name) for folder, _, names in os.walk(top) for name in names if name[0] != ".")
        found = (self._stat(file) for file in files)
        return sorted((stat for stat in found if stat.key.startswith(prefix)), key=lambda stat: stat.key)

    def close(self) -> None:
        """Nothing is held."""

    def _path(self, key: str) -> Path:
        name = PurePosixPath(key)
        if name.is_absolute() or not name.parts or ".." in name.parts:
            raise InvalidRequest(f"Not a name in an archive: {key!r}.")
        return self._folder / name

    def _stat(self, path: Path) -> ObjectStat:
        found = path.stat()
        return ObjectStat(
            key=path.relative_to(self._folder).as_posix(),
            size=found.st_size,
            modified=datetime.fromtimestamp(found.st_mtime, UTC),
        )

    @contextmanager
    def _reading(self, key: str, max_bytes: int | None) -> Iterator[Path]:
        path = self._path(key)
        try:
            if max_bytes is not None and path.stat().st_size > max_bytes:
                raise TooLarge(f"The file {key!r} is larger than {max_bytes} bytes.")
            yield path
        except FileNotFoundError as error:
            raise ObjectMissing(f"There is no file {path}.") from error


async def _in_thread(call: Callable[..., T], *args: object) -> T:
    try:
        return await asyncio.to_thread(call, *args)
    except OSError as error:
        raise StorageUnavailable(f"{error.strerror}: {error.filename}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
