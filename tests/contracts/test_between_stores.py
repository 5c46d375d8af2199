"""Large objects between two real buckets."""

import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from mediagate.media.values import MIB
from mediagate.settings import Settings
from mediagate.storage import keys
from mediagate.storage.mirroring import Outcome, mirror
from mediagate.storage.s3 import S3Store
from tests.contracts.object_stores import address, second_bucket

SIZE = 72 * MIB


@pytest.fixture
def buckets(stack_settings: Settings) -> Iterator[tuple[S3Store, S3Store]]:
    first = address(stack_settings)
    stores = S3Store(first), S3Store(second_bucket(first))
    yield stores
    for store in stores:
        store.close()


async def nothing_against_it() -> None:
    """A guard that lets everything pass."""


class TestLargeObjects:
    async def test_memory_does_not_grow_with_them(self, buckets: tuple[S3Store, S3Store], tmp_path: Path) -> None:
        source, target = buckets
        key, file = keys.master("large", str(uuid4())), tmp_path / "large"
        with file.open("wb") as made:  # each part is another one
            for part in range(SIZE // MIB):
                made.write(bytes([part]) * MIB)
        with file.open("rb") as large:
            sha256 = hashlib.file_digest(large, "sha256").hexdigest()
        await source.put(key, file, content_type="image/tiff", sha256=sha256)
        tracemalloc.start()
        try:
            done = await mirror(source, target, key, nothing_against_it)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (done.outcome, done.bytes) == (Outcome.COPIED, SIZE)
        assert await target.sha256(key) == sha256
        assert (await target.stat(key)).content_type == "image/tiff"
        assert most < 24 * MIB  # a part of five, and what sends it
        for store in buckets:
            await store.delete(key)
