"""The sweep on the real server: what a crash left behind is picked up, what is at work is left alone."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.repositories.notifications import CLAIM
from db.session import Database
from db.tables import InboxState, Media, Notification, now
from mediagate.media.values import Status
from tests.workflows import runs
from tests.world import GateWith, World, picture
from workflows.messages import SweepInput
from workflows.names import Role

AT_ONCE = SweepInput(start_after=runs.AT_ONCE, leftover_after=runs.AT_ONCE)


@pytest.fixture
def db(own_db: Database) -> Database:
    return own_db


class TestOwedStarts:
    async def test_an_accepted_item_without_a_run_is_started(self, world: World) -> None:
        media_id = await world.seal(picture(), started=False, age=timedelta(minutes=1))
        assert (await runs.sweep(world, SweepInput())).started >= 1
        await runs.stage(world, media_id, Status.AWAITING_MODERATION)
        row = await world.media(media_id)
        assert row.started_at is not None
        assert row.run_id == (await world.run(media_id).describe()).run_id

    async def test_a_run_that_exists_is_found_and_noted(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        await alter(world, media_id, started_at=None, run_id=None, accepted_at=now() - timedelta(minutes=1))
        await runs.sweep(world, SweepInput())
        row = await world.media(media_id)
        assert row.run_id == (await world.run(media_id).describe()).run_id
        assert (await world.timeline(media_id)).count("started") == 1

    async def test_a_start_that_is_just_being_made_is_left_to_the_request(self, gate_with: GateWith) -> None:
        async with gate_with(roles=(Role.FLOW, Role.IO)) as world:
            media_id = await world.seal(picture(), started=False)
            await runs.sweep(world, SweepInput(start_after=timedelta(minutes=5)))
            assert (await world.media(media_id)).started_at is None
            await alter(world, media_id, started_at=now())


class TestLostUploads:
    async def test_what_never_came_is_expired_and_its_objects_deleted(self, world: World) -> None:
        announced = await world.announce(data := picture())
        media_id = announced["media_id"]
        await world.put(announced, data)
        await alter(world, media_id, expires_at=now() - timedelta(minutes=1))
        assert (await runs.sweep(world, AT_ONCE)).expired >= 1
        row = await world.media(media_id)
        assert (row.status, row.reason) == (Status.EXPIRED, "never_completed")
        assert await world.objects(media_id) == []

    async def test_what_may_still_come_is_left_alone(self, world: World) -> None:
        announced = await world.announce(data := picture())
        await world.put(announced, data)
        await runs.sweep(world, AT_ONCE)
        assert (await world.media(announced["media_id"])).status is Status.AWAITING_UPLOAD
        assert await world.objects(announced["media_id"]) == ["staging/ID"]


class TestStoredEvents:
    async def test_an_event_that_reached_no_run_is_delivered(self, world: World) -> None:
        media_id = await world.seal(picture(), started=False, age=timedelta(minutes=1))
        await world.webhook(world.event(media_id, "reject"))
        assert [row.state for row in await runs.inbox(world, media_id)] == [InboxState.STORED]
        swept = await runs.sweep(world, AT_ONCE)
        assert (swept.started >= 1, swept.delivered >= 1) == (True, True)
        assert [row.state for row in await runs.inbox(world, media_id)] == [InboxState.DELIVERED]
        assert (await world.ended(media_id))["reason"] == "vendor:reject"

    async def test_an_event_about_a_decided_item_is_settled_as_late(self, world: World) -> None:
        media_id = await world.seal(picture())
        await world.webhook(world.event(media_id, "reject"))
        await alter(world, media_id, status=Status.APPROVED)
        await runs.sweep(world, AT_ONCE)
        assert [row.state for row in await runs.inbox(world, media_id)] == [InboxState.LATE]


class TestUnsentMail:
    async def test_a_mail_that_can_never_be_sent_does_not_hold_up_the_others(self, world: World) -> None:
        never, later = await unmailed(world, "No\nheader"), await unmailed(world, "A header")
        await runs.sweep(world, SweepInput(mail_after=runs.AT_ONCE))
        assert [mail.subject for mail in world.mailer.sent if str(later) in mail.message_id] == ["A header"]
        assert await is_mailed(world, later)
        assert not await is_mailed(world, never)
        await discard(world, never)

    async def test_a_server_that_is_away_is_tried_again_by_the_next_sweep(self, world: World) -> None:
        owed = await unmailed(world, "A header")
        world.mailer.failing = True
        assert (await runs.sweep(world, SweepInput(mail_after=runs.AT_ONCE))).mailed == 0
        assert not await is_mailed(world, owed)
        world.mailer.failing = False
        await runs.sweep(world, SweepInput(mail_after=runs.AT_ONCE))
        assert await is_mailed(world, owed)

    async def test_a_mail_that_its_run_is_still_sending_is_left_to_it(self, world: World) -> None:
        fresh = await unmailed(world, "A header")
        await runs.sweep(world, SweepInput())
        assert not await is_mailed(world, fresh)

    async def test_a_mail_that_a_killed_step_had_taken_up_follows_soon(self, world: World) -> None:
        """Its next attempt leaves it to whoever claimed it, so nobody else sends it."""
        claimed = now() - CLAIM - timedelta(seconds=6)
        owed = await unmailed(world, "A header", created_at=claimed, mail_claimed_at=claimed)
        await runs.sweep(world, SweepInput())
        assert [mail.subject for mail in world.mailer.sent if str(owed) in mail.message_id] == ["A header"]
        assert await is_mailed(world, owed)


class TestLeftovers:
    @pytest.mark.parametrize("key", ["staging/{}", "work/{}/medium.jpg"])
    async def test_scratch_objects_of_a_decided_item_are_deleted(self, world: World, key: str) -> None:
        media_id = await world.seal(picture(), status=Status.APPROVED)
        await world.store.put(key.format(media_id), b"late writer", content_type="image/jpeg")
        assert (await runs.sweep(world, AT_ONCE)).cleared >= 1
        assert await world.objects(media_id) == ["media/originals/ID/source"]

    async def test_young_ones_are_left(self, world: World) -> None:
        media_id = await world.seal(picture(), status=Status.APPROVED)
        await world.store.put(f"work/{media_id}/medium.jpg", b"late writer", content_type="image/jpeg")
        await runs.sweep(world, SweepInput())
        assert "work/ID/medium.jpg" in await world.objects(media_id)

    @pytest.mark.parametrize("status", [Status.PROCESSING, Status.IN_REVIEW, Status.FAILED, Status.AWAITING_UPLOAD])
    async def test_those_of_an_item_at_work_are_left(self, world: World, status: Status) -> None:
        media_id = await world.seal(picture(), status=status)
        await world.store.put(f"work/{media_id}/medium.jpg", b"at work", content_type="image/jpeg")
        await runs.sweep(world, AT_ONCE)
        assert "work/ID/medium.jpg" in await world.objects(media_id)


async def alter(world: World, media_id: str, **fields: object) -> None:
    """Change the row as no part of the house would."""
    async with world.db.transaction() as tx:
        media: Media = await tx.media.get(UUID(media_id), lock=True)
        media.sqlmodel_update(fields)


async def unmailed(world: World, subject: str, **fields: Any) -> UUID:
    """A notification whose mail did not go out."""
    told = {"kind": "upload_failed", "subject": subject, "body": "…", **fields}
    note = Notification(library_id=world.library.id, key=uuid4().hex, **told)
    async with world.db.transaction() as tx:
        return (await tx.notifications.put(note)).id


async def is_mailed(world: World, note_id: UUID) -> bool:
    """True if the mail of the notification went out."""
    async with world.db.transaction() as tx:
        note = await tx.session.get(Notification, note_id)
        assert note
        return note.mailed_at is not None


async def discard(world: World, note_id: UUID) -> None:
    """Take a notification out of the way of other tests' sweeps."""
    async with world.db.transaction() as tx:
        await tx.notifications.end_mail(note_id, sent=True)
