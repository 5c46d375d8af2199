"""What a store can do, tried out on the real one, and on one that cannot do much."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from mediagate.settings import Settings
from mediagate.storage.s3 import S3Store
from mediagate.storage.s3_features import NEEDED, Feature, S3Probe
from mediagate.storage.store import S3Address
from tests.contracts.object_stores import address


@pytest.fixture
async def bucket(stack_settings: Settings) -> AsyncIterator[S3Address]:
    """A bucket of its own, which is empty again afterwards."""
    made = address(stack_settings).model_copy(update={"bucket": f"features-{uuid4().hex[:12]}"})
    store = S3Store(made)
    await store.ensure_bucket()
    yield made
    assert [stat.key async for stat in store.list("")] == []
    store.close()


async def tried(where: S3Address) -> dict[Feature, bool | None]:
    probe = S3Probe(where)
    found = await probe.tried()
    probe.close()
    return {one.feature: one.works for one in found}


class TestFeatures:
    async def test_of_a_bucket_of_the_local_stack(self, bucket: S3Address) -> None:
        assert await tried(bucket) == {
            Feature.REACHABLE: True,
            Feature.COPY: True,
            Feature.POST_POLICY: True,
            Feature.IF_NONE_MATCH: True,
            Feature.VERSIONING: False,
            Feature.OBJECT_LOCK: False,
        }

    async def test_nothing_is_tried_of_a_store_that_is_away(self, bucket: S3Address) -> None:
        for wrong in ({"url": "http://127.0.0.1:9"}, {"bucket": "nothing-here"}):
            found = await tried(bucket.model_copy(update=wrong))
            assert found == {feature: False if feature is Feature.REACHABLE else None for feature in Feature}

    def test_the_gate_needs_little(self) -> None:
        assert {feature.value for feature in NEEDED} == {"reachable", "copy"}
