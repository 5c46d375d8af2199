"""Scrub and retention as runs: page by page over several histories, failing with their row, cancelled with it too."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import is_cancelled_exception

from cli.storage import followed
from db.tables import FindingState, Scrub, ScrubFinding, ScrubState, now
from mediagate.errors import Conflict
from mediagate.media.values import Status
from tests.stores import GatedStore
from tests.workflows import runs
from tests.world import GateWith, World, picture
from workflows.names import Role
from workflows.storage_client import start_retention, start_scrub
from workflows.storage_messages import RetentionCounts, RetentionInput, ScrubInput, ScrubResult


async def scrub(world: World, **choices: Any) -> ScrubResult:
    """A whole scrub of the world's library, and its numbers."""
    result: ScrubResult = await (await begun(world, **choices)).result()
    return result


async def begun(world: World, **choices: Any) -> WorkflowHandle[Any, ScrubResult]:
    return await start_scrub(world.flows, ScrubInput(library=world.library.slug, grace=-60, **choices))


async def row_of(world: World, scrub_id: str) -> Scrub:
    async with world.db.transaction() as tx:
        row = await tx.scrubs.get(UUID(scrub_id))
    assert row
    return row


async def findings(world: World, scrub_id: str) -> list[ScrubFinding]:
    async with world.db.transaction() as tx:
        return list(await tx.scrubs.findings(scrub_id=UUID(scrub_id), limit=100))


class TestScrub:
    async def test_over_several_histories_and_with_repair(self, world: World) -> None:
        media_id = await runs.to_approved(world)
        rest = [await world.seal(picture(), status=Status.REJECTED) for _ in range(4)]
        before = await world.objects(media_id)
        key = f"{world.library.slug}/media/approved/{media_id}/medium.jpg"
        await world.store.delete(key)
        await world.store.delete((await world.media(rest[0])).master_key or "")
        await world.store.put(f"{world.library.slug}/stray", b"?", content_type="image/jpeg")
        handle = await begun(world, repair=True, items=2, keys=4, stretch=3)
        result = await handle.result()
        assert (result.missing, result.untracked, result.repaired) == (2, 1, 2)
        assert await world.objects(media_id) == before
        first = await world.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id).describe()
        assert first.run_id != (await handle.describe()).run_id
        row = await row_of(world, result.scrub_id)
        assert (row.state, row.missing, row.repaired, row.started_by) == (
            ScrubState.COMPLETED,
            2,
            2,
            "gate (schedule:scrub)",
        )
        states = {one.state for one in await findings(world, result.scrub_id) if one.kind.value == "missing"}
        assert states == {FindingState.REPAIRED}

    async def test_what_cannot_be_repaired_does_not_end_it(self, world: World) -> None:
        media_id = await runs.to_approved(world)
        row = await world.media(media_id)
        for key in (row.master_key or "", f"{world.library.slug}/media/thumbs/{media_id}.jpg"):
            await world.store.delete(key)
        world.cached(row.sha256 or "").unlink()
        result = await scrub(world, repair=True)
        assert (result.missing, result.repaired) == (2, 0)
        assert {one.state for one in await findings(world, result.scrub_id)} == {FindingState.OPEN}

    async def test_two_who_ask_share_one(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(Role.FLOW,)) as world:
            one, other = await begun(world), await begun(world)
            assert (one.id, one.first_execution_run_id) == (other.id, other.first_execution_run_id)
            await one.terminate()

    async def test_the_command_follows_it(self, world: World) -> None:
        media_id = await world.seal(picture(), status=Status.REJECTED)
        result = await followed(await begun(world), detach=False, quiet=False)
        assert result
        assert (result["rows"], result["missing"]) == (1, 0)
        await world.store.delete((await world.media(media_id)).master_key or "")
        assert await followed(await begun(world), detach=True, quiet=True) is None
        assert (await scrub(world)).missing == 1

    async def test_an_unknown_library_fails_it(self, world: World) -> None:
        handle = await start_scrub(world.flows, ScrubInput(library="nobody"))
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert "no library 'nobody'" in str(failed.value.cause.__cause__)
        with pytest.raises(Conflict, match=f"runs show {handle.id}"):
            await followed(handle, detach=False, quiet=True)

    async def test_one_that_is_cancelled_says_so(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(Role.FLOW, Role.CPU)) as world:
            await world.seal(picture(), status=Status.REJECTED)
            gated = GatedStore(world.store, "sha256")
            async with world.workers(Role.IO, store=gated):
                handle = await begun(world)
                await asyncio.wait_for(gated.reached.wait(), 30)
                await handle.cancel()
                gated.opened.set()
                with pytest.raises(WorkflowFailureError) as ended:
                    await handle.result()
            assert is_cancelled_exception(ended.value.cause)
            found = await handle.query("progress", result_type=ScrubResult)
            assert (await row_of(world, found.scrub_id)).state is ScrubState.FAILED


class TestRetention:
    async def test_over_several_histories(self, gate_with: GateWith) -> None:
        async with gate_with(trash_days=0) as world:
            await world.configure(retention={"rejected": 5, "approved": 5})
            age, at = timedelta(days=9), now() - timedelta(days=9)
            ids = [
                await world.seal(picture(), age=age, status=status, updated_at=at)
                for status in (Status.REJECTED, Status.APPROVED)
                for _ in range(2)
            ]
            job = RetentionInput(library=world.library.slug, limit=1, stretch=5, actor="ada", via="cli:ada")
            handle = await start_retention(world.flows, job)
            done: RetentionCounts = await handle.result()
            assert (done.trashed, done.erased, done.bytes) == (4, 4, 4 * len(picture()))
            assert (await handle.describe()).run_id != handle.first_execution_run_id
            for media_id in ids:
                assert (await world.media(media_id)).status is Status.ERASED
                assert await world.objects(media_id) == []
                async with world.db.transaction() as tx:
                    acts = await tx.audit.page(subject=f"media:{media_id}", limit=5)
                assert [(act.action, act.actor) for act in acts] == [("media.erased", "ada"), ("media.trashed", "ada")]
