"""A store that lets nobody delete or change what was put, for as long as it is told; `s3_locked` and `memory_locked`.

Every put is a version of its own, which the store names. Somebody with the store's credentials can put another version
beside it or hide the key; the version itself stays, and is what is read.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import BinaryIO, Protocol

from mediagate.media.values import Value


class ObjectLock(Value):
    """What keeps a version from being deleted."""

    retain_until: datetime | None = None
    compliance: bool = False
    """True: nobody may shorten it, not even the owner of the account."""
    legal_hold: bool = False

    def holds_until(self, moment: datetime) -> bool:
        """True if nobody can delete the version before that moment."""
        return self.compliance and self.retain_until is not None and self.retain_until >= moment


class LockedStore(Protocol):
    """Versions of objects under a lock.

    All methods raise StorageUnavailable as `ObjectStore` does, and ObjectMissing for a version that is not there.
    """

    async def put_locked(self, key: str, data: BinaryIO, *, content_type: str, retain_until: datetime) -> str:
        """Store a file from its beginning to its end, locked from the first moment on; the id of the version.

        `retain_until`: whole seconds. The same call twice makes two versions.
        """

    def stream(self, key: str, *, version: str) -> AsyncIterator[bytes]:
        """The bytes of a version in chunks of at most `store.CHUNK`."""

    async def lock(self, key: str, version: str) -> ObjectLock:
        """What keeps it from being deleted now."""

    async def set_legal_hold(self, key: str, version: str, *, on: bool) -> None:
        """Keep it whatever becomes of the retention, or no longer; the same call twice has the same effect."""

    async def delete_version(self, key: str, version: str) -> None:
        """Remove a version for good; one that is not there is no error.

        Raises:
            Conflict: it is locked.
        """

    def keys(self, prefix: str) -> AsyncIterator[str]:
        """Every key below a prefix that has a version, in order, also where somebody has hidden it."""

    async def ready(self) -> None:
        """Return if the bucket can be reached."""

    async def ensure_locked_bucket(self) -> None:
        """Create the bucket with object lock if there is none. Idempotent.

        Raises:
            StorageUnavailable: there is one that cannot lock; only a bucket that was made for it can.
        """

    def close(self) -> None:
        """Give up threads and connections."""
