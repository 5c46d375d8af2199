"""The upload workflow on the real server: every branch, with the real activities."""

import pytest

from mediagate.errors import VendorUnavailable
from mediagate.media.values import Status
from tests.world import World, picture


class TestDecisions:
    @pytest.mark.parametrize(
        ("verdict", "scores", "status", "reason"),
        [
            ("approve", {}, Status.APPROVED, "clean"),
            ("reject", {"nudity": 0.95}, Status.REJECTED, "reject:nudity"),
            ("reject", {"csam": 0.97}, Status.QUARANTINED, "quarantine:csam"),
        ],
    )
    async def test_the_vendors_word_leads_to_an_end(
        self, world: World, verdict: str, scores: dict[str, float], status: Status, reason: str
    ) -> None:
        media_id = await world.upload(picture())
        await world.until(media_id, Status.AWAITING_MODERATION)
        assert (await world.webhook(world.event(media_id, verdict, scores=scores))).status_code == 200
        result = await world.ended(media_id)
        assert (result["status"], result["reason"]) == (status.value, reason)
        assert (await world.media(media_id)).status is status

    async def test_a_middling_score_goes_to_a_person(self, world: World) -> None:
        media_id = await world.upload(picture())
        await world.until(media_id, Status.AWAITING_MODERATION)
        await world.webhook(world.event(media_id, "review", scores={"nudity": 0.6}))
        await world.until(media_id, Status.IN_REVIEW)
        decided = await world.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": "approve"})
        assert decided.json()["decided_by"] == "person:tester"
        assert (await world.ended(media_id))["status"] == Status.APPROVED


class TestWaits:
    async def test_a_lost_webhook_is_found_by_the_poll(self, skipping_world: World) -> None:
        world = skipping_world
        media_id = await world.upload(picture())
        await world.until(media_id, Status.AWAITING_MODERATION, Status.IN_REVIEW, Status.QUARANTINED)
        assert (await world.ended(media_id))["status"] == Status.QUARANTINED

    async def test_a_vendor_that_is_away_leaves_it_to_a_person(self, skipping_world: World) -> None:
        world = skipping_world
        world.vendor.trouble = VendorUnavailable()
        media_id = await world.upload(picture())
        result = await world.ended(media_id)
        assert (result["status"], result["reason"]) == (Status.QUARANTINED, "review_deadline")
