"""A word that comes when the item is decided: what it may change, and what only a person may."""

from datetime import timedelta
from typing import Any

import pytest

from mediagate.media.values import Status, Verdict
from mediagate.moderation.remoderation import follow_up
from tests.workflows import runs
from tests.workflows.runs import E
from tests.world import World, picture
from workflows.names import Role, remoderation_id


async def remoderated(world: World, media_id: str) -> dict[str, Any]:
    """The result of the item's new round."""
    handle = world.client.get_workflow_handle(remoderation_id(media_id))
    result: dict[str, Any] = await handle.result()
    return result


async def verdicts(world: World, media_id: str) -> list[tuple[int, str, str]]:
    """Round, verdict and decider of each decision."""
    return [(one.round, one.verdict, one.decided_by) for one in await runs.decisions(world, media_id)]


class TestFollowUp:
    @pytest.mark.parametrize(
        ("standing", "by", "wanted", "follows"),
        [
            ("approve", "policy", "approve", None),
            ("approve", "policy", "reject", "reject"),
            ("approve", "policy", "review", "review"),
            ("reject", "policy", "approve", "approve"),
            ("reject", "policy", "review", None),
            ("reject", "policy", "quarantine", "quarantine"),
            ("quarantine", "deadline", "approve", "approve"),
            ("approve", "person:ada", "reject", "review"),
            ("reject", "person:ada", "approve", None),
            ("reject", "gate", "approve", None),
        ],
    )
    def test_persons_are_overruled_by_persons_only(
        self, standing: str, by: str, wanted: str, follows: str | None
    ) -> None:
        assert follow_up(Verdict(standing), by, Verdict(wanted)) == follows


class TestAVendorThatChangesItsMind:
    async def test_withdraws_what_was_public(self, world: World) -> None:
        media_id = await runs.to_approved(world)
        assert (await world.webhook(world.event(media_id, "reject"))).status_code == 200
        assert (await remoderated(world, media_id))["status"] == Status.REJECTED
        assert await verdicts(world, media_id) == [(0, "approve", "policy"), (1, "reject", "policy")]
        assert [name for name in await world.objects(media_id) if "approved" in name or "thumbs" in name] == []
        shown = await world.read(media_id)
        assert (shown["status"], shown["reason"]) == ("rejected", "vendor:reject")
        assert {mail.subject for mail in world.mailer.sent}

    async def test_publishes_what_was_withheld_from_where_it_was_filed(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        await world.webhook(world.event(media_id, "reject"))
        await world.ended(media_id)
        await world.webhook(world.event(media_id, "approve"))
        assert (await remoderated(world, media_id))["status"] == Status.APPROVED
        objects = await world.objects(media_id)
        assert [name for name in objects if name.startswith("media/rejected")] == []
        assert "media/originals/ID/source" in objects
        assert "media/approved/ID/medium.jpg" in objects
        shown = await world.read(media_id)
        for variant in shown["variants"]:
            assert (await world.http.get(variant["url"])).status_code == 200

    async def test_says_the_same_again_and_changes_nothing(self, world: World) -> None:
        media_id = await runs.to_approved(world)
        before = await world.objects(media_id)
        for _ in range(2):
            assert (await world.webhook(world.event(media_id, "approve"))).status_code == 200
        assert await verdicts(world, media_id) == [(0, "approve", "policy")]
        assert sorted(row.state for row in await runs.inbox(world, media_id)) == ["delivered", "late", "late"]
        assert await world.objects(media_id) == before

    async def test_while_the_files_are_moved_opens_the_round_afterwards(self, gate_with: Any) -> None:
        async with gate_with(roles=(Role.FLOW, Role.CPU, Role.VENDOR)) as world:
            media_id = await world.upload(picture())
            async with world.workers(Role.IO):
                await runs.stage(world, media_id, Status.AWAITING_MODERATION)
            await world.webhook(world.event(media_id, "approve"))
            await runs.scheduled(world, media_id, "file_media")
            await world.webhook(world.event(media_id, "reject"))
            async with world.workers(Role.IO):
                assert (await world.ended(media_id))["status"] == Status.APPROVED
                assert (await remoderated(world, media_id))["status"] == Status.REJECTED

    async def test_twice_gets_a_round_each(self, world: World) -> None:
        media_id = await runs.to_approved(world)
        for verdict, status in (("reject", Status.REJECTED), ("approve", Status.APPROVED)):
            await world.webhook(world.event(media_id, verdict))
            assert (await remoderated(world, media_id))["status"] == status
        assert [one[0] for one in await verdicts(world, media_id)] == [0, 1, 2]


class TestWhatAPersonDecided:
    async def test_is_looked_at_by_a_person_again(self, world: World) -> None:
        media_id = await runs.to_review(world)
        await world.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": "approve"})
        await world.ended(media_id)
        await world.webhook(world.event(media_id, "reject"))
        await world.until(media_id, Status.IN_REVIEW)
        assert (await world.read(media_id))["reason"] == "late_verdict"
        decided = await world.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": "reject"})
        assert decided.json()["decided_by"] == "person:tester"
        assert (await remoderated(world, media_id))["status"] == Status.REJECTED
        assert [one[1] for one in await verdicts(world, media_id)] == ["review", "approve", "review", "reject"]

    async def test_stays_withheld(self, world: World) -> None:
        media_id = await runs.to_review(world)
        await world.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": "reject"})
        await world.ended(media_id)
        await world.webhook(world.event(media_id, "approve"))
        assert [row.state for row in await runs.inbox(world, media_id)][-1] == "late"
        assert (await world.media(media_id)).status is Status.REJECTED

    async def test_and_nobody_looks_in_time_the_default_holds(self, skipping_world: World) -> None:
        world = skipping_world
        media_id = await runs.to_review(world)
        await world.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": "approve"})
        await world.ended(media_id)
        await world.webhook(world.event(media_id, "reject"))
        assert (await remoderated(world, media_id))["status"] == Status.QUARANTINED
        assert (await verdicts(world, media_id))[-1] == (1, "quarantine", "deadline")

    async def test_a_word_during_the_second_review_is_kept_and_disturbs_nobody(self, world: World) -> None:
        media_id = await runs.to_review(world)
        await world.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": "approve"})
        await world.ended(media_id)
        await world.webhook(world.event(media_id, "reject"))
        await world.until(media_id, Status.IN_REVIEW)
        await world.webhook(world.event(media_id, "approve"))
        assert [row.state for row in await runs.inbox(world, media_id)][-1] == "late"
        await world.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": "approve"})
        assert (await remoderated(world, media_id))["status"] == Status.APPROVED


class TestTheRound:
    async def test_that_runs_again_has_the_effect_of_once(self, world: World) -> None:
        media_id = await runs.to_approved(world)
        await world.webhook(world.event(media_id, "reject"))
        await remoderated(world, media_id)
        before = await verdicts(world, media_id), await world.objects(media_id)
        handle = world.client.get_workflow_handle(remoderation_id(media_id))
        (started,) = [
            event.workflow_execution_started_event_attributes
            async for event in handle.fetch_history_events()
            if event.event_type == E.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
        ]
        again = await world.client.start_workflow(
            "RemoderationWorkflow",
            (await world.client.data_converter.decode(started.input.payloads))[0],
            id=remoderation_id(media_id),
            task_queue=started.task_queue.name,
            run_timeout=timedelta(minutes=1),
        )
        await again.result()
        assert (await verdicts(world, media_id), await world.objects(media_id)) == before
