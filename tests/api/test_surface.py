"""What every answer has and what none may have: headers, tracking ids, secrets, and 500s for hostile requests."""

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from structlog.testing import capture_logs

from mediagate.access.api_keys import Scope
from mediagate.media.values import Status
from tests.api.serving import PREFIX, assert_problem, bearer, routes
from tests.world import VENDOR, World, issue_key, picture, signed

ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-site",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


class TestHeaders:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
    async def test_on_every_answer(self, quiet_world: World, method: str) -> None:
        paths = {re.sub(r"\{\w+_id\}", str(uuid4()), path) for _, path in routes()}
        paths = {path.format(slug="x", name="thumb", vendor="v", number=1, order="pause") for path in paths}
        for path in sorted(paths | {"/nowhere", "/api/v1/", "//", "/api/v1/media/1"}):
            answer = await quiet_world.http.request(method, path)
            assert {name: answer.headers[name] for name in ALWAYS} == ALWAYS, path
            assert answer.headers["x-tracking-id"]
            assert "server" not in answer.headers
            # No worker serves the quiet world, and the deep look says so.
            assert answer.status_code < 500 or (method, path) == ("GET", "/health/deep")

    async def test_of_a_failure_inside(self, quiet_world: World) -> None:
        await self.break_settings(quiet_world)
        body = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": 1}
        with capture_logs() as logs:
            answer = await quiet_world.http.post(f"{PREFIX}/libraries/{quiet_world.library.slug}/uploads", json=body)
        document = assert_problem(answer, 500, "broken_invariant")
        assert document["detail"] == "Something is broken inside; the tracking id leads to it."
        assert {name: answer.headers[name] for name in ALWAYS} == ALWAYS
        assert [line["event"] for line in logs] == ["request.crashed", "request.broken", "request"]

    async def break_settings(self, world: World) -> None:
        """A row as no code of ours writes it: a limit that is no number."""
        async with world.db.transaction() as tx:
            library = await tx.access.library(world.library.slug)
            assert library
            library.settings = {"limits": {"max_bytes": "plenty"}}

    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("DELETE", "/health/live", "GET"),
            ("GET", f"{PREFIX}/webhooks/moderation/{VENDOR}", "POST"),
            ("OPTIONS", f"{PREFIX}/media/{UUID(int=0)}", "GET"),
            ("HEAD", f"{PREFIX}/media/{UUID(int=0)}", "GET"),
        ],
    )
    async def test_other_methods_are_told_which(self, quiet_world: World, method: str, path: str, allow: str) -> None:
        answer = await quiet_world.http.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allow)
        assert answer.headers["content-type"] == "application/problem+json"

    async def test_the_landing_page_runs_nothing(self, quiet_world: World) -> None:
        page = await quiet_world.http.get("/", headers={"Authorization": ""})
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert re.search(r"<script|<style|<link|<img|<iframe|\son\w+=|javascript:", page.text, re.IGNORECASE) is None
        assert page.headers["content-security-policy"] == ALWAYS["content-security-policy"]


class TestTrackingIds:
    async def test_one_is_made(self, quiet_world: World) -> None:
        ids = [(await quiet_world.http.get("/health/live")).headers["x-tracking-id"] for _ in range(2)]
        assert all(re.fullmatch("[0-9a-f]{32}", made) for made in ids)
        assert ids[0] != ids[1]

    @pytest.mark.parametrize("given", ["12345678", "My.Own_id-1", "a" * 64])
    async def test_the_callers_own_goes_everywhere(self, quiet_world: World, given: str) -> None:
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}/uploads"
        body = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": 1}
        with capture_logs() as logs:
            answer = await quiet_world.http.post(url, json=body, headers={"X-Tracking-Id": given})
        assert answer.headers["x-tracking-id"] == given
        assert (await quiet_world.read(answer.json()["media_id"]))["tracking_id"] == given
        assert [line["event"] for line in logs] == ["request"]
        missing = await quiet_world.http.get(f"{PREFIX}/media/{uuid4()}", headers={"X-Tracking-Id": given})
        assert assert_problem(missing, 404, "not_found")["tracking_id"] == given

    @pytest.mark.parametrize("given", ["short", "a" * 65, "has spaces in it", "line\nbreak-1234", "<b>12345678</b>"])
    async def test_what_is_no_id_is_replaced(self, quiet_world: World, given: str) -> None:
        answer = await quiet_world.http.get("/health/live", headers=[(b"X-Tracking-Id", given.encode())])
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-tracking-id"])

    async def test_it_reaches_the_notification(self, world: World) -> None:
        media_id = await world.upload(picture())
        await world.until(media_id, Status.AWAITING_MODERATION)
        await world.webhook(world.event(media_id))
        await world.ended(media_id)
        page = await world.http.get(f"{PREFIX}/libraries/{world.library.slug}/notifications")
        [note] = page.json()["items"]
        assert note["tracking_id"] == (await world.media(media_id)).tracking_id


class TestSecrets:
    async def test_none_is_logged_or_told(self, quiet_world: World) -> None:
        """A key, an upload token, a delivery signature, a webhook signature: sent rightly and wrongly."""
        world, data, told = quiet_world, picture(), []
        key = await issue_key(world.db, world.library.id, Scope.UPLOADS_WRITE, Scope.MEDIA_READ)
        wrong_key = await issue_key(world.db, world.library.id, Scope.RUNS_WRITE)
        with capture_logs() as logs:
            announced = await world.announce(data)
            await world.put(announced, data)
            token = announced["upload_token"]
            changes: list[dict[str, Any]] = [
                {"file_hash": "0" * 64},
                {"upload_token": f"{token}x"},
                {"file_size": "x"},
                {},
            ]
            told += [await world.complete(announced, data, **change) for change in changes]
            media_id = await world.seal(data, status=Status.APPROVED)
            signature = "S1gnature" * 4
            for headers in (bearer(key), bearer(wrong_key), bearer(key + "x"), {"Authorization": f"Basic {key}"}):
                told.append(await world.http.get(f"{PREFIX}/media/{media_id}/files/x", headers=headers))
                query = f"expires=1&purpose=public&signature={signature}"
                told.append(await world.http.get(f"{PREFIX}/media/{media_id}/files/thumb?{query}", headers=headers))
                told.append(await world.http.get(f"{PREFIX}/nowhere?key={key}", headers=headers))
            headers = signed(b"{}")
            told.append(await world.http.post(f"{PREFIX}/webhooks/moderation/{VENDOR}", content=b"{}", headers=headers))
        assert len(logs) >= len(told)
        said = repr(logs) + "".join(answer.text + repr(answer.headers) for answer in told)
        hidden = [key, wrong_key, token, signature, headers["webhook-signature"]]
        assert [secret for secret in hidden if secret in said] == []

    async def test_a_database_error_does_not_repeat_what_was_sent(self, quiet_world: World) -> None:
        sent = {"secret": f"secret-{uuid4().hex}"}
        async with quiet_world.db.transaction() as tx:
            with pytest.raises(ProgrammingError, match="no_such_table") as caught:
                await tx.session.execute(text("SELECT :secret FROM no_such_table"), sent)
        assert sent["secret"] not in str(caught.value)


class TestHostileQueries:
    @pytest.mark.parametrize(
        "params",
        [
            *({"limit": "0"}, {"limit": "-1"}, {"limit": str(10**9)}, {"limit": "9" * 5000}, {"limit": "ten"}),
            *({"status": "unknown"}, {"status": ""}, {"q": "x" * 201}, {"q": "\x00"}, {"cursor": "\x00"}),
            *({"cursor": "garbage"}, {"cursor": "é"}, {"cursor": "="}, {"cursor": "A" * 10_000}),
            {"cursor": "MjAyNi0wMS0wMVQwMDowMDowMHw2YjQ5"},  # a time without a zone and half an id
            {"cursor": "MjAyNi0wMS0wMVQwMDowMDowMHwwMDAwMDAwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDA"},  # without a zone
        ],
    )
    async def test_are_refused(self, quiet_world: World, params: dict[str, str]) -> None:
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}"
        assert_problem(await quiet_world.http.get(f"{url}/media", params=params), 422, "invalid_request")
        if not {"q", "status"} & set(params):
            assert_problem(await quiet_world.http.get(f"{url}/notifications", params=params), 422, "invalid_request")

    @pytest.mark.parametrize(
        "cursor",
        [
            "OTk5OS0xMi0zMVQyMzo1OTo1OS0yMzo1OXwwMDAwMDAwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDA",  # after year 9999
            "MDAwMS0wMS0wMVQwMDowMDowMCsyMzo1OXwwMDAwMDAwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDA",  # before year 1
        ],
    )
    async def test_cursors_at_the_ends_of_time_find_what_is_there(self, quiet_world: World, cursor: str) -> None:
        media_id = await quiet_world.seal(picture())
        answer = await quiet_world.http.get(
            f"{PREFIX}/libraries/{quiet_world.library.slug}/media", params={"cursor": cursor}
        )
        found = [item["id"] for item in answer.json()["items"]]
        assert found == ([media_id] if cursor.startswith("OTk5") else [])

    @pytest.mark.parametrize(
        ("path", "status", "code"),
        [
            ("/libraries/%00/media", 422, "invalid_request"),
            ("/media/{id}/files/%00", 422, "invalid_request"),
            ("/media/{id}/files/..%2f..%2fsource", 404, "not_found"),
            ("/media/{id}/files/%2e%2e", 404, "not_found"),
            ("/media/{id}/files/SOURCE", 404, "not_found"),
            ("/media/%7Bid%7D", 422, "invalid_request"),
            ("/media/{id}%0a", 422, "invalid_request"),
            ("/libraries/%ff%fe/media", 404, "not_found"),
            ("/libraries/" + "x" * 5000 + "/media", 404, "not_found"),
            ("/libraries/' OR 1=1 --/media", 404, "not_found"),
        ],
    )
    async def test_paths_that_lead_nowhere(self, quiet_world: World, path: str, status: int, code: str) -> None:
        media_id = await quiet_world.seal(picture())
        assert_problem(await quiet_world.http.get(PREFIX + path.replace("{id}", media_id)), status, code)
