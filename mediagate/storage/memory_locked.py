"""The locked store in memory: the shipped twin of `S3LockedStore`."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import BinaryIO
from uuid import uuid4

from mediagate.errors import Conflict, ObjectMissing, StorageUnavailable
from mediagate.storage.locked import ObjectLock
from mediagate.storage.store import CHUNK


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryLockedStore:
    """`LockedStore` in dictionaries. `failing` makes every call raise `StorageUnavailable`.

    `bodies` and `locks`, by key and version, are open to whoever wants to play somebody with access to the disks.
    """

    def __init__(self, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self.failing = False
        self.bodies: dict[tuple[str, str], bytes] = {}
        self.locks: dict[tuple[str, str], ObjectLock] = {}
        self._clock = clock

    async def put_locked(self, key: str, data: BinaryIO, *, content_type: str, retain_until: datetime) -> str:  # noqa: ARG002  # nobody asks for it
        self._check_up()
        data.seek(0)
        version = uuid4().hex
        self.bodies[key, version] = data.read()
        self.locks[key, version] = ObjectLock(retain_until=retain_until, compliance=True)
        return version

    async def stream(self, key: str, *, version: str) -> AsyncIterator[bytes]:
        body = self._find(key, version)
        for offset in range(0, len(body), CHUNK):
            yield body[offset : offset + CHUNK]

    async def lock(self, key: str, version: str) -> ObjectLock:
        self._find(key, version)
        return self.locks[key, version]

    async def set_legal_hold(self, key: str, version: str, *, on: bool) -> None:
        self._find(key, version)
        self.locks[key, version] = self.locks[key, version].model_copy(update={"legal_hold": on})

    async def delete_version(self, key: str, version: str) -> None:
        self._check_up()
        lock = self.locks.get((key, version), ObjectLock())
        if lock.legal_hold or (lock.retain_until and lock.retain_until > self._clock()):
            raise Conflict(f"The object {key!r} is locked.")
        self.bodies.pop((key, version), None)
        self.locks.pop((key, version), None)

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        self._check_up()
        for key in sorted({key for key, _ in self.bodies if key.startswith(prefix)}):
            yield key

    async def ready(self) -> None:
        self._check_up()

    async def ensure_locked_bucket(self) -> None:
        self._check_up()

    def close(self) -> None:
        """Nothing is open; what was put stays, or a lock would be worth nothing."""

    def _check_up(self) -> None:
        if self.failing:
            raise StorageUnavailable

    def _find(self, key: str, version: str) -> bytes:
        self._check_up()
        if (key, version) not in self.bodies:
            raise ObjectMissing(f"The object store has no such version of {key!r}.")
        return self.bodies[key, version]
