"""The shapes that callers rely on, one route after the other."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from api.app import create_app
from db.tables import Media
from mediagate import __version__
from mediagate.errors import SchemaBehind, VendorUnavailable
from mediagate.media.values import Status
from tests.api.serving import PREFIX, assert_problem, routes
from tests.world import VENDOR, World, picture
from workflows.names import Role

SUMMARY = {
    *("id", "library", "status", "reason", "filename", "content_type", "caption", "width", "height", "bytes"),
    *("title", "alt_text", "tags", "category", "language"),
    *("sha256", "batch_id", "tracking_id", "created_at", "updated_at"),
}
VARIANT = {"name", "format", "frame", "width", "height", "bytes", "quality", "sha256", "engine", "trade", "url"}
DECISION = {"round", "verdict", "policy_version", "reasons", "findings", "decided_by", "final", "decided_at"} | {
    "risk",
    "rule",
}


async def insert(world: World, filename: str, *, age: int = 0, status: Status = Status.ACCEPTED) -> str:
    """A row of that file name, `age` seconds old."""
    made = datetime.now(UTC) - timedelta(seconds=age)
    media = Media(
        id=uuid4(),
        library_id=world.library.id,
        filename=filename,
        content_type="image/jpeg",
        declared_bytes=1,
        status=status,
        started_at=made,
        created_at=made,
    )
    async with world.db.transaction() as tx:
        tx.media.add(media)
    return str(media.id)


class TestUploads:
    async def test_init_says_where_to_send_the_bytes(self, quiet_world: World) -> None:
        announced = await quiet_world.announce(b"x" * 10, caption="A boat", sha256="A" * 64)
        assert set(announced) == {"media_id", "upload_token", "method", "url", "headers", "fields", "expires_in"}
        assert (announced["method"], announced["expires_in"]) == ("POST", 900)
        assert announced["fields"]["key"] == f"staging/{announced['media_id']}"
        shown = await quiet_world.read(announced["media_id"])
        assert (shown["status"], shown["caption"], shown["sha256"]) == ("awaiting_upload", "A boat", "a" * 64)

    async def test_complete_names_the_run(self, quiet_world: World) -> None:
        data = picture()
        announced = await quiet_world.announce(data)
        await quiet_world.put(announced, data)
        completed = await quiet_world.complete(announced, data)
        media_id = announced["media_id"]
        assert completed.status_code == 202
        assert completed.json() == {"media_id": media_id, "status": "accepted", "workflow_id": f"media-{media_id}"}
        description = await quiet_world.run(media_id).describe()
        assert (await quiet_world.media(media_id)).run_id == description.run_id

    async def test_a_direct_upload_answers_for_each_file(self, quiet_world: World) -> None:
        files = [("files", ("a.jpg", picture(), "image/jpeg")), ("files", ("b.txt", b"text", "text/plain"))]
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}/media"
        answer = await quiet_world.http.post(url, files=files, data={"caption": "two"})
        assert answer.status_code == 202
        body = answer.json()
        assert set(body) == {"batch_id", "items"}
        good, bad = body["items"]
        assert (good["filename"], good["status"], good["error"]) == ("a.jpg", "accepted", None)
        assert (bad["filename"], bad["media_id"], bad["status"]) == ("b.txt", None, None)
        assert set(bad["error"]) == {"code", "detail"}
        assert bad["error"]["code"] == "unsupported_type"
        shown = await quiet_world.read(good["media_id"])
        assert (shown["batch_id"], shown["caption"]) == (body["batch_id"], "two")


class TestMedia:
    async def test_an_item_that_is_only_announced(self, quiet_world: World) -> None:
        announced = await quiet_world.announce(b"x" * 10)
        shown = await quiet_world.read(announced["media_id"])
        assert set(shown) == SUMMARY | {
            *("detail", "facts", "variants", "renditions", "decision", "workflow", "accepted_at", "filed_at")
        }
        assert shown["library"] == quiet_world.library.slug
        assert (shown["variants"], shown["decision"], shown["accepted_at"]) == ([], None, None)
        assert shown["workflow"] == {"id": f"media-{announced['media_id']}", "run_id": None, "url": None}

    async def test_an_item_that_is_approved(self, world: World) -> None:
        media_id = await world.upload(picture(800, 600))
        await world.until(media_id, Status.AWAITING_MODERATION)
        await world.webhook(world.event(media_id))
        await world.ended(media_id)
        shown = await world.read(media_id)
        assert (shown["status"], shown["reason"]) == ("approved", "clean")
        assert (shown["width"], shown["height"]) == (800, 600)
        assert {variant["name"] for variant in shown["variants"]} == {"original", "medium", "thumb"}
        assert all(set(variant) == VARIANT for variant in shown["variants"])
        assert set(shown["decision"]) == DECISION
        assert (shown["decision"]["verdict"], shown["decision"]["final"]) == ("approve", True)
        assert shown["decision"]["policy_version"]
        assert shown["workflow"]["run_id"]
        timeline = (await world.http.get(f"{PREFIX}/media/{media_id}/timeline")).json()
        assert timeline["media_id"] == media_id
        assert all(set(line) == {"kind", "at", "data"} for line in timeline["items"])
        kinds = [line["kind"] for line in timeline["items"]]
        assert kinds[:2] == ["created", "status"]
        assert [kind for kind in kinds if kind in {"accepted", "submitted", "filed", "notified"}] == [
            *("accepted", "submitted", "filed", "notified")
        ]
        notes = (await world.http.get(f"{PREFIX}/libraries/{world.library.slug}/notifications")).json()
        assert [(note["kind"], note["media_id"]) for note in notes["items"]] == [("moderation_result", media_id)]

    async def test_what_is_not_there(self, quiet_world: World) -> None:
        for path in ("", "/timeline", "/files/thumb"):
            assert_problem(await quiet_world.http.get(f"{PREFIX}/media/{uuid4()}{path}"), 404, "not_found")
        for path in ("media", "notifications"):
            assert_problem(await quiet_world.http.get(f"{PREFIX}/libraries/nobody/{path}"), 404, "not_found")

    async def test_an_id_that_is_none(self, quiet_world: World) -> None:
        assert_problem(await quiet_world.http.get(f"{PREFIX}/media/1"), 422, "invalid_request")


class TestPages:
    async def test_a_walk_sees_every_item_once_newest_first(self, quiet_world: World) -> None:
        ids = [await insert(quiet_world, f"{age}.jpg", age=age // 2) for age in range(7)]  # pairs of almost one age
        url, seen = f"{PREFIX}/libraries/{quiet_world.library.slug}/media", []
        cursor: str | None = ""
        while cursor is not None:
            page = (await quiet_world.http.get(url, params={"limit": 3, "cursor": cursor})).json()
            assert set(page) == {"items", "next_cursor"}
            assert all(set(item) == SUMMARY for item in page["items"])
            seen += page["items"]
            cursor = page["next_cursor"]
        assert sorted(item["id"] for item in seen) == sorted(ids)
        times = [datetime.fromisoformat(item["created_at"]) for item in seen]
        assert times == sorted(times, reverse=True)

    async def test_what_comes_in_during_a_walk_does_not_disturb_it(self, quiet_world: World) -> None:
        older = [await insert(quiet_world, "old.jpg", age=age) for age in (60, 50, 40)]
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}/media"
        first = (await quiet_world.http.get(url, params={"limit": 2})).json()
        await insert(quiet_world, "new.jpg")
        second = (await quiet_world.http.get(url, params={"limit": 2, "cursor": first["next_cursor"]})).json()
        assert [item["id"] for item in [*first["items"], *second["items"]]] == older[::-1]
        assert second["next_cursor"] is None

    @pytest.mark.parametrize(
        ("params", "found"),
        [
            ({}, ["100%_off.jpg", "1000 boats.jpg", "under_score.jpg"]),
            ({"q": "100%"}, ["100%_off.jpg"]),
            ({"q": "r_s"}, ["under_score.jpg"]),
            ({"q": "%"}, ["100%_off.jpg"]),
            ({"q": "\\"}, []),
            ({"q": "BOATS"}, ["1000 boats.jpg"]),
            ({"q": "' OR 1=1 --"}, []),
            ({"status": "approved"}, ["under_score.jpg"]),
            ({"status": "approved", "q": "100"}, []),
        ],
    )
    async def test_filters(self, quiet_world: World, params: dict[str, str], found: list[str]) -> None:
        await insert(quiet_world, "100%_off.jpg")
        await insert(quiet_world, "1000 boats.jpg")
        await insert(quiet_world, "under_score.jpg", status=Status.APPROVED)
        url = f"{PREFIX}/libraries/{quiet_world.library.slug}/media"
        answer = await quiet_world.http.get(url, params=params)
        assert sorted(item["filename"] for item in answer.json()["items"]) == found


class TestWebhooks:
    async def test_the_answer_counts(self, quiet_world: World) -> None:
        media_id = await insert(quiet_world, "a.jpg", status=Status.APPROVED)
        event = quiet_world.event(media_id)
        stored = await quiet_world.webhook(event)
        assert (stored.status_code, stored.json()) == (200, {"stored": 1, "duplicates": 0, "unmatched": 0})


class TestReviews:
    @pytest.mark.parametrize(("action", "body"), [("decision", {"verdict": "approve"}), ("abort", {})])
    async def test_without_a_run_there_is_nobody_to_tell(
        self, quiet_world: World, action: str, body: dict[str, str]
    ) -> None:
        media_id = await insert(quiet_world, "a.jpg")
        assert_problem(await quiet_world.http.post(f"{PREFIX}/media/{media_id}/{action}", json=body), 409, "conflict")

    @pytest.mark.parametrize("action", ["decision", "abort"])
    async def test_what_is_decided_stands(self, quiet_world: World, action: str) -> None:
        media_id = await insert(quiet_world, "a.jpg", status=Status.REJECTED)
        url = f"{PREFIX}/media/{media_id}/{action}"
        assert_problem(await quiet_world.http.post(url, json={"verdict": "approve"}), 409, "conflict")

    async def test_a_verdict_that_decides_nothing(self, world: World) -> None:
        media_id = await world.upload(picture())
        await world.until(media_id, Status.AWAITING_MODERATION)
        await world.webhook(world.event(media_id, "review", scores={"nudity": 0.6}))
        await world.until(media_id, Status.IN_REVIEW)
        url = f"{PREFIX}/media/{media_id}/decision"
        assert_problem(await world.http.post(url, json={"verdict": "review"}), 422, "invalid_request")
        stands = await world.http.post(url, json={"verdict": "reject", "reason": "policy:nudity", "note": "no"})
        assert set(stands.json()) == {"media_id", "verdict", "policy_version", "decided_by", "reasons"}
        assert (stands.json()["verdict"], stands.json()["reasons"][0]["code"]) == ("reject", "policy:nudity")

    async def test_an_abort_ends_as_rejected(self, world: World) -> None:
        media_id = await world.upload(picture())
        await world.until(media_id, Status.AWAITING_MODERATION)
        stands = await world.http.post(f"{PREFIX}/media/{media_id}/abort", json={"reason": "wrong file"})
        assert (stands.status_code, stands.json()["verdict"]) == (200, "reject")
        assert (await world.ended(media_id))["reason"] == "aborted"


class TestSurface:
    async def test_health(self, quiet_world: World) -> None:
        assert (await quiet_world.http.get("/health/live")).json() == {"status": "ok"}
        ready = await quiet_world.http.get("/health/ready")
        checks = {"postgres": "ok", "s3": "ok", "temporal": "ok"}
        assert (ready.status_code, ready.json()) == (200, {"status": "ok", "checks": checks})

    async def test_deep_health_looks_at_schema_workers_and_vendors(self, world: World) -> None:
        async with asyncio.timeout(30):  # a worker shows a moment after its first poll
            while (deep := await world.http.get("/health/deep")).status_code != 200:
                await asyncio.sleep(0.1)
        parts = {
            "postgres",
            "schema",
            "s3",
            "temporal",
            "space",
            f"vendor:{VENDOR}",
            *(f"worker:{role}" for role in Role),
        }
        assert deep.json() == {"status": "ok", "checks": dict.fromkeys(parts, "ok")}

    async def test_deep_health_names_what_is_away(self, quiet_world: World) -> None:
        quiet_world.vendor.trouble = VendorUnavailable()
        deep = await quiet_world.http.get("/health/deep")
        assert deep.status_code == 503
        away = {part: check for part, check in deep.json()["checks"].items() if check != "ok"}
        assert set(away) == {f"vendor:{VENDOR}", *(f"worker:{role}" for role in Role)}
        assert away["worker:cpu"].startswith("No worker serves this task queue")

    @pytest.mark.parametrize(("revision", "said"), [("9999", "ok"), ("0001", SchemaBehind().message)])
    async def test_deep_health_takes_a_newer_schema_and_no_older_one(
        self, quiet_world: World, revision: str, said: str
    ) -> None:
        """After a rollback the release before runs on the schema of the one after it."""
        async with quiet_world.db.transaction() as tx:
            present = (await tx.session.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
        move = text("UPDATE alembic_version SET version_num = :revision")
        try:
            async with quiet_world.db.transaction() as tx:
                await tx.session.execute(move, {"revision": revision})
            deep = await quiet_world.http.get("/health/deep")
        finally:
            async with quiet_world.db.transaction() as tx:
                await tx.session.execute(move, {"revision": present})
        assert deep.json()["checks"]["schema"] == said

    async def test_openapi_lists_every_route(self, quiet_world: World) -> None:
        document = (await quiet_world.http.get("/openapi.json")).json()
        assert document["info"] == {"title": "Mediagate", "version": __version__}
        listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
        pages = {("GET", "/"), ("GET", "/openapi.json"), ("HEAD", "/openapi.json")}
        assert listed == set(routes()) - pages
        named = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
        assert len(named) == len(set(named))

    async def test_there_is_no_page_that_loads_scripts_from_elsewhere(self, quiet_world: World) -> None:
        app = create_app(quiet_world.settings)
        assert (app.docs_url, app.redoc_url) == (None, None)
        for path in ("/docs", "/redoc"):
            assert_problem(await quiet_world.http.get(path), 404, "not_found")

    async def test_ids_are_what_they_look_like(self, quiet_world: World) -> None:
        announced = await quiet_world.announce(b"x")
        assert UUID(announced["media_id"]).version == 4
        upper = announced["media_id"].upper()
        assert (await quiet_world.read(upper))["id"] == announced["media_id"]

    async def test_the_vendor_of_the_tests_is_served(self, quiet_world: World) -> None:
        url = f"{PREFIX}/webhooks/moderation/{VENDOR}"
        assert_problem(await quiet_world.http.post(url, content=b"{}"), 401, "bad_signature")
        assert_problem(await quiet_world.http.post(f"{url}-x", content=b"{}"), 404, "not_found")
