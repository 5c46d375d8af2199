"""Broken invariants fail the run by name; poisoned files and mail that cannot be sent do not."""

import pytest
from temporalio import activity
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import Worker

from activities.heartbeats import MAX_DEATHS
from db.session import Database
from mediagate.errors import StorageUnavailable
from mediagate.imaging import MemoryBudget
from mediagate.imaging.pool import PicturePool
from mediagate.media.values import MIB, Status
from tests.stores import BreakingStore
from tests.workflows import runs
from tests.world import GateWith, World, picture
from workflows.messages import MediaRef, StepResult, SweepInput
from workflows.names import Role, task_queue


class TestABrokenInvariant:
    async def test_an_altered_picture_fails_the_run_and_is_not_filed(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        await world.store.put(f"work/{media_id}/original.jpg", picture(seed=9), content_type="image/jpeg")
        await world.webhook(world.event(media_id))
        assert kind_of(await runs.failure(world, media_id)) == "ObjectCorrupt"
        row = await world.media(media_id)
        assert (row.status, row.reason) == (Status.FAILED, "ObjectCorrupt")
        assert "no longer has the SHA-256" in row.detail
        assert (await runs.attributes(world, media_id))["FailureKind"] == "ObjectCorrupt"
        assert "media/approved/ID/original.jpg" not in await world.objects(media_id)

    async def test_an_altered_master_is_not_moved_and_nothing_is_deleted(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        before = await world.objects(media_id)
        await world.store.put((await world.media(media_id)).master_key or "", b"other", content_type="image/jpeg")
        await world.webhook(world.event(media_id, "reject"))
        assert kind_of(await runs.failure(world, media_id)) == "ObjectCorrupt"
        assert await world.objects(media_id) == before

    async def test_a_master_that_is_gone_fails_the_run(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        await world.store.delete((await world.media(media_id)).master_key or "")
        await world.webhook(world.event(media_id, "reject"))
        assert kind_of(await runs.failure(world, media_id)) == "ObjectMissing"
        assert (await runs.attributes(world, media_id))["FailureKind"] == "ObjectMissing"
        assert (await world.media(media_id)).status is Status.FAILED

    async def test_a_failed_item_is_not_readable_by_the_public(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        await world.store.delete(f"work/{media_id}/thumb.jpg")
        await world.webhook(world.event(media_id))
        await runs.failure(world, media_id)
        shown = await world.read(media_id)
        assert shown["status"] == "failed"
        for variant in shown["variants"]:
            answer = await world.http.get(variant["url"], headers={"Authorization": ""})
            assert answer.status_code == 401


class TestAPoisonedFile:
    async def test_it_is_set_apart_with_its_backup(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(Role.FLOW, Role.IO)) as world:
            media_id = await world.upload(picture())
            async with poisoned_imaging(world):
                result = await world.ended(media_id)
            assert (result["status"], result["reason"]) == (Status.QUARANTINED, "poisoned_file")
            row = await world.media(media_id)
            assert await world.objects(media_id) == [f"backups/ID/{row.sha256}", "media/quarantine/ID/source"]
            (decision,) = await runs.decisions(world, media_id)
            assert (decision.decided_by, decision.verdict) == ("gate", "quarantine")

    async def test_one_that_always_hangs_its_decoder_ends_no_worker(self, gate_with: GateWith) -> None:
        impatient = PicturePool(1, MemoryBudget(512 * MIB), time_limit=0.02)
        async with gate_with(roles=(Role.FLOW, Role.IO)) as world, world.workers(Role.CPU, pictures=impatient):
            media_id = await world.upload(picture(5000, 4000))
            result = await world.ended(media_id)
            assert (result["status"], result["reason"]) == (Status.QUARANTINED, "poisoned_file")
            assert await impatient.run(1, abs, -1) == 1
        impatient.close()

    async def test_errors_that_are_reported_condemn_no_file(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(Role.FLOW, Role.IO, Role.VENDOR)) as world:
            trouble = StorageUnavailable(retry_after=0.02)
            store = BreakingStore(world.store, "put", trouble, times=MAX_DEATHS + 1, about="original.jpg")
            async with world.workers(Role.CPU, store=store):
                media_id = await world.upload(picture())
                await runs.stage(world, media_id, Status.AWAITING_MODERATION)
            assert store.seen == MAX_DEATHS + 2


class TestMailThatCannotBeSent:
    @pytest.fixture
    def db(self, own_db: Database) -> Database:
        return own_db

    async def test_a_refused_mail_does_not_fail_the_upload(self, world: World) -> None:
        world.mailer.refused = {"admin@example.test"}
        media_id = await runs.to_moderation(world)
        await world.webhook(world.event(media_id))
        assert (await world.ended(media_id))["status"] == Status.APPROVED
        (note,) = await runs.notifications(world, media_id)
        assert (note.kind, note.mailed_at) == ("moderation_result", None)

    async def test_a_mail_server_that_is_away_keeps_no_file_from_its_place(self, world: World) -> None:
        world.mailer.failing = True
        media_id = await runs.to_moderation(world)
        await world.webhook(world.event(media_id))
        await world.until(media_id, Status.APPROVED)
        assert (await world.ended(media_id))["status"] == Status.APPROVED
        world.mailer.failing = False
        await runs.sweep(world, SweepInput(mail_after=runs.AT_ONCE))
        assert len(await runs.mailed(world, media_id, "moderation_result")) == 1

    async def test_a_mail_that_is_refused_for_good_is_not_tried_again(self, world: World) -> None:
        world.mailer.refused = {"admin@example.test"}
        media_id = await runs.to_moderation(world)
        await world.webhook(world.event(media_id))
        await world.ended(media_id)
        world.mailer.refused = set()
        await runs.sweep(world, SweepInput(mail_after=runs.AT_ONCE))
        (note,) = await runs.notifications(world, media_id)
        assert (note.mailed_at, "unknown" in note.mail_error) == (None, True)
        assert [mail for mail in world.mailer.sent if str(note.id) in mail.message_id] == []


def kind_of(failure: BaseException | None) -> str | None:
    """The type that the failed activity named."""
    assert isinstance(failure, ActivityError)
    assert isinstance(failure.cause, ApplicationError)
    return failure.cause.type


def poisoned_imaging(world: World) -> Worker:
    """Serves the picture queue; its activity says what the poison guard says after too many deaths."""

    @activity.defn(name="verify_and_render")
    async def poisoned(ref: MediaRef) -> StepResult:
        raise ApplicationError("It ended its worker.", type="PoisonedFile", non_retryable=True)

    return Worker(world.client, task_queue=task_queue(world.flows.prefix, Role.CPU), activities=[poisoned])
