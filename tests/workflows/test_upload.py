"""The upload workflow on the real server: the ways through the gate, with the real activities."""

import hashlib

import pytest

from mediagate.media.values import Status
from tests.broken import broken_pixels
from tests.workflows import runs
from tests.workflows.runs import E
from tests.world import World, picture


class TestDecisions:
    @pytest.mark.parametrize(
        ("verdict", "scores", "status", "reason"),
        [
            ("approve", {}, Status.APPROVED, "clean"),
            ("reject", {"nudity": 0.95}, Status.REJECTED, "reject:nudity"),
            ("reject", {}, Status.REJECTED, "vendor:reject"),
            ("reject", {"csam": 0.97}, Status.QUARANTINED, "quarantine:csam"),
        ],
    )
    async def test_the_vendors_word_leads_to_an_end(
        self, world: World, verdict: str, scores: dict[str, float], status: Status, reason: str
    ) -> None:
        media_id = await runs.to_moderation(world)
        assert (await world.webhook(world.event(media_id, verdict, scores=scores))).status_code == 200
        result = await world.ended(media_id)
        assert (result["status"], result["reason"]) == (status.value, reason)
        row = await world.media(media_id)
        assert (row.status, row.reason) == (status, reason)
        assert [decision.decided_by for decision in await runs.decisions(world, media_id)] == ["policy"]

    async def test_approved_pictures_are_public_and_the_master_is_not(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        await world.webhook(world.event(media_id))
        await world.ended(media_id)
        assert await world.objects(media_id) == [
            "media/approved/ID/medium.jpg",
            "media/approved/ID/original.jpg",
            "media/originals/ID/source",
            "media/thumbs/ID.jpg",
        ]

    @pytest.mark.parametrize(("score", "folder"), [("nudity", "rejected"), ("csam", "quarantine")])
    async def test_withheld_files_move_together_after_their_backup(self, world: World, score: str, folder: str) -> None:
        media_id = await runs.to_moderation(world)
        await world.webhook(world.event(media_id, "reject", scores={score: 0.97}))
        await world.ended(media_id)
        row = await world.media(media_id)
        assert row.backup_key == f"{world.library.slug}/backups/{media_id}/{row.sha256}"
        assert await world.objects(media_id) == [
            f"backups/ID/{row.sha256}",
            *(f"media/{folder}/ID/{name}.jpg" for name in ("medium", "moderation", "original")),
            f"media/{folder}/ID/source",
            f"media/{folder}/ID/thumb.jpg",
        ]

    async def test_the_timeline_tells_the_story_in_order(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        await world.webhook(world.event(media_id))
        await world.ended(media_id)
        kinds = [kind for kind in await world.timeline(media_id) if kind not in {"status", "started", "webhook"}]
        assert kinds[-5:] == ["rendered", "submitted", "decided", "filed", "notified"]
        assert kinds.index("verified") < kinds.index("rendered")


class TestRefusals:
    async def test_a_broken_header_is_refused_by_the_check(self, world: World) -> None:
        data = picture()[:-300]
        media_id = await world.upload(data)
        assert (await world.ended(media_id))["reason"] == "truncated_file"
        row = await world.media(media_id)
        assert (row.status, row.facts) == (Status.REJECTED, {})
        digest = hashlib.sha256(data).hexdigest()
        assert await world.objects(media_id) == [f"backups/ID/{digest}", "media/rejected/ID/source"]

    async def test_broken_pixels_are_refused_by_the_rendering(self, world: World) -> None:
        data = broken_pixels()
        media_id = await world.upload(data, filename="photo.png", content_type="image/png")
        assert (await world.ended(media_id))["reason"] == "corrupt_file"
        row = await world.media(media_id)
        assert (row.status, row.facts["format"]) == (Status.REJECTED, "png")
        digest = hashlib.sha256(data).hexdigest()
        assert await world.objects(media_id) == [f"backups/ID/{digest}", "media/rejected/ID/source"]

    async def test_a_refused_file_never_reaches_the_vendor(self, world: World) -> None:
        media_id = await world.upload(b"no picture at all")
        result = await world.ended(media_id)
        assert (result["status"], result["reason"]) == (Status.REJECTED, "unknown_type")
        assert media_id not in world.vendor.submissions
        (decision,) = await runs.decisions(world, media_id)
        assert (decision.decided_by, decision.verdict) == ("gate", "reject")


class TestWhatOperatorsSee:
    async def test_the_run_says_what_it_is_about_and_what_it_waits_for(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        described = await world.run(media_id).describe()
        assert await described.static_summary() == f"photo.jpg in {world.library.slug}"
        assert media_id in (await described.static_details() or "")
        assert await runs.attributes(world, media_id) == {
            "MediaStage": "awaiting_moderation",
            "Library": world.library.slug,
        }
        assert (await runs.details(world, media_id)).startswith("Waiting for the webhook of memory; poll 1 of 3 at ")

    async def test_an_end_is_found_by_stage_and_verdict(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        await world.webhook(world.event(media_id, "reject"))
        await world.ended(media_id)
        assert await runs.attributes(world, media_id) == {
            "MediaStage": "rejected",
            "Library": world.library.slug,
            "Verdict": "reject",
        }
        assert await runs.details(world, media_id) == "Filed as rejected: vendor:reject."

    async def test_a_review_is_found_by_when_it_is_due(self, world: World) -> None:
        media_id = await runs.to_review(world)
        due = (await runs.attributes(world, media_id))["ReviewDueAt"]
        began = (await world.run(media_id).describe()).start_time
        assert 86_400 <= (due - began).total_seconds() < 86_400 + 60
        assert (await runs.details(world, media_id)).startswith("In review because of review:nudity; due ")

    async def test_an_uneventful_upload_leaves_a_short_history(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        await world.webhook(world.event(media_id))
        await world.ended(media_id)
        history = await world.run(media_id).fetch_history()
        assert len(history.events) < 45
        scheduled = [e for e in history.events if e.event_type == E.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED]
        assert len(scheduled) == 3
        assert all(event.user_metadata.summary.data for event in scheduled)
