"""Checks against an API that does wrong on purpose: each must see it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.demo.checks import CHECKS, verify
from cli.demo.checks.bookkeeping import idempotent, mailed
from cli.demo.checks.delivery import closed, readable, withdrawn
from cli.demo.checks.scene import Scene
from cli.demo.checks.webhooks import awkward, forged, replayed
from cli.demo.files import DemoFile, Expected, Route
from cli.demo.journey import Journey
from cli.demo.public_api import Exchange, PublicApi
from devstack.stack import Stack
from devstack.state import StateDir

MEDIA = "0f9c0000-0000-4000-8000-000000000000"
SECRET = "whsec_" + "c2VjcmV0" * 4
PICTURE = b"a picture"
ADDRESSES = {
    "api_url": "http://gate.test",
    "library": "lib",
    "mail_url": "http://mail.test",
    "vendor": {"webhook_url": "http://gate.test/api/v1/webhooks/moderation/simulated", "webhook_secret": SECRET},
}
ENVIRONMENT = {
    "MEDIAGATE_VENDOR_URL": "http://vendor.test",
    "MEDIAGATE_S3_URL": "http://store.test",
    "MEDIAGATE_ADMIN_MAILS": "admin@example.test",
}
NOTE = {"id": "note", "media_id": MEDIA, "kind": "moderation_result", "created_at": "2030-01-01T00:00:00Z"}
Answers = dict[str, Any]


def variant(name: str) -> dict[str, str]:
    return {
        "name": name,
        "url": f"http://gate.test/api/v1/media/{MEDIA}/files/{name}?signature=s",
        "sha256": sha256(PICTURE).hexdigest(),
    }


def journey(*, behaviour: str = "approve") -> Journey:
    file = DemoFile("a.jpg", "a.jpg", "image/jpeg", 1, Route.PRESIGNED, Expected(), behaviour=behaviour, data=b"x")
    one = Journey(file, media_id=MEDIA)
    one.document = {"id": MEDIA, "variants": [variant("original")], "decision": {"decided_by": "policy"}}
    one.move("approved")
    return one


def scene(respond: Callable[[httpx.Request], httpx.Response], *journeys: Journey, tmp_path: Path) -> Scene:
    client = httpx.AsyncClient(transport=httpx.MockTransport(respond), base_url="http://gate.test")
    stack = Stack(StateDir(tmp_path), ENVIRONMENT, ADDRESSES)
    return Scene(stack, PublicApi(client, "lib"), client, journeys, datetime(2026, 1, 1, tzinfo=UTC))


def item(request: httpx.Request) -> httpx.Response | None:
    """The item and what the vendor says of it, as in a stack where all is well."""
    answers: Answers = {
        f"/api/v1/media/{MEDIA}": {"id": MEDIA, "variants": [variant("original")]},
        f"/api/v1/media/{MEDIA}/timeline": {"items": []},
        f"/v1/submissions/{MEDIA}": {"events": [{"event_id": "evt", "verdict": "approve"}]},
        "/v1/submissions": {"items": [{"media_id": MEDIA, "media_url": f"http://gate.test/vendor/{MEDIA}"}]},
    }
    found = answers.get(request.url.path)
    return httpx.Response(200, json=found) if found else None


class TestDelivery:
    async def test_other_bytes_than_the_manifest_says_are_seen(self, tmp_path: Path) -> None:
        right = scene(lambda _: httpx.Response(200, content=PICTURE), journey(), tmp_path=tmp_path)
        wrong = scene(lambda _: httpx.Response(200, content=b"another"), journey(), tmp_path=tmp_path)
        assert (await readable(right)).result == "ok"
        assert (await readable(wrong)).detail == "a.jpg, original: other bytes than the manifest says"

    async def test_a_picture_that_cannot_be_read_is_seen(self, tmp_path: Path) -> None:
        away = await readable(scene(lambda _: httpx.Response(404), journey(), tmp_path=tmp_path))
        assert (away.result, away.detail) == ("fail", "a.jpg, original: 404")

    @pytest.mark.parametrize(
        "leak",
        [
            f"/api/v1/media/{MEDIA}/files/source",
            f"/api/v1/media/{MEDIA}/files/moderation",
            f"/vendor/{MEDIA}",
            f"/mediagate/lib/media/originals/{MEDIA}/source",
            "/mediagate",
        ],
    )
    async def test_anything_else_that_opens_is_seen(self, tmp_path: Path, leak: str) -> None:
        def respond(request: httpx.Request) -> httpx.Response:
            return item(request) or httpx.Response(200 if request.url.path == leak else 401)

        check = await closed(scene(respond, journey(), tmp_path=tmp_path))
        assert check.result == "fail"
        assert leak in check.detail

    async def test_closed_doors_pass(self, tmp_path: Path) -> None:
        check = await closed(scene(lambda r: item(r) or httpx.Response(401), journey(), tmp_path=tmp_path))
        assert check.result == "ok"


class TestTakedown:
    @staticmethod
    def sample() -> Journey:
        one = journey()
        one.file = replace(one.file, expected=Expected(frozenset({"approved"})))
        return one

    @pytest.mark.parametrize(
        ("before", "after", "result", "detail"),
        [
            (200, 404, "ok", "a.jpg: 1 URLs that opened are closed"),
            (200, 200, "fail", "a.jpg: 200, then 200"),
            (404, 404, "fail", "a.jpg did not open before: 404"),
        ],
    )
    async def test_a_url_that_stays_open_is_seen(
        self, tmp_path: Path, before: int, after: int, result: str, detail: str
    ) -> None:
        withdrew = False

        def respond(request: httpx.Request) -> httpx.Response:
            nonlocal withdrew
            if request.url.path == f"/api/v1/media/{MEDIA}/takedown":
                withdrew = True
                return httpx.Response(200, json={"verdict": "quarantine"})
            return httpx.Response(after if withdrew else before)

        check = await withdrawn(scene(respond, self.sample(), tmp_path=tmp_path))
        assert check.result == result
        assert check.detail.startswith(detail)

    async def test_a_file_of_the_users_stays_where_it_is(self, tmp_path: Path) -> None:
        assert (await withdrawn(scene(unreachable, journey(), tmp_path=tmp_path))).result == "skip"


class TestWebhooks:
    @pytest.mark.parametrize(
        ("behaviour", "kinds", "result"),
        [
            ("early", ["webhook", "submitted", "decided"], "ok"),
            ("early", ["submitted", "webhook", "decided"], "fail"),
            ("late", ["submitted", "polled", "webhook", "decided"], "ok"),
            ("late", ["submitted", "webhook", "decided"], "fail"),
            ("late", ["submitted", "webhook", "polled", "decided"], "ok"),
            ("duplicate", ["webhook", "submitted", "decided"], "ok"),
            ("lost", ["submitted", "polled", "decided"], "ok"),
            ("duplicate", ["submitted", "webhook", "decided", "decided"], "fail"),
        ],
    )
    async def test_what_was_asked_for_must_have_happened(
        self, tmp_path: Path, behaviour: str, kinds: list[str], result: str
    ) -> None:
        steps = [{"kind": kind, "data": {"final": True}} for kind in kinds]
        there = scene(
            lambda _: httpx.Response(200, json={"items": steps}), journey(behaviour=behaviour), tmp_path=tmp_path
        )
        assert (await awkward(there)).result == result

    @pytest.mark.parametrize(("duplicates", "result"), [(1, "ok"), (0, "fail")])
    async def test_a_replay_must_be_known(self, tmp_path: Path, duplicates: int, result: str) -> None:
        def respond(request: httpx.Request) -> httpx.Response:
            return item(request) or httpx.Response(200, json={"stored": 1 - duplicates, "duplicates": duplicates})

        assert (await replayed(scene(respond, journey(), tmp_path=tmp_path))).result == result

    async def test_an_accepted_forgery_is_seen(self, tmp_path: Path) -> None:
        def credulous(request: httpx.Request) -> httpx.Response:
            signed = "webhook-signature" in request.headers
            return item(request) or httpx.Response(200 if signed else 401)

        check = await forged(scene(credulous, journey(), tmp_path=tmp_path))
        assert check.detail == "another secret: 200; a changed body: 200; an hour old: 200"

    async def test_refused_forgeries_pass(self, tmp_path: Path) -> None:
        check = await forged(scene(lambda r: item(r) or httpx.Response(401), journey(), tmp_path=tmp_path))
        assert check.result == "ok"


class TestBookkeeping:
    @pytest.mark.parametrize(("mails", "result"), [(["note"], "ok"), ([], "fail"), (["note", "note"], "fail")])
    async def test_a_missing_or_second_mail_is_seen(self, tmp_path: Path, mails: list[str], result: str) -> None:
        def respond(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/messages":
                return httpx.Response(200, json=[{"id": f"9{number:019d}-mail"} for number, _ in enumerate(mails)])
            if request.url.path.startswith("/messages/"):
                return httpx.Response(200, json={"headers": [["Message-ID", f"<{mails[0]}@localhost>"]]})
            return httpx.Response(200, json={"items": [NOTE], "next_cursor": None})

        assert (await mailed(scene(respond, journey(), tmp_path=tmp_path))).result == result

    @pytest.mark.parametrize(("again", "other", "result"), [("m", 422, "ok"), ("n", 422, "fail"), ("m", 201, "fail")])
    async def test_another_answer_under_the_same_key_is_seen(
        self, tmp_path: Path, again: str, other: int, result: str
    ) -> None:
        def respond(request: httpx.Request) -> httpx.Response:
            if json.loads(request.content) == {"filename": "a.jpg", "file_size": 7}:
                return httpx.Response(201, json={"media_id": again})
            return httpx.Response(other, json={"code": "idempotency_key_reused" if other == 422 else ""})

        there = scene(respond, journey(), tmp_path=tmp_path)
        body = {"filename": "a.jpg", "file_size": 7}
        there.api.exchanges.append(Exchange("/libraries/lib/uploads", "key", body, {"media_id": "m"}))
        assert (await idempotent(there)).result == result


class TestVerify:
    async def test_without_any_item_every_check_is_skipped(self, tmp_path: Path) -> None:
        checks = await verify(scene(unreachable, tmp_path=tmp_path))
        assert [check.result for check in checks] == ["skip"] * len(CHECKS)

    async def test_trouble_on_the_way_is_a_failed_check(self, tmp_path: Path) -> None:
        (check,) = await verify(scene(unreachable, journey(), tmp_path=tmp_path), [("reading", readable)])
        assert (check.name, check.result, check.detail) == ("reading", "fail", "could not be checked: gone")


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("gone", request=request)
