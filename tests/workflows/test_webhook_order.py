"""Webhooks that come early, twice, in the wrong order, in part, or too late: each has one defined result."""

from datetime import UTC, datetime, timedelta

from mediagate.media.values import Status
from mediagate.moderation.findings import VendorEvent
from mediagate.vendors.interface import ReadCopy, Submission, SubmissionReceipt
from mediagate.vendors.memory import MemoryVendor
from tests.workflows import runs
from tests.workflows.runs import E
from tests.world import SECRET, VENDOR, GateWith, World, picture

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def at(minutes: int) -> str:
    """A time at which a vendor says that something happened."""
    return (NOON + timedelta(minutes=minutes)).isoformat()


class AnsweringVendor(MemoryVendor):
    """Sends its webhook before it returns from `submit`."""

    def __init__(self, world: World) -> None:
        super().__init__(name=VENDOR, secret=SECRET)
        self._world = world

    async def submit(self, submission: Submission, read: ReadCopy) -> SubmissionReceipt:
        sent = await self._world.webhook(self._world.event(submission.media_id, "reject"))
        assert sent.status_code == 200
        return await super().submit(submission, read)


class TestEarly:
    async def test_before_any_worker_took_the_run(self, gate_with: GateWith) -> None:
        async with gate_with(roles=()) as world:
            media_id = await world.upload(picture())
            assert (await world.webhook(world.event(media_id, "reject"))).status_code == 200
            async with world.workers():
                assert (await world.ended(media_id))["reason"] == "vendor:reject"
            assert await runs.events(world, media_id, E.EVENT_TYPE_TIMER_STARTED) == 0

    async def test_before_the_vendor_gave_its_receipt(self, gate_with: GateWith) -> None:
        async with gate_with(roles=()) as world:
            media_id = await world.upload(picture())
            async with world.workers(vendors={VENDOR: AnsweringVendor(world)}):
                assert (await world.ended(media_id))["reason"] == "vendor:reject"
            assert [row.state for row in await runs.inbox(world, media_id)] == ["delivered"]

    async def test_before_the_run_exists(self, world: World) -> None:
        media_id = await world.seal(picture())
        stored = await world.webhook(world.event(media_id, "reject"))
        assert stored.status_code == 200
        assert [row.state for row in await runs.inbox(world, media_id)] == ["stored"]
        await runs.start(world, media_id)
        assert (await world.ended(media_id))["reason"] == "vendor:reject"


class TestTwice:
    async def test_the_same_event_is_stored_and_counted_once(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        event = world.event(media_id, "approve", final=False)
        answers = [(await world.webhook(event)).json() for _ in range(3)]
        assert [(answer["stored"], answer["duplicates"]) for answer in answers] == [(1, 0), (0, 1), (0, 1)]
        assert await runs.events(world, media_id, E.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED) == 1

    async def test_a_signal_that_arrives_twice_is_weighed_once(self, gate_with: GateWith) -> None:
        async with gate_with(roles=()) as world:
            media_id = await world.upload(picture())
            event = VendorEvent.model_validate(world.event(media_id, "reject"))
            for _ in range(2):
                assert await world.flows.signal_moderation(media_id, event)
            async with world.workers():
                await world.ended(media_id)
            (decision,) = await runs.decisions(world, media_id)
            assert [finding["event_id"] for finding in decision.findings] == [event.event_id]


class TestInTheWrongOrder:
    async def test_a_final_word_stands_against_an_older_pending_one(self, gate_with: GateWith) -> None:
        async with gate_with(roles=()) as world:
            media_id = await world.upload(picture())
            final = world.event(media_id, "reject", occurred_at=at(5))
            pending = world.event(media_id, "review", final=False, occurred_at=at(1))
            for event in (final, pending):
                await world.webhook(event)
            async with world.workers():
                assert (await world.ended(media_id))["reason"] == "vendor:reject"

    async def test_of_two_final_words_the_one_that_happened_later_counts(self, gate_with: GateWith) -> None:
        async with gate_with(roles=()) as world:
            media_id = await world.upload(picture())
            for verdict, minute in (("approve", 9), ("reject", 2)):
                await world.webhook(world.event(media_id, verdict, occurred_at=at(minute)))
            async with world.workers():
                assert (await world.ended(media_id))["reason"] == "clean"


class TestInPart:
    async def test_what_is_not_final_decides_nothing(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        await world.webhook(world.event(media_id, "reject", final=False, scores={"csam": 0.99}))
        await runs.happened(world, media_id, E.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
        assert (await runs.details(world, media_id)).startswith("Waiting for the webhook")
        assert await runs.decisions(world, media_id) == []
        await world.webhook(world.event(media_id, "approve"))
        assert (await world.ended(media_id))["reason"] == "clean"

    async def test_a_batch_of_both_is_decided_by_the_final_one(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        sent = await world.webhook(world.event(media_id, "reject", final=False), world.event(media_id, "approve"))
        assert sent.json()["stored"] == 2
        assert (await world.ended(media_id))["status"] == Status.APPROVED


class TestTooLate:
    async def test_words_that_change_no_verdict_are_kept(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        await world.webhook(world.event(media_id, "approve"))
        await world.ended(media_id)
        objects = await world.objects(media_id)
        for event in (world.event(media_id), world.event(media_id, "reject", final=False)):
            assert (await world.webhook(event)).status_code == 200
        assert sorted(row.state for row in await runs.inbox(world, media_id)) == ["delivered", "late", "late"]
        assert (await world.timeline(media_id)).count("webhook") == 3
        assert (await world.media(media_id)).status is Status.APPROVED
        assert await world.objects(media_id) == objects
        assert len(await runs.decisions(world, media_id)) == 1
