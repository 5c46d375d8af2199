"""Every fault of every vendor: no upload is lost, decided twice or stuck."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from devstack.wires.looks import Colour
from mediagate.media.values import Status
from mediagate.settings import VendorKind
from tests.vendor_gate import asking
from tests.wires import Wires, coloured, serving_wires
from tests.workflows import runs
from tests.world import PATIENCE, GateWith, World

PASSING: dict[str, dict[str, Any]] = {
    "slow": {"slow": 1.5},
    "errors": {"error_rate": 1.0},
    "down": {"down": True},
    "wrong": {"wrong": "scores"},
    "malicious": {"malicious": True},
}
"""Faults that last until they are mended; the callbacks of those that call back are forged before the true ones."""
LASTING: dict[str, dict[str, Any]] = {
    "limited": {"limited": 1, "retry_after": 1},
    "duplicated": {"duplicated": True},
    "reordered": {"reordered": True},
    "lost": {"lost": True},
}
"""Faults that nobody mends."""


async def until_in_trouble(wires: Wires, kind: str) -> None:
    """Return when the vendor was called while it misbehaved, at least twice: once more than by chance."""
    async with asyncio.timeout(PATIENCE):
        while (await wires.counts(kind)).calls < 2:
            await asyncio.sleep(0.05)


async def check_books(world: World, media_ids: list[str]) -> None:
    """Each item is decided once, filed once, and every event of the vendor is kept once."""
    for media_id in media_ids:
        assert (await world.ended(media_id))["status"] == Status.APPROVED
        assert (await world.media(media_id)).status is Status.APPROVED
        finals = [decision for decision in await runs.decisions(world, media_id) if decision.final]
        assert len(finals) == 1
        assert Counter(await world.timeline(media_id))["filed"] == 1
        assert [name for name in await world.objects(media_id) if name.startswith(("work/", "staging/"))] == []
        events = [(row.vendor, row.event_id) for row in await runs.inbox(world, media_id)]
        assert len(events) == len(set(events))
        assert {row.state for row in await runs.inbox(world, media_id)} <= {"delivered", "late"}


@pytest.mark.parametrize("kind", [kind.value for kind in VendorKind])
@pytest.mark.parametrize("fault", [*PASSING, *LASTING])
async def test_nothing_is_lost_doubled_or_stuck(gate_with: GateWith, tmp_path: Path, kind: str, fault: str) -> None:
    async with (
        serving_wires(
            tmp_path / "vendor", [VendorKind(kind)], timeout=0.5, breaker_failures=3, breaker_rest=0.5
        ) as wires,
        asking(gate_with, wires, vendor_wait=1.0) as world,
    ):
        await world.configure(policy={"ask": [kind]})
        await wires.faults(kind, **{**PASSING, **LASTING}[fault])
        media_ids = [await world.upload(coloured(Colour.GREEN, seed=seed)) for seed in range(2)]
        if fault in PASSING:
            await until_in_trouble(wires, kind)
            await wires.faults(kind)
        await check_books(world, media_ids)
