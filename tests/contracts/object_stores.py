"""The object stores that the contract tests run against, by kind: `s3` and `memory`."""

import pytest

from mediagate.settings import Settings
from mediagate.storage.memory import MemoryStore
from mediagate.storage.s3 import S3Store
from mediagate.storage.store import ObjectStore, S3Address

KINDS = ("s3", "memory")


def address(settings: Settings, presign: str = "post") -> S3Address:
    return S3Address(
        url=settings.s3_url,
        public_url=settings.uploads_url,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        region=settings.s3_region,
        bucket=settings.s3_bucket,
        presign=presign,
    )


def open_store(kind: str, request: pytest.FixtureRequest, presign: str = "post") -> ObjectStore:
    """A store of a kind; the stack is asked for only where it is needed."""
    if kind == "memory":
        return MemoryStore(presign=presign)
    return S3Store(address(request.getfixturevalue("stack_settings"), presign))
