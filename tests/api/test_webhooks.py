"""The vendor's word: verified over raw bytes, stored before it is acknowledged, and never twice in effect."""

import base64
import hmac
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select
from sqlmodel import col

from activities.inbox import deliver
from activities.outbox import start_upload
from db.session import Database
from db.tables import InboxEvent, InboxState
from mediagate.media.values import MIB, Status
from mediagate.vendors.generic import GenericVendor
from tests.api.serving import PREFIX, assert_problem, gate_of, serving
from tests.world import SECRET, VENDOR, World, picture, signed

URL = f"{PREFIX}/webhooks/moderation/{VENDOR}"


async def stored(world: World, media_id: str) -> Sequence[InboxEvent]:
    """What the inbox has about an item."""
    async with world.db.transaction() as tx:
        return await tx.inbox.of_media(UUID(media_id))


async def by_event_id(world: World, event_id: str) -> InboxEvent | None:
    async with world.db.transaction() as tx:
        query = select(InboxEvent).where(col(InboxEvent.event_id) == event_id)
        return (await tx.session.scalars(query)).one_or_none()


async def moderated(world: World) -> str:
    """An item that waits for the vendor."""
    media_id = await world.upload(picture())
    await world.until(media_id, Status.AWAITING_MODERATION)
    return media_id


async def send(world: World, headers: dict[str, str], body: bytes) -> httpx.Response:
    """Send exactly that."""
    return await world.http.post(URL, content=body, headers={"Authorization": ""} | headers)


def signed_bytes(body: bytes) -> dict[str, str]:
    """Headers for a body that is no text, which the reference library does not sign."""
    headers = signed(b"")
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(SECRET.get_secret_value().removeprefix("whsec_"))
    mac = base64.b64encode(hmac.digest(key, text, "sha256")).decode()
    return headers | {"webhook-signature": f"v1,{mac}"}


def counts(response: httpx.Response) -> tuple[int, int, int]:
    answer = response.json()
    assert set(answer) == {"stored", "duplicates", "unmatched"}
    return answer["stored"], answer["duplicates"], answer["unmatched"]


class TestWhatIsTaken:
    async def test_a_single_result(self, world: World) -> None:
        media_id = await moderated(world)
        event = world.event(media_id, "reject", scores={"nudity": 0.95}, extra={"kept": True})
        answer = await world.webhook(event)
        assert (answer.status_code, counts(answer)) == (200, (1, 0, 0))
        assert (await world.ended(media_id))["status"] == "rejected"
        [row] = await stored(world, media_id)
        assert (row.state, row.event["raw"]["extra"]) == (InboxState.DELIVERED, {"kept": True})
        assert json.loads(row.body) == event
        assert set(row.headers) >= {"webhook-id", "webhook-timestamp"}
        assert "webhook-signature" not in row.headers
        assert row.tracking_id == answer.headers["x-tracking-id"]

    async def test_a_batch_reaches_each_item(self, world: World) -> None:
        first, second = await moderated(world), await moderated(world)
        events = [world.event(first), world.event(second, "reject", scores={"nudity": 0.95})]
        answer = await world.webhook(*events)
        assert (answer.status_code, counts(answer)) == (200, (2, 0, 0))
        assert (await world.ended(first))["status"] == "approved"
        assert (await world.ended(second))["status"] == "rejected"

    async def test_by_workflow_id(self, quiet_world: World) -> None:
        media_id = await quiet_world.seal(picture(), status=Status.APPROVED)
        event = quiet_world.event(media_id)
        del event["media_id"]
        event["workflow_id"] = f"media-{media_id}"
        assert (await quiet_world.webhook(event)).status_code == 200
        assert len(await stored(quiet_world, media_id)) == 1

    async def test_the_same_again_is_known_and_has_one_effect(self, world: World) -> None:
        media_id = await moderated(world)
        event = world.event(media_id)
        body = json.dumps(event).encode()
        headers = signed(body)
        first, again = await send(world, headers, body), await send(world, headers, body)
        signed_again = await world.webhook(event)
        assert [answer.status_code for answer in (first, again, signed_again)] == [200] * 3
        assert [counts(answer) for answer in (first, again, signed_again)] == [(1, 0, 0), (0, 1, 0), (0, 1, 0)]
        await world.ended(media_id)
        assert len(await stored(world, media_id)) == 1
        assert (await world.timeline(media_id)).count("webhook") == 1

    async def test_twice_in_one_batch(self, quiet_world: World) -> None:
        media_id = await quiet_world.seal(picture(), status=Status.APPROVED)
        event = quiet_world.event(media_id)
        assert counts(await quiet_world.webhook(event, event)) == (1, 1, 0)

    async def test_about_something_unknown(self, quiet_world: World) -> None:
        ghost = str(uuid4())
        answer = await quiet_world.webhook(quiet_world.event(ghost))
        assert (answer.status_code, counts(answer)) == (202, (1, 0, 1))
        [row] = await stored(quiet_world, ghost)
        assert (row.state, row.settled_at is not None) == (InboxState.UNMATCHED, True)

    async def test_a_batch_that_is_partly_unknown(self, quiet_world: World) -> None:
        media_id = await quiet_world.seal(picture(), status=Status.APPROVED)
        answer = await quiet_world.webhook(quiet_world.event(media_id), quiet_world.event(str(uuid4())))
        assert (answer.status_code, counts(answer)) == (202, (2, 0, 1))

    @pytest.mark.parametrize("status", [Status.APPROVED, Status.REJECTED, Status.QUARANTINED])
    async def test_late(self, quiet_world: World, status: Status) -> None:
        media_id = await quiet_world.seal(picture(), status=status)
        answer = await quiet_world.webhook(quiet_world.event(media_id, "reject"))
        assert (answer.status_code, counts(answer)) == (200, (1, 0, 0))
        [row] = await stored(quiet_world, media_id)
        assert row.state is InboxState.LATE
        timeline = (await quiet_world.http.get(f"{PREFIX}/media/{media_id}/timeline")).json()["items"]
        facts = {"vendor": VENDOR, "verdict": "reject", "final": True, "state": "late"}
        assert [line["data"] for line in timeline if line["kind"] == "webhook"] == [facts]
        assert (await quiet_world.media(media_id)).status is status

    async def test_early_it_waits_for_the_run(self, quiet_world: World) -> None:
        world = quiet_world
        media_id = await world.seal(picture())
        answer = await world.webhook(world.event(media_id))
        assert (answer.status_code, counts(answer)) == (200, (1, 0, 0))
        [row] = await stored(world, media_id)
        assert row.state is InboxState.STORED
        await start_upload(world.db, world.flows, world.settings, await world.media(media_id), world.library)
        assert await deliver(world.db, world.flows, row.id) is InboxState.DELIVERED
        async with world.workers():
            assert (await world.ended(media_id))["status"] == "approved"


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        "change",
        [
            {"webhook-signature": ""},
            {"webhook-signature": "v1,"},
            {"webhook-signature": "v1,AAAA"},
            {"webhook-signature": "v2,AAAA"},
            {"webhook-signature": "nonsense"},
            {"webhook-id": ""},
            {"webhook-id": "other"},
            {"webhook-timestamp": ""},
            {"webhook-timestamp": "now"},
            {"webhook-timestamp": "1"},
            {"webhook-timestamp": "9" * 30},
        ],
    )
    async def test_bad_signatures(self, quiet_world: World, change: dict[str, str]) -> None:
        media_id = await quiet_world.seal(picture(), status=Status.APPROVED)
        answer = await quiet_world.webhook(quiet_world.event(media_id), **change)
        assert_problem(answer, 401, "bad_signature")
        assert await stored(quiet_world, media_id) == []

    async def test_forged(self, quiet_world: World) -> None:
        event = quiet_world.event(str(uuid4()))
        body = json.dumps(event).encode()
        theirs = SecretStr("whsec_" + base64.b64encode(b"x" * 32).decode())
        assert_problem(await send(quiet_world, signed(body, secret=theirs), body), 401, "bad_signature")
        assert_problem(await send(quiet_world, signed(body), body + b" "), 401, "bad_signature")
        assert_problem(await send(quiet_world, {}, body), 401, "bad_signature")
        assert await by_event_id(quiet_world, event["event_id"]) is None

    @pytest.mark.parametrize("minutes", [-6, 6])
    async def test_stale_or_ahead(self, quiet_world: World, minutes: int) -> None:
        event = quiet_world.event(str(uuid4()))
        at = datetime.now(UTC) + timedelta(minutes=minutes)
        assert_problem(await quiet_world.webhook(event, at=at), 401, "bad_signature")
        assert await by_event_id(quiet_world, event["event_id"]) is None

    @pytest.mark.parametrize("minutes", [-4, 4])
    async def test_clocks_may_differ_a_little(self, quiet_world: World, minutes: int) -> None:
        at = datetime.now(UTC) + timedelta(minutes=minutes)
        assert (await quiet_world.webhook(quiet_world.event(str(uuid4())), at=at)).status_code == 202

    @pytest.mark.parametrize(
        "body",
        [
            *(b" ", b"null", b"[]", b'"text"', b"1", b"{}", b'{"events": []}', b'{"events": 1}', b'[{"verdict": 1}]'),
            *(b"{", b"\xff\xfe", b'{"a": "\xe9"}', b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\u0000"}'),
            *(b'{"a": "\\ud800"}', b"[" * 100 + b"]" * 100, b"[" * 100_000),
        ],
    )
    async def test_malformed(self, quiet_world: World, body: bytes) -> None:
        assert_problem(await send(quiet_world, signed_bytes(body), body), 400, "invalid_webhook")

    @pytest.mark.parametrize(
        "change",
        [
            *({"verdict": "maybe"}, {"verdict": None}, {"media_id": "1"}, {"media_id": None}, {"media_id": 7}),
            *({"workflow_id": "upload-1"}, {"scores": {"nudity": 2}}, {"scores": []}, {"labels": "a"}),
            *({"final": "yes"}, {"occurred_at": "yesterday"}, {"event_id": ""}, {"event_id": "x" * 256}),
            {"workflow_id": f"media-{UUID(int=0)}"},
        ],
    )
    async def test_a_result_that_is_none(self, quiet_world: World, change: dict[str, Any]) -> None:
        media_id = await quiet_world.seal(picture(), status=Status.APPROVED)
        answer = await quiet_world.webhook(quiet_world.event(media_id) | change)
        assert_problem(answer, 400, "invalid_webhook")
        good = quiet_world.event(media_id)
        assert_problem(await quiet_world.webhook(good, quiet_world.event(media_id) | change), 400, "invalid_webhook")
        assert await stored(quiet_world, media_id) == []  # of a batch all or nothing

    async def test_too_large(self, quiet_world: World) -> None:
        assert_problem(await quiet_world.webhook({}, body=b" " * (MIB + 1)), 413, "too_large")

    async def test_an_unknown_vendor(self, quiet_world: World) -> None:
        body = json.dumps(quiet_world.event(str(uuid4()))).encode()
        for vendor in ("nobody", "MEMORY", "%2e%2e", "x" * 500):
            answer = await quiet_world.http.post(
                f"{PREFIX}/webhooks/moderation/{vendor}", content=body, headers=signed(body)
            )
            assert_problem(answer, 404, "not_found")


class TestRotation:
    async def test_the_old_and_the_new_secret_hold_together(self, quiet_world: World) -> None:
        new = SecretStr("whsec_" + base64.b64encode(b"n" * 32).decode())
        other = SecretStr("whsec_" + base64.b64encode(b"o" * 32).decode())
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(httpx.AsyncClient())
            vendor = GenericVendor(
                name=VENDOR,
                url="http://vendor.test",
                api_key=SecretStr(""),
                webhook_secrets=[new, SECRET],
                client=client,
            )
            gate = replace(gate_of(quiet_world), vendors={VENDOR: vendor})
            http = await stack.enter_async_context(serving(gate))
            answers = []
            for secret in (new, SECRET, other):
                body = json.dumps(quiet_world.event(str(uuid4()))).encode()
                answers.append(await http.post(URL, content=body, headers=signed(body, secret=secret)))
        assert [answer.status_code for answer in answers] == [202, 202, 401]


class TestNotStored:
    async def test_without_postgres_nothing_is_acknowledged(self, quiet_world: World) -> None:
        event = quiet_world.event(str(uuid4()))
        body = json.dumps(event).encode()
        headers = signed(body)
        away = Database("postgresql://postgres@127.0.0.1:1/none")
        async with serving(replace(gate_of(quiet_world), db=away)) as http:
            answer = await http.post(URL, content=body, headers=headers)
            assert_problem(answer, 503, "database_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        await away.close()
        assert await by_event_id(quiet_world, event["event_id"]) is None
        assert counts(await send(quiet_world, headers, body)) == (1, 0, 1)
