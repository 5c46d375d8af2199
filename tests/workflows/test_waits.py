"""Vendors that are late, silent or away: every wait has an end, and the end has a reason."""

from datetime import timedelta

from db.tables import now
from mediagate.errors import InvalidRequest, VendorUnavailable
from mediagate.media.values import Status
from tests.workflows import runs
from tests.workflows.runs import E
from tests.world import GateWith, World, picture


class TestALostWebhook:
    async def test_the_poll_finds_the_answer(self, hasty_world: World) -> None:
        world = hasty_world
        announced = await world.announce(data := picture())
        await world.put(announced, data)
        media_id = announced["media_id"]
        world.vendor.answer(media_id, [{"verdict": "reject", "scores": {"gore": 0.9}}], now=now())
        await world.complete(announced, data)
        result = await world.ended(media_id)
        assert (result["status"], result["reason"]) == (Status.REJECTED, "reject:gore")
        assert (await world.timeline(media_id)).count("polled") == 1
        assert await runs.events(world, media_id, E.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED) == 0

    async def test_the_webhook_that_comes_after_all_is_only_noted(self, hasty_world: World) -> None:
        world = hasty_world
        announced = await world.announce(data := picture())
        await world.put(announced, data)
        media_id = announced["media_id"]
        world.vendor.answer(media_id, [{"verdict": "approve"}], now=now())
        await world.complete(announced, data)
        await world.ended(media_id)
        assert (await world.webhook(world.event(media_id, "reject"))).status_code == 200
        # The word that the poll brought, then this one.
        assert [row.state for row in await runs.inbox(world, media_id)] == ["delivered", "late"]
        assert (await world.media(media_id)).status is Status.APPROVED


class TestASilentVendor:
    async def test_a_person_is_asked(self, hasty_world: World) -> None:
        world = hasty_world
        media_id = await world.upload(picture())
        await runs.stage(world, media_id, Status.IN_REVIEW)
        assert (await world.media(media_id)).reason == "vendor_silent"
        (opened,) = await runs.decisions(world, media_id)
        assert (opened.final, opened.decided_by) == (False, "gate")
        assert await runs.events(world, media_id, E.EVENT_TYPE_TIMER_FIRED) == 1

    async def test_the_late_word_closes_the_review(self, hasty_world: World) -> None:
        world = hasty_world
        media_id = await world.upload(picture())
        await runs.stage(world, media_id, Status.IN_REVIEW)
        await world.webhook(world.event(media_id, "approve"))
        result = await world.ended(media_id)
        assert (result["status"], result["reason"]) == (Status.APPROVED, "clean")
        assert [row.state for row in await runs.inbox(world, media_id)] == ["delivered"]
        assert [d.decided_by for d in await runs.decisions(world, media_id)] == ["gate", "policy"]

    async def test_a_late_word_that_is_unsure_leaves_the_review_and_its_deadline(self, hasty_world: World) -> None:
        world = hasty_world
        media_id = await world.upload(picture())
        await runs.stage(world, media_id, Status.IN_REVIEW)
        await world.webhook(world.event(media_id, "review"))
        await runs.happened(world, media_id, E.EVENT_TYPE_TIMER_STARTED, times=3)
        first, second = (await runs.timers(world, media_id))[1:]
        assert first == timedelta(days=1)
        assert timedelta(hours=23) < second < first
        assert len(await runs.mailed(world, media_id, "review_due")) == 1
        decided = await world.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": "approve"})
        assert decided.json()["decided_by"] == "person:tester"

    async def test_days_of_silence_end_by_the_policy(self, gate_with: GateWith) -> None:
        async with gate_with(skip_time=True, vendor_wait=600) as world:
            await self._silence(world)

    async def _silence(self, world: World) -> None:
        media_id = await world.upload(picture())
        result = await world.ended(media_id)
        assert (result["status"], result["reason"]) == (Status.QUARANTINED, "review_deadline")
        assert (await world.timeline(media_id)).count("polled") == 3
        assert await runs.timers(world, media_id) == [timedelta(minutes=m) for m in (10, 20, 40)] + [timedelta(days=1)]
        assert await runs.events(world, media_id) < 100


class TestAVendorThatIsAway:
    async def test_the_submission_is_repeated_until_it_is_back(self, world: World) -> None:
        world.vendor.trouble = VendorUnavailable(retry_after=0.05)
        media_id = await world.upload(picture())
        await runs.retried(world, media_id, "submit_for_moderation")
        world.vendor.trouble = None
        await runs.stage(world, media_id, Status.AWAITING_MODERATION)
        await world.webhook(world.event(media_id))
        assert (await world.ended(media_id))["status"] == Status.APPROVED

    async def test_a_submission_it_never_takes_goes_to_a_person(self, world: World) -> None:
        world.vendor.trouble = InvalidRequest("Too strange for us.")
        media_id = await world.upload(picture())
        await runs.stage(world, media_id, Status.IN_REVIEW)
        assert (await world.media(media_id)).reason == "vendor_unavailable"

    async def test_a_poll_that_fails_counts_as_silence(self, hasty_world: World) -> None:
        world = hasty_world
        media_id = await world.upload(picture())
        await world.until(media_id, Status.AWAITING_MODERATION)
        await runs.happened(world, media_id, E.EVENT_TYPE_TIMER_STARTED)
        world.vendor.trouble = InvalidRequest("Never heard of it.")
        await runs.stage(world, media_id, Status.IN_REVIEW)
        assert (await world.media(media_id)).reason == "vendor_silent"
