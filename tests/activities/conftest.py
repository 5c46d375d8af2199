"""A gate without workers: the tests call the activities themselves, each as often as they like."""

from collections.abc import AsyncIterator

import pytest

from tests.activities.steps import Steps
from tests.world import GateWith


@pytest.fixture
async def steps(gate_with: GateWith) -> AsyncIterator[Steps]:
    """Every activity over real Postgres and S3."""
    async with gate_with(roles=()) as world:
        yield Steps(world)
