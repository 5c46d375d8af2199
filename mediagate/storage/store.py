"""The object store as the rest of the house sees it; `s3.S3Store` and `memory.MemoryStore` behave the same.

Keys come from `mediagate.storage.keys`. All methods raise `StorageUnavailable` when the store does not answer, is
overloaded, is full or refuses this process (a matter for the operator, so worth another try), and `ObjectMissing` where
an object is read that is not there.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from pydantic import Field, SecretStr

from mediagate.media.values import Value

CHUNK = 256 * 1024
"""Bytes that are read at a time."""


class ObjectStat(Value):
    """What the store says of one object."""

    key: str
    size: int
    etag: str = Field("", description="the store's own tag, without quotes; no digest of the content")
    content_type: str = Field("", description="empty in listings, which do not carry it")
    modified: datetime


class PresignedUpload(Value):
    """How an uploader sends one object without credentials.

    `POST`: a multipart form, `fields` first and the bytes last, as `file`. `PUT`: the bytes as body, with `headers`.
    """

    method: str
    url: str
    headers: dict[str, str] = Field(default_factory=dict)
    fields: dict[str, str] = Field(default_factory=dict)
    expires_in: int = Field(description="seconds")


class S3Address(Value):
    """Where an S3 store is and how it is spoken to."""

    url: str = Field(description="http(s)://host[:port], without a path")
    public_url: str | None = Field(None, description="the same store as uploaders see it; default: `url`")
    access_key: SecretStr
    secret_key: SecretStr
    region: str = "us-east-1"
    bucket: str
    presign: str = Field("post", pattern="^(post|put)$", description="put: for stores without POST policies")


class ObjectStore(Protocol):
    """Bytes by key. Every write replaces the whole object at once: a reader sees the old or the new one."""

    async def put(self, key: str, data: bytes | Path, *, content_type: str, sha256: str | None = None) -> ObjectStat:
        """Store bytes or a file; the same call twice has the same effect.

        Raises:
            ObjectCorrupt: `sha256` was given and the data do not have it; nothing was written.
        """

    async def get_bytes(self, key: str, *, max_bytes: int) -> bytes:
        """The whole object.

        Raises:
            TooLarge: it has more than `max_bytes`; no more than that is held.
        """

    def stream(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Chunks of at most `CHUNK` bytes from `start` on, `length` of them or up to the end.

        The first iteration opens the object; call `stat` before for headers. A range must begin inside the object:
        `InvalidRequest` otherwise.
        """

    async def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        """Write the object to `path`, which appears complete or not at all, and return its SHA-256.

        Raises:
            TooLarge: it has more than `max_bytes`; no file is left.
        """

    async def stat(self, key: str) -> ObjectStat:
        """Size, tag, type and time of an object."""

    async def copy(self, source: str, target: str) -> None:
        """Copy inside the store, content type included; the source stays."""

    async def spread(self, key: str) -> None:
        """Bring an object that stands where it is read from to wherever else it would be written to.

        To be asked before one that is found is taken for written: its write may have been cut off half-way. A single
        store has nothing to do.
        """

    async def sha256(self, key: str) -> str:
        """The digest of what is really stored: reads the whole object back."""

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    async def delete_all(self, keys: Sequence[str]) -> None:
        """Remove objects, in few requests; as for `delete`, each may be gone already."""

    def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectStat]:
        """Every object whose key begins with `prefix` and is greater than `after`, in order of keys."""

    async def presign_upload(
        self, key: str, *, content_type: str, max_bytes: int, expires: timedelta
    ) -> PresignedUpload:
        """Let somebody without credentials write this key for a while.

        As POST the store enforces the exact content type and 1 to `max_bytes` bytes. As PUT it enforces neither: the
        caller checks what arrived, which it must do either way.
        """

    async def ready(self) -> None:
        """Return if the bucket can be reached."""

    async def ensure_bucket(self, cors_origins: Sequence[str] = ()) -> None:
        """Create the bucket if there is none, and let pages of these origins send presigned uploads. Idempotent."""

    def close(self) -> None:
        """Give up threads and connections."""
