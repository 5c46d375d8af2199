"""Every vendor through the whole gate: real HTTP both ways, real callbacks, the policy over what they say."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from devstack.wires.looks import Colour
from mediagate.media.values import Status
from mediagate.settings import VendorKind
from tests.vendor_gate import asking
from tests.wires import Wires, coloured, serving_wires
from tests.workflows import runs
from tests.world import GateWith, World

EVERY = [kind.value for kind in VendorKind]


@pytest.fixture
async def wires(tmp_path: Path) -> AsyncIterator[Wires]:
    async with serving_wires(tmp_path / "vendor") as serving:
        yield serving


@pytest.fixture
async def gate(gate_with: GateWith, wires: Wires) -> AsyncIterator[World]:
    async with asking(gate_with, wires) as world:
        yield world


async def said(world: World, media_id: str) -> set[str]:
    """Who is among the findings of the item's last decision."""
    (*_, decision) = await runs.decisions(world, media_id)
    return {finding["vendor"] for finding in decision.findings}


@pytest.mark.parametrize("kind", EVERY)
async def test_from_the_upload_to_the_filing(gate: World, kind: str) -> None:
    """A clean picture is published, a violent one rejected, a doubtful one decided by a person."""
    await gate.configure(policy={"ask": [kind]})
    clean, bad, doubtful = [
        await gate.upload(coloured(colour), caption=f"sim:{behaviour}")
        for colour, behaviour in (
            (Colour.GREEN, "approve"),
            (Colour.RED, "reject"),
            (Colour.BLUE, "review"),
        )
    ]
    assert (await gate.ended(clean))["status"] == Status.APPROVED
    assert (await gate.ended(bad))["status"] == Status.REJECTED
    await gate.until(doubtful, Status.IN_REVIEW)
    decided = await gate.http.post(f"/api/v1/media/{doubtful}/decision", json={"verdict": "reject"})
    assert decided.json()["decided_by"] == "person:tester"
    assert (await gate.ended(doubtful))["status"] == Status.REJECTED
    for media_id in (clean, bad, doubtful):
        assert await said(gate, media_id) == {kind}
        assert len([one for one in await runs.decisions(gate, media_id) if one.final]) == 1


async def test_all_of_them_together(gate: World, wires: Wires) -> None:
    await gate.configure(policy={"ask": EVERY})
    clean = await gate.upload(coloured(Colour.GREEN), caption="sim:approve")
    assert (await gate.ended(clean))["status"] == Status.APPROVED
    assert await said(gate, clean) == {*EVERY}
    assert {kind: (await wires.counts(kind)).calls for kind in EVERY if (await wires.counts(kind)).calls == 0} == {}
    severe = await gate.upload(coloured(Colour.RED), caption="sim:reject")
    assert (await gate.ended(severe))["status"] == Status.REJECTED


async def test_one_that_is_not_configured_is_missed_and_not_left_out(gate: World) -> None:
    await gate.configure(policy={"ask": ["nobody"]})
    media_id = await gate.upload(coloured(Colour.GREEN))
    await gate.until(media_id, Status.IN_REVIEW)
    assert (await gate.media(media_id)).reason == "vendor_unavailable"
