"""What a person decides, may not decide, and what happens when no person does."""

import asyncio

import pytest

from db.tables import now
from mediagate.errors import Conflict, InvalidRequest
from mediagate.media.values import Status, Verdict
from tests.workflows import runs
from tests.workflows.runs import E
from tests.world import World, picture
from workflows.messages import HumanDecision


class TestAPersonDecides:
    @pytest.mark.parametrize(
        ("verdict", "status"),
        [("approve", Status.APPROVED), ("reject", Status.REJECTED), ("quarantine", Status.QUARANTINED)],
    )
    async def test_the_verdict_ends_the_review(self, world: World, verdict: str, status: Status) -> None:
        media_id = await runs.to_review(world)
        body = {"verdict": verdict, "reason": "policy:taste", "note": "Seen by two."}
        answer = await world.http.post(f"/api/v1/media/{media_id}/decision", json=body)
        assert answer.status_code == 200
        assert (answer.json()["verdict"], answer.json()["decided_by"]) == (verdict, "person:tester")
        result = await world.ended(media_id)
        assert (result["status"], result["reason"]) == (status, "policy:taste")
        opened, ended = await runs.decisions(world, media_id)
        assert (opened.verdict, opened.decided_by) == ("review", "policy")
        assert (ended.verdict, ended.note, ended.decided_by) == (verdict, "Seen by two.", "person:tester")
        assert {finding["category"] for finding in ended.findings} == {"verdict", "nudity"}

    async def test_review_is_no_verdict_of_a_person(self, world: World) -> None:
        media_id = await runs.to_review(world)
        undecided = HumanDecision(verdict=Verdict.REVIEW, reviewer="ada")
        with pytest.raises(InvalidRequest, match="A person decides"):
            await world.flows.decide(media_id, undecided)
        assert (await world.media(media_id)).status is Status.IN_REVIEW
        assert await runs.events(world, media_id, E.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED) == 0

    async def test_a_verdict_outside_a_review_is_refused(self, world: World) -> None:
        media_id = await runs.to_moderation(world)
        answer = await world.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": "approve"})
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert (await world.media(media_id)).status is Status.AWAITING_MODERATION

    async def test_a_verdict_after_the_end_is_refused(self, world: World) -> None:
        media_id = await runs.to_review(world)
        await world.flows.decide(media_id, HumanDecision(verdict=Verdict.REJECT, reviewer="ada"))
        await world.ended(media_id)
        answer = await world.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": "approve"})
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert (await world.media(media_id)).status is Status.REJECTED

    async def test_of_two_people_one_decides_and_one_is_told(self, world: World) -> None:
        media_id = await runs.to_review(world)
        outcomes = await asyncio.gather(
            world.flows.decide(media_id, HumanDecision(verdict=Verdict.APPROVE, reviewer="ada")),
            world.flows.decide(media_id, HumanDecision(verdict=Verdict.REJECT, reviewer="bob")),
            return_exceptions=True,
        )
        (stands,) = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        (refused,) = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert isinstance(refused, Conflict)
        assert (await world.ended(media_id))["verdict"] == stands.verdict
        assert [decision.final for decision in await runs.decisions(world, media_id)] == [False, True]

    async def test_a_vendors_second_thought_does_not_close_a_review_that_the_policy_opened(self, world: World) -> None:
        media_id = await runs.to_review(world)
        await world.webhook(world.event(media_id, "approve"))
        await runs.happened(world, media_id, E.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED, times=2)
        answer = await world.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": "reject"})
        assert answer.json()["verdict"] == "reject"
        assert (await world.ended(media_id))["status"] == Status.REJECTED


class TestNobodyDecides:
    async def test_the_deadline_brings_the_policys_default(self, skipping_world: World) -> None:
        world = skipping_world
        announced = await world.announce(data := picture())
        await world.put(announced, data)
        media_id = announced["media_id"]
        world.vendor.answer(media_id, [{"verdict": "review"}], now=now())
        await world.complete(announced, data)
        result = await world.ended(media_id)
        assert (result["status"], result["reason"]) == (Status.QUARANTINED, "review_deadline")
        opened, ended = await runs.decisions(world, media_id)
        assert (opened.verdict, opened.reasons[0]["code"]) == ("review", "vendor:review")
        assert (ended.verdict, ended.decided_by) == ("quarantine", "deadline")

    async def test_a_librarys_own_default_holds(self, skipping_world: World) -> None:
        world = skipping_world
        async with world.db.transaction() as tx:
            library = await tx.access.library(world.library.slug)
            assert library
            library.settings = {"policy": {"version": "strict-7", "after_deadline": "reject"}}
        announced = await world.announce(data := picture())
        await world.put(announced, data)
        world.vendor.answer(announced["media_id"], [{"verdict": "review"}], now=now())
        await world.complete(announced, data)
        assert (await world.ended(announced["media_id"]))["status"] == Status.REJECTED
        assert {d.policy_version for d in await runs.decisions(world, announced["media_id"])} == {"strict-7"}


class TestTheReviewersAreTold:
    async def test_a_notification_says_why_and_that_it_waits(self, world: World) -> None:
        media_id = await runs.to_review(world)
        (mail,) = await runs.mailed(world, media_id, "review_due")
        assert "review:nudity" in mail.text

    async def test_a_mail_server_that_is_away_does_not_keep_a_person_from_deciding(self, world: World) -> None:
        world.mailer.failing = True
        media_id = await runs.to_review(world)
        await runs.retried(world, media_id, "notify_admins")
        decided = await world.flows.decide(media_id, HumanDecision(verdict=Verdict.APPROVE, reviewer="ada"))
        assert decided.verdict is Verdict.APPROVE
        await world.until(media_id, Status.APPROVED)
