"""Runs that restrict something seal it; runs that do not, do not."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from db.tables import EvidenceRecord
from mediagate.errors import EvidenceKeyMissing
from mediagate.evidence.keys import MemoryKeys
from mediagate.vault import Vault
from tests.evidence import sealing_keys
from tests.workflows import runs
from tests.world import PATIENCE, GateWith, World, picture
from workflows.names import Role, takedown_id


@pytest.fixture
async def sealing_world(gate_with: GateWith) -> AsyncIterator[World]:
    """A gate with a vault on the session's S3."""
    async with gate_with(evidence_keys=sealing_keys()) as world:
        yield world


async def records(world: World, media_id: str) -> list[EvidenceRecord]:
    async with world.db.transaction() as tx:
        return list(await tx.evidence.of_media(UUID(media_id)))


async def rejected(world: World) -> str:
    """An upload that the policy rejects."""
    media_id = await runs.to_moderation(world)
    await world.webhook(world.event(media_id, "reject", scores={"nudity": 0.99}))
    await world.ended(media_id)
    return media_id


class TestUpload:
    async def test_a_rejection_by_the_policy_is_sealed(self, sealing_world: World) -> None:
        media_id = await rejected(sealing_world)
        (record,) = await records(sealing_world, media_id)
        assert (record.round, record.verdict) == (0, "reject")
        timeline = await sealing_world.timeline(media_id)
        assert timeline.index("filed") < timeline.index("sealed")

    async def test_an_approval_is_not(self, sealing_world: World) -> None:
        media_id = await runs.to_approved(sealing_world)
        assert await records(sealing_world, media_id) == []

    async def test_a_file_that_is_merely_broken_is_not(self, sealing_world: World) -> None:
        media_id = await sealing_world.upload(picture()[:300])
        assert (await sealing_world.ended(media_id))["status"] == "rejected"
        assert await records(sealing_world, media_id) == []

    async def test_without_keys_no_step_is_taken(self, world: World) -> None:
        media_id = await rejected(world)
        assert await records(world, media_id) == []
        history = await world.run(media_id).fetch_history()
        names = {event.activity_task_scheduled_event_attributes.activity_type.name for event in history.events}
        assert "seal_evidence" not in names
        assert "file_media" in names


class TestTakedown:
    async def test_is_sealed_in_its_round(self, sealing_world: World) -> None:
        media_id = await runs.to_approved(sealing_world)
        await runs.take_down(sealing_world, media_id)
        async with asyncio.timeout(PATIENCE):
            await sealing_world.client.get_workflow_handle(takedown_id(media_id)).result()
        (record,) = await records(sealing_world, media_id)
        assert (record.round, record.verdict, record.reason) == (1, "quarantine", "takedown:copyright")


class TestTrouble:
    async def test_keys_that_are_away_hold_up_the_run_and_admins_are_told(self, gate_with: GateWith) -> None:
        opening = gate_with(roles=(Role.FLOW,), skip_time=True, evidence_keys=sealing_keys(), vendor_wait=3600)
        async with opening as world:
            assert world.deps.vault
            keys = MemoryKeys()
            keys.trouble = EvidenceKeyMissing(retry_after=1200)
            vault = Vault(keys, world.deps.vault.store, world.deps.vault.retention)
            async with world.workers(Role.IO, Role.CPU, Role.VENDOR, vault=vault):
                media_id = await runs.to_moderation(world)
                await world.webhook(world.event(media_id, "reject", scores={"nudity": 0.99}))
                (mail,) = await runs.mailed(world, media_id, "system_alert")
                assert "not sealed yet" in mail.text
                assert (await world.media(media_id)).status == "rejected"
                assert await records(world, media_id) == []
                keys.trouble = None
                await world.ended(media_id)
            assert len(await records(world, media_id)) == 1
