"""A part that is away: what needs it says so and may be tried again; what does not need it goes on; nothing is lost."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from temporalio.client import Client

from api.app import create_app
from db.session import Database
from mediagate import wiring
from mediagate.access.api_keys import Scope
from mediagate.errors import StorageUnavailable
from mediagate.media.values import Status
from mediagate.storage.memory import MemoryStore
from mediagate.storage.store import ObjectStat
from mediagate.temporal import DATA_CONVERTER
from tests.api.serving import PREFIX, assert_problem, bearer, client_of, gate_of
from tests.world import World, issue_key, picture
from workflows.client import Flows
from workflows.names import workflow_id

CLOSED = "127.0.0.1:1"
BODY = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": 10}
FILES = [("files", ("a.jpg", picture(), "image/jpeg"))]


class Lamed:
    """One application whose parts go away and come back."""

    def __init__(self, world: World, token: str) -> None:
        self.world = world
        self.app: FastAPI = create_app(world.settings)
        self.http = client_of(self.app, bearer(token))
        self.db = Database(f"postgresql://postgres@{CLOSED}/none")
        address = {"s3_url": f"http://{CLOSED}", "s3_public_url": world.settings.uploads_url}
        self.store = wiring.open_store(world.settings.model_copy(update=address))
        self.back()

    def back(self) -> None:
        """Everything answers."""
        self.app.state.gate = gate_of(self.world)

    def without_postgres(self) -> None:
        self.app.state.gate = replace(gate_of(self.world), db=self.db)

    def without_s3(self) -> None:
        self.app.state.gate = replace(gate_of(self.world), store=self.store)

    async def without_temporal(self) -> None:
        client = await Client.connect(CLOSED, data_converter=DATA_CONVERTER, lazy=True)
        self.app.state.gate = replace(gate_of(self.world), flows=Flows(client, prefix=self.world.flows.prefix))

    async def complete(self, announced: dict[str, str], data: bytes) -> httpx.Response:
        """Complete over this application."""
        world = replace(self.world, http=self.http)
        return await world.complete(announced, data)


@pytest.fixture
async def lamed(quiet_world: World) -> AsyncIterator[Lamed]:
    token = await issue_key(
        quiet_world.db, quiet_world.library.id, Scope.UPLOADS_WRITE, Scope.MEDIA_READ, Scope.REVIEW_WRITE
    )
    made = Lamed(quiet_world, token)
    async with made.http:
        yield made
    await made.db.close()
    made.store.close()


def unavailable(response: httpx.Response, code: str) -> None:
    """A 503 that says when to try again, and nothing of what is inside."""
    document = assert_problem(response, 503, code)
    assert 1 <= int(response.headers["retry-after"]) <= 60
    for inside in ("127.0.0.1", "Connection", "staging/", "psycopg", "urllib3"):
        assert inside not in document["detail"]


class TestPostgresAway:
    async def test_everything_with_a_key_is_unavailable(self, lamed: Lamed) -> None:
        slug, media_id = lamed.world.library.slug, await lamed.world.seal(picture())
        lamed.without_postgres()
        for method, path in [
            ("GET", f"/libraries/{slug}/media"),
            ("GET", f"/media/{media_id}"),
            ("GET", f"/media/{media_id}/timeline"),
            ("GET", f"/media/{media_id}/files/source"),
            ("POST", f"/libraries/{slug}/uploads"),
            ("POST", f"/libraries/{slug}/media"),
            ("POST", f"/media/{media_id}/abort"),
        ]:
            unavailable(await lamed.http.request(method, PREFIX + path, json=BODY), "database_unavailable")
        assert (await lamed.http.get("/health/live")).status_code == 200
        assert (await lamed.http.get("/")).status_code == 200
        ready = await lamed.http.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert {part for part, check in ready.json()["checks"].items() if check != "ok"} == {"postgres"}
        lamed.back()
        assert (await lamed.http.get(f"{PREFIX}/media/{media_id}")).status_code == 200
        assert (await lamed.http.get("/health/ready")).status_code == 200


class TestS3Away:
    async def test_uploads_wait_and_go_on(self, lamed: Lamed) -> None:
        data = picture()
        lamed.without_s3()
        # Presigning is arithmetic: an upload can be announced, and its bytes go to the store directly.
        made = await lamed.http.post(
            f"{PREFIX}/libraries/{lamed.world.library.slug}/uploads", json=BODY | {"file_size": len(data)}
        )
        assert made.status_code == 201
        await lamed.world.put(made.json(), data)
        unavailable(await lamed.complete(made.json(), data), "storage_unavailable")
        assert (await lamed.world.media(made.json()["media_id"])).status is Status.AWAITING_UPLOAD
        ready = await lamed.http.get("/health/ready")
        assert {part for part, check in ready.json()["checks"].items() if check != "ok"} == {"s3"}
        assert "127.0.0.1" not in ready.text
        lamed.back()
        assert (await lamed.complete(made.json(), data)).status_code == 202

    async def test_a_direct_upload_may_be_sent_again(self, lamed: Lamed) -> None:
        url, key = f"{PREFIX}/libraries/{lamed.world.library.slug}/media", {"Idempotency-Key": "again"}
        lamed.without_s3()
        unavailable(await lamed.http.post(url, files=FILES, headers=key), "storage_unavailable")
        lamed.back()
        answer = await lamed.http.post(url, files=FILES, headers=key)
        assert (answer.status_code, answer.json()["items"][0]["status"]) == (202, "accepted")

    async def test_of_several_files_those_that_were_stored_are_named(self, lamed: Lamed) -> None:
        class Failing(MemoryStore):
            async def put(
                self, key: str, data: bytes | Path, *, content_type: str, sha256: str | None = None
            ) -> ObjectStat:
                stat = await super().put(key, data, content_type=content_type, sha256=sha256)
                self.failing = True  # from the second file on
                return stat

        lamed.app.state.gate = replace(gate_of(lamed.world), store=Failing())
        url = f"{PREFIX}/libraries/{lamed.world.library.slug}/media"
        answer = await lamed.http.post(url, files=FILES * 2)
        stored, failed = answer.json()["items"]
        assert (answer.status_code, stored["status"], stored["error"]) == (202, "accepted", None)
        assert failed["error"] == {"code": "storage_unavailable", "detail": StorageUnavailable().message}

    async def test_files_are_unavailable_and_not_missing(self, lamed: Lamed) -> None:
        media_id = await lamed.world.seal(picture())
        url = f"{PREFIX}/media/{media_id}/files/source"
        lamed.without_s3()
        unavailable(await lamed.http.get(url), "storage_unavailable")
        assert (await lamed.http.get(f"{PREFIX}/media/{media_id}")).status_code == 200
        lamed.back()
        assert (await lamed.http.get(url)).status_code == 200


class TestTemporalAway:
    async def test_an_upload_is_accepted_and_its_start_is_owed(self, lamed: Lamed) -> None:
        world, data = lamed.world, picture()
        announced = await world.announce(data)
        await world.put(announced, data)
        await lamed.without_temporal()
        first = await lamed.complete(announced, data)
        media_id = announced["media_id"]
        accepted = {"media_id": media_id, "status": "accepted", "workflow_id": workflow_id(media_id)}
        assert (first.status_code, first.json()) == (202, accepted)
        row = await world.media(media_id)
        assert (row.started_at, row.run_id) == (None, None)
        assert row.accepted_at is not None
        lamed.back()
        assert (await lamed.complete(announced, data)).json() == accepted  # who asks again starts it
        row = await world.media(media_id)
        assert row.run_id == (await world.run(media_id).describe()).run_id

    async def test_a_direct_upload_is_accepted(self, lamed: Lamed) -> None:
        await lamed.without_temporal()
        answer = await lamed.http.post(f"{PREFIX}/libraries/{lamed.world.library.slug}/media", files=FILES)
        [item] = answer.json()["items"]
        assert (answer.status_code, item["status"]) == (202, "accepted")
        assert (await lamed.world.media(item["media_id"])).started_at is None

    async def test_a_webhook_is_stored(self, lamed: Lamed) -> None:
        world = replace(lamed.world, http=lamed.http)
        media_id = await world.seal(picture())
        await lamed.without_temporal()
        answer = await world.webhook(world.event(media_id))
        assert (answer.status_code, answer.json()["stored"]) == (200, 1)
        lamed.back()
        assert (await world.webhook(world.event(media_id))).status_code == 200

    @pytest.mark.parametrize(("action", "body"), [("decision", {"verdict": "approve"}), ("abort", {})])
    async def test_people_are_told_to_try_again(self, lamed: Lamed, action: str, body: dict[str, str]) -> None:
        media_id = await lamed.world.seal(picture())
        await lamed.without_temporal()
        url, key = f"{PREFIX}/media/{media_id}/{action}", {"Idempotency-Key": "again"}
        unavailable(await lamed.http.post(url, json=body, headers=key), "workflows_unavailable")
        lamed.back()
        assert_problem(
            await lamed.http.post(url, json=body, headers=key), 409, "conflict"
        )  # there is no run, so it was asked

    async def test_health_names_it(self, lamed: Lamed) -> None:
        await lamed.without_temporal()
        ready = await lamed.http.get("/health/ready")
        assert {part for part, check in ready.json()["checks"].items() if check != "ok"} == {"temporal"}
        assert int(ready.headers["retry-after"]) >= 1
        assert (await lamed.http.get("/health/live")).status_code == 200
