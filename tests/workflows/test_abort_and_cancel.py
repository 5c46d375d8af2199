"""Uploads that are stopped: by an abort at any stage, or by the cancellation of their run."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.client import WorkflowUpdateHandle, WorkflowUpdateStage
from temporalio.exceptions import CancelledError
from temporalio.worker import Worker

from activities import heartbeats
from activities._border import Border
from activities.filing import Filing
from activities.notifying import Notifying
from mediagate.errors import Conflict, VendorUnavailable
from mediagate.media.values import Status, Verdict
from tests.stores import GatedStore
from tests.workflows import runs
from tests.world import GateWith, World, picture
from workflows.messages import AbortRequest, DecisionResult, FileInput, FileResult
from workflows.names import Role, task_queue

REQUEST = AbortRequest(actor="ada", reason="Wrong file.")


async def accepted(world: World, media_id: str) -> WorkflowUpdateHandle[DecisionResult]:
    """An abort that the run has accepted and not yet answered."""
    return await world.run(media_id).start_update(
        "abort", REQUEST, wait_for_stage=WorkflowUpdateStage.ACCEPTED, result_type=DecisionResult
    )


class HastyFiling:
    """`file_media` with heartbeats so short that it learns of a cancellation at once."""

    def __init__(self, filing: Filing) -> None:
        self._filing = filing
        self.cancelled = asyncio.Event()

    @activity.defn
    async def file_media(self, job: FileInput) -> FileResult:
        """The real thing, and an event for the test."""
        async with heartbeats.every(0.05):
            work = asyncio.create_task(self._filing.file_media(job))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                work.cancel()
                self.cancelled.set()
                return await work

    def worker(self, world: World) -> Worker:
        """Serves the object queue with it."""
        return Worker(
            world.client,
            task_queue=task_queue(world.flows.prefix, Role.IO),
            activities=[self.file_media, Notifying(world.deps).notify_admins],
            interceptors=[Border()],
            max_heartbeat_throttle_interval=timedelta(milliseconds=50),
        )


async def ends_as_aborted(world: World, media_id: str) -> None:
    """Every abort ends like this."""
    result = await world.ended(media_id)
    assert (result["status"], result["reason"]) == (Status.REJECTED, "aborted")
    row = await world.media(media_id)
    assert (row.status, row.reason) == (Status.REJECTED, "aborted")
    assert row.backup_key
    objects = await world.objects(media_id)
    assert "media/rejected/ID/source" in objects
    assert not [key for key in objects if key.startswith(("work/", "staging/", "media/originals/"))]
    last = (await runs.decisions(world, media_id))[-1]
    assert (last.decided_by, last.reasons) == ("person:ada", [{"code": "aborted", "detail": "Wrong file."}])


class TestAbort:
    async def test_before_anything_was_done(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(Role.FLOW,)) as world:
            media_id = await world.upload(picture())
            asked = await accepted(world, media_id)
            async with world.workers(Role.CPU, Role.IO):
                assert (await asked.result()).verdict is Verdict.REJECT
                await ends_as_aborted(world, media_id)
            assert media_id not in world.vendor.submissions

    async def test_while_pictures_are_made(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(Role.FLOW, Role.IO, Role.VENDOR)) as world:
            media_id = await world.upload(picture())
            await runs.scheduled(world, media_id, "verify_and_render")
            asked = await accepted(world, media_id)
            async with world.workers(Role.CPU):
                assert (await asked.result()).reason == "aborted"
                await ends_as_aborted(world, media_id)
            assert media_id not in world.vendor.submissions

    async def test_while_the_vendor_is_away(self, world: World) -> None:
        world.vendor.trouble = VendorUnavailable()
        media_id = await world.upload(picture())
        await runs.retried(world, media_id, "submit_for_moderation")
        assert (await world.flows.abort(media_id, REQUEST)).verdict is Verdict.REJECT
        await ends_as_aborted(world, media_id)

    async def test_while_the_webhook_is_waited_for(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        await world.flows.abort(media_id, REQUEST)
        await ends_as_aborted(world, media_id)

    async def test_while_a_person_is_waited_for(self, world: World) -> None:
        media_id = await runs.to_review(world)
        await world.flows.abort(media_id, REQUEST)
        await ends_as_aborted(world, media_id)

    async def test_over_http_the_answer_is_the_decision(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        answer = await world.http.post(f"/api/v1/media/{media_id}/abort", json={"reason": "Wrong file."})
        assert answer.status_code == 200
        assert (answer.json()["verdict"], answer.json()["decided_by"]) == ("reject", "person:tester")

    async def test_of_two_aborts_both_get_the_same_answer(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(Role.FLOW,)) as world:
            media_id = await world.upload(picture())
            first, second = await accepted(world, media_id), await accepted(world, media_id)
            async with world.workers(Role.CPU, Role.IO):
                assert await first.result() == await second.result()
                await ends_as_aborted(world, media_id)

    async def test_what_is_decided_cannot_be_aborted(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(Role.FLOW, Role.CPU, Role.VENDOR)) as world:
            media_id = await world.upload(picture())
            async with world.workers(Role.IO):
                await runs.stage(world, media_id, Status.AWAITING_MODERATION)
            await world.webhook(world.event(media_id, "approve"))
            await runs.scheduled(world, media_id, "file_media")
            with pytest.raises(Conflict, match="decided already: approve"):
                await world.flows.abort(media_id, REQUEST)

    async def test_what_is_filed_cannot_be_aborted(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        await world.webhook(world.event(media_id))
        await world.ended(media_id)
        answer = await world.http.post(f"/api/v1/media/{media_id}/abort", json={})
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert (await world.media(media_id)).status is Status.APPROVED


class TestCancel:
    async def test_the_row_says_that_the_run_was_cancelled(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        await world.run(media_id).cancel()
        assert isinstance(await runs.failure(world, media_id), CancelledError)
        row = await world.media(media_id)
        assert (row.status, row.reason) == (Status.FAILED, "cancelled")
        assert (await runs.attributes(world, media_id))["FailureKind"] == "cancelled"

    async def test_while_an_activity_has_no_worker(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(Role.FLOW,)) as world:
            media_id = await world.upload(picture())
            await runs.scheduled(world, media_id, "verify_and_render")
            await world.run(media_id).cancel()
            await runs.failure(world, media_id)
            row = await world.media(media_id)
            assert (row.status, row.reason) == (Status.FAILED, "cancelled")

    async def test_while_reviewers_are_being_told(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(Role.FLOW, Role.CPU, Role.VENDOR)) as world:
            media_id = await world.upload(picture())
            async with world.workers(Role.IO):
                await runs.stage(world, media_id, Status.AWAITING_MODERATION)
            await world.webhook(world.event(media_id, "review"))
            await runs.scheduled(world, media_id, "notify_admins")
            await world.run(media_id).cancel()
            assert isinstance(await runs.failure(world, media_id), CancelledError)
            assert (await world.media(media_id)).reason == "cancelled"

    async def test_files_that_are_on_their_way_arrive_first(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(Role.FLOW, Role.CPU, Role.VENDOR)) as world:
            media_id = await world.upload(picture())
            async with world.workers(Role.IO):
                await runs.stage(world, media_id, Status.AWAITING_MODERATION)
            store = GatedStore(world.store, "copy")
            filing = HastyFiling(Filing(replace(world.deps, store=store), Notifying(world.deps)))
            async with filing.worker(world):
                await world.webhook(world.event(media_id, "approve"))
                await store.reached.wait()
                await world.run(media_id).cancel()
                await filing.cancelled.wait()
                store.opened.set()
                assert (await world.ended(media_id))["status"] == Status.APPROVED
            assert (await world.media(media_id)).status is Status.APPROVED
            assert not [key for key in await world.objects(media_id) if key.startswith("work/")]
