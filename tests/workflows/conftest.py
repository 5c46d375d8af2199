"""Worlds in which waits are short, for tests that look at what happens when they end."""

from collections.abc import AsyncIterator

import pytest

from tests.world import GateWith, World


@pytest.fixture
async def hasty_world(gate_with: GateWith) -> AsyncIterator[World]:
    """The vendor is polled once, after 0.1 s, and then given up; reviews wait a day."""
    async with gate_with(vendor_wait=0.1, vendor_polls=1) as world:
        yield world
