"""Events about nothing that is known: listed, read as they came, delivered again; for operators only."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID, uuid4

import httpx
import pytest

from db.tables import InboxEvent, InboxState, VendorSubmission
from mediagate.access.api_keys import Scope
from mediagate.media.values import Status
from tests.api.serving import PREFIX, assert_problem, bearer, gate_of, serving
from tests.vendors import ReferringTwin
from tests.world import VENDOR, World, issue_key, picture, signed

URL = f"{PREFIX}/dead-letters"


@pytest.fixture
async def http(quiet_world: World) -> AsyncIterator[httpx.AsyncClient]:
    """The API for an operator."""
    key = await issue_key(quiet_world.db, None, Scope.ADMIN)
    async with serving(gate_of(quiet_world), headers=bearer(key)) as client:
        yield client


async def dead_letter(world: World, **fields: object) -> str:
    """A webhook about nothing; its id in the inbox."""
    event = world.event(str(uuid4()), "reject", **fields)
    assert (await world.webhook(event)).status_code == 202
    async with world.db.transaction() as tx:
        (row,) = await tx.inbox.of_media(UUID(event["media_id"]))
    return str(row.id)


async def stored(world: World, vendor: str, body: bytes) -> str:
    """A dead letter of another vendor, with whatever body."""
    row = InboxEvent(
        vendor=vendor, event_id=uuid4().hex, body=body, state=InboxState.UNMATCHED, event={"reference": "task-1"}
    )
    async with world.db.transaction() as tx:
        await tx.inbox.store(row)
    return str(row.id)


class TestTheList:
    async def test_newest_first_in_pages_and_by_vendor(self, quiet_world: World, http: httpx.AsyncClient) -> None:
        vendor = f"v{uuid4().hex[:8]}"
        ids = [await stored(quiet_world, vendor, b"") for _ in range(5)]
        await dead_letter(quiet_world)
        seen: list[str] = []
        params: dict[str, str] = {"vendor": vendor, "limit": "2"}
        while True:
            page = (await http.get(URL, params=params)).json()
            seen += [item["id"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            params["cursor"] = page["next_cursor"]
        assert seen == ids[::-1]

    async def test_what_it_says_of_each(self, quiet_world: World, http: httpx.AsyncClient) -> None:
        id_ = await dead_letter(quiet_world)
        first = (await http.get(URL, params={"vendor": VENDOR})).json()["items"][0]
        assert (first["id"], first["vendor"], first["state"], first["verdict"]) == (id_, VENDOR, "unmatched", "reject")
        assert set(first) == {
            *("id", "vendor", "event_id", "state", "media_id", "reference", "verdict", "occurred_at"),
            *("received_at", "settled_at", "tracking_id"),
        }

    @pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 201}, {"cursor": "x"}, {"vendor": "\x00"}])
    async def test_bad_questions(self, http: httpx.AsyncClient, params: dict[str, str | int]) -> None:
        assert_problem(await http.get(URL, params=params), 422, "invalid_request")


class TestOne:
    async def test_as_it_came(self, quiet_world: World, http: httpx.AsyncClient) -> None:
        detail = (await http.get(f"{URL}/{await dead_letter(quiet_world, note='ü')}")).json()
        body = base64.b64decode(detail["body_base64"])
        assert json.loads(body) == detail["body_json"]
        assert detail["body_json"]["note"] == "ü"
        assert detail["event"]["event_id"] == detail["event_id"]
        assert set(detail["headers"]) >= {"webhook-id", "webhook-timestamp"}

    @pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"a=1&b=2", b"{", b'{"a": NaN}'])
    async def test_a_body_that_is_no_json(self, quiet_world: World, http: httpx.AsyncClient, body: bytes) -> None:
        detail = (await http.get(f"{URL}/{await stored(quiet_world, 'other', body)}")).json()
        assert (base64.b64decode(detail["body_base64"]), detail["body_json"]) == (body, None)

    async def test_an_unknown_one(self, http: httpx.AsyncClient) -> None:
        assert_problem(await http.get(f"{URL}/{uuid4()}"), 404, "not_found")
        assert_problem(await http.post(f"{URL}/{uuid4()}/redeliver"), 404, "not_found")


class TestRedelivery:
    async def test_to_another_item_any_number_of_times(self, quiet_world: World, http: httpx.AsyncClient) -> None:
        id_ = await dead_letter(quiet_world)
        media_id = await quiet_world.seal(picture(), status=Status.APPROVED)
        url, body = f"{URL}/{id_}/redeliver", {"media_id": media_id}
        answers = [await http.post(url, json=body) for _ in range(2)]
        assert [(one.status_code, one.json()["state"], one.json()["media_id"]) for one in answers] == [
            (200, "late", media_id)
        ] * 2
        timeline = (await http.get(f"{PREFIX}/media/{media_id}/timeline")).json()["items"]
        assert [line["kind"] for line in timeline] == ["redelivered", "webhook"]
        assert timeline[0]["data"] == {"by": "tester"}
        listed = (await http.get(URL, params={"limit": 200})).json()["items"]
        assert id_ not in [item["id"] for item in listed]
        assert (await http.get(f"{URL}/{id_}")).json()["state"] == "late"

    async def test_without_an_item_it_says_that_nothing_changed(
        self, quiet_world: World, http: httpx.AsyncClient
    ) -> None:
        url = f"{URL}/{await dead_letter(quiet_world)}/redeliver"
        for answer in (await http.post(url), await http.post(url, json={}), await http.post(url, json=None)):
            assert (answer.status_code, answer.json()["state"]) == (200, "unmatched")

    async def test_whose_run_is_not_started_yet(self, quiet_world: World, http: httpx.AsyncClient) -> None:
        id_, media_id = await dead_letter(quiet_world), await quiet_world.seal(picture())
        answer = await http.post(f"{URL}/{id_}/redeliver", json={"media_id": media_id})
        assert (answer.status_code, answer.json()["state"]) == (200, "stored")

    async def test_to_an_unknown_item(self, quiet_world: World, http: httpx.AsyncClient) -> None:
        id_ = await dead_letter(quiet_world)
        answer = await http.post(f"{URL}/{id_}/redeliver", json={"media_id": str(uuid4())})
        assert "media item" in assert_problem(answer, 404, "not_found")["detail"]

    async def test_to_another_one_than_it_was_delivered_to(self, quiet_world: World, http: httpx.AsyncClient) -> None:
        id_ = await dead_letter(quiet_world)
        first, second = [await quiet_world.seal(picture(), status=Status.APPROVED) for _ in range(2)]
        await http.post(f"{URL}/{id_}/redeliver", json={"media_id": first})
        answer = await http.post(f"{URL}/{id_}/redeliver", json={"media_id": second})
        assert first in assert_problem(answer, 409, "conflict")["detail"]

    @pytest.mark.parametrize("body", [{"media_id": "x"}, {"media": str(UUID(int=0))}, [], "x", 1])
    async def test_what_is_no_redelivery(self, quiet_world: World, http: httpx.AsyncClient, body: object) -> None:
        id_ = await stored(quiet_world, "other", b"")
        assert_problem(await http.post(f"{URL}/{id_}/redeliver", json=body), 422, "invalid_request")

    async def test_it_reaches_the_run(self, world: World) -> None:
        id_ = await dead_letter(world)
        media_id = await world.upload(picture())
        await world.until(media_id, Status.AWAITING_MODERATION)
        key = bearer(await issue_key(world.db, None, Scope.ADMIN))
        answer = await world.http.post(f"{URL}/{id_}/redeliver", json={"media_id": media_id}, headers=key)
        assert answer.json()["state"] == "delivered"
        assert (await world.ended(media_id))["reason"] == "vendor:reject"


class TestReferences:
    async def test_a_webhook_that_names_its_item_by_the_vendors_reference(self, quiet_world: World) -> None:
        """Known, it finds the item; unknown, it is a dead letter like one with an unknown id."""
        vendor, media_id = ReferringTwin(), await quiet_world.seal(picture(), status=Status.APPROVED)
        async with quiet_world.db.transaction() as tx:
            row = await tx.vendors.begin(VendorSubmission(media_id=UUID(media_id), vendor=vendor.name))
            await tx.vendors.took(row, "task-1", calls=1)
        gate = gate_of(quiet_world)
        async with serving(replace(gate, vendors={vendor.name: vendor})) as http:
            statuses = {}
            for reference in ("task-1", "task-2"):
                body = json.dumps(quiet_world.event(str(uuid4()), reference=reference)).encode()
                url = f"{PREFIX}/webhooks/moderation/{vendor.name}"
                statuses[reference] = (await http.post(url, content=body, headers=signed(body))).status_code
        assert statuses == {"task-1": 200, "task-2": 202}
        async with quiet_world.db.transaction() as tx:
            (found,) = await tx.inbox.of_media(UUID(media_id))
            (letter,) = await tx.inbox.page(InboxState.UNMATCHED, vendor=vendor.name, limit=2)
        assert (found.state, found.event["reference"]) == (InboxState.LATE, "task-1")
        assert (letter.media_id, letter.event["reference"]) == (None, "task-2")
