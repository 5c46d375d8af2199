"""`POST /media/{id}/takedown`: once it answers, nothing of the item is public."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from mediagate.media.values import Status, VariantName
from mediagate.temporal import DATA_CONVERTER
from tests.api.serving import PREFIX, assert_problem, gate_of, serving
from tests.world import PATIENCE, World, picture
from workflows.client import Flows
from workflows.names import takedown_id

NOBODY = {"Authorization": ""}


async def approved(world: World) -> str:
    """An item that went all the way."""
    media_id = await world.upload(picture())
    await world.until(media_id, Status.AWAITING_MODERATION)
    await world.webhook(world.event(media_id))
    await world.ended(media_id)
    return media_id


async def take_down(world: World, media_id: str, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    """With a reason, unless the body says otherwise."""
    return await world.http.post(
        f"{PREFIX}/media/{media_id}/takedown", json={"reason": "copyright", **body}, headers=headers
    )


async def ended(world: World, media_id: str) -> None:
    """Return when the run has moved everything."""
    async with asyncio.timeout(PATIENCE):
        await world.client.get_workflow_handle(takedown_id(media_id)).result()


class TestTakedown:
    @pytest.mark.parametrize(
        ("body", "verdict", "status"),
        [({}, "quarantine", Status.QUARANTINED), ({"verdict": "reject"}, "reject", Status.REJECTED)],
    )
    async def test_closes_every_url_before_it_answers(
        self, world: World, body: dict[str, Any], verdict: str, status: Status
    ) -> None:
        media_id = await approved(world)
        urls = [variant["url"] for variant in (await world.read(media_id))["variants"]]
        assert [(await world.http.get(url, headers=NOBODY)).status_code for url in urls] == [200] * 3
        answer = await take_down(world, media_id, note="By court order.", **body)
        assert [(await world.http.get(url, headers=NOBODY)).status_code for url in urls] == [404] * 3
        assert answer.status_code == 200
        assert answer.json() == {
            "media_id": media_id,
            "verdict": verdict,
            "policy_version": answer.json()["policy_version"],
            "decided_by": "person:tester",
            "reasons": [{**answer.json()["reasons"][0], "code": "takedown:copyright", "detail": "By court order."}],
        }
        await ended(world, media_id)
        shown = await world.read(media_id)
        assert (shown["status"], shown["reason"], shown["detail"]) == (status, "takedown:copyright", "By court order.")
        assert (shown["decision"]["round"], shown["decision"]["verdict"]) == (1, verdict)
        assert all("signature" not in variant["url"] for variant in shown["variants"])
        timeline = (await world.http.get(f"{PREFIX}/media/{media_id}/timeline")).json()["items"]
        [_, second] = [line["data"] for line in timeline if line["kind"] == "decided"]
        assert (second["verdict"], second["by"]) == (verdict, "person:tester")

    async def test_key_holders_can_still_look_at_it(self, world: World) -> None:
        media_id = await approved(world)
        await take_down(world, media_id)
        await ended(world, media_id)
        shown = await world.read(media_id)
        names = {VariantName.ORIGINAL, VariantName.MEDIUM, VariantName.THUMB}
        assert {variant["name"] for variant in shown["variants"]} == names
        assert [(await world.http.get(variant["url"])).status_code for variant in shown["variants"]] == [200] * 3

    async def test_sent_again_it_gives_the_decision_that_stands(self, world: World) -> None:
        media_id = await approved(world)
        once = {"Idempotency-Key": "takedown-1"}
        first = await take_down(world, media_id, once)
        repeated = await take_down(world, media_id, once)
        assert repeated.headers["idempotent-replayed"] == "true"
        await ended(world, media_id)
        other = await take_down(world, media_id, reason="other", verdict="reject")
        await ended(world, media_id)
        assert first.json() == repeated.json() == other.json()
        assert (await world.timeline(media_id)).count("decided") == 2
        assert (await world.media(media_id)).status is Status.QUARANTINED


class TestRefusal:
    @pytest.mark.parametrize(
        ("status", "advice"),
        [
            (Status.ACCEPTED, "abort the upload instead"),
            (Status.AWAITING_MODERATION, "abort the upload instead"),
            (Status.IN_REVIEW, "abort the upload instead"),
            (Status.REJECTED, "nothing to take down: rejected"),
            (Status.QUARANTINED, "nothing to take down: quarantined"),
            (Status.FAILED, "nothing to take down: failed"),
        ],
    )
    async def test_what_is_not_public_is_not_taken_down(self, quiet_world: World, status: Status, advice: str) -> None:
        media_id = await quiet_world.seal(picture(), status=status)
        problem = assert_problem(await take_down(quiet_world, media_id), 409, "conflict")
        assert advice in problem["detail"]
        assert (await quiet_world.media(media_id)).status is status

    @pytest.mark.parametrize(
        "body",
        [
            {"reason": ""},
            {"reason": "Two words"},
            {"reason": "x" * 65},
            {"reason": None},
            {"verdict": "approve"},
            {"verdict": "review"},
            {"note": "\x00"},
            {"note": "x" * 2001},
        ],
    )
    async def test_a_body_that_says_nothing_usable(self, quiet_world: World, body: dict[str, Any]) -> None:
        media_id = await quiet_world.seal(picture(), status=Status.APPROVED)
        assert_problem(await take_down(quiet_world, media_id, **body), 422, "invalid_request")

    async def test_without_the_workflow_service_it_says_so(self, quiet_world: World) -> None:
        media_id = await quiet_world.seal(picture(), status=Status.APPROVED)
        flows = Flows(await Client.connect("127.0.0.1:9", data_converter=DATA_CONVERTER, lazy=True))
        async with serving(replace(gate_of(quiet_world), flows=flows), dict(quiet_world.http.headers)) as client:
            answer = await client.post(f"{PREFIX}/media/{media_id}/takedown", json={"reason": "copyright"})
        assert_problem(answer, 503, "workflows_unavailable")
        assert (await quiet_world.media(media_id)).status is Status.APPROVED
