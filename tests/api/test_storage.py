"""How much is kept over HTTP, quotas, and room that is short."""

import asyncio
from datetime import timedelta

from activities.storage_usage import watch
from activities.trash import delete_removed, erase, throw_away
from db.repositories.audit import Actor
from db.tables import Library, now
from mediagate.access.api_keys import Scope
from mediagate.media.values import Status
from tests.api.serving import PREFIX, assert_problem, bearer
from tests.world import World, issue_key, picture

SIZE = len(picture())


class TestLibrary:
    async def test_by_status_and_kind(self, quiet_world: World) -> None:
        world = quiet_world
        await world.seal(picture(), status=Status.APPROVED)
        await world.seal(picture(), status=Status.REJECTED, backup_key="b")
        await world.announce(picture())
        shown = (await world.http.get(f"{PREFIX}/libraries/{world.library.slug}/storage")).json()
        held = {(one["status"], one["kind"]): (one["objects"], one["bytes"]) for one in shown.pop("held")}
        assert held == {
            ("approved", "master"): (1, SIZE),
            ("rejected", "master"): (1, SIZE),
            ("rejected", "backup"): (1, SIZE),
            ("awaiting_upload", "announced"): (1, SIZE),
        }
        numbers = {"objects": 3, "bytes": 3 * SIZE, "quota_bytes": None, "quota_used": 3 * SIZE}
        assert shown == {"library": world.library.slug, **numbers}

    async def test_another_tenants_is_unknown(self, quiet_world: World, other_library: Library) -> None:
        answer = await quiet_world.http.get(f"{PREFIX}/libraries/{other_library.slug}/storage")
        assert_problem(answer, 404, "not_found")


class TestDeployment:
    async def test_pages_of_libraries(self, quiet_world: World) -> None:
        world, operator = quiet_world, bearer(await issue_key(quiet_world.db, None, Scope.ADMIN))
        await world.seal(picture(), status=Status.APPROVED)
        found, params = dict[str, tuple[int, int]](), {"limit": "1"}
        first = (await world.http.get(f"{PREFIX}/storage", params=params, headers=operator)).json()
        page = first
        while True:
            found |= {item["library"]: (item["objects"], item["bytes"]) for item in page["items"]}
            if world.library.slug in found or not page["next_cursor"]:
                break
            cursor = {"cursor": page["next_cursor"]}
            page = (await world.http.get(f"{PREFIX}/storage", params={**params, **cursor}, headers=operator)).json()
        assert found[world.library.slug] == (1, SIZE)
        assert first["bytes"] >= SIZE
        assert sum(one["bytes"] for one in first["held"] if one["kind"] != "announced") == first["bytes"]


class TestQuota:
    async def announce(self, world: World) -> int:
        body = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": SIZE}
        url = f"{PREFIX}/libraries/{world.library.slug}/uploads"
        return (await world.http.post(url, json=body)).status_code

    async def test_is_never_exceeded_and_says_what_to_do(self, quiet_world: World) -> None:
        world = quiet_world
        await world.configure(limits={"total_bytes": 4 * SIZE})
        await world.seal(picture(), status=Status.APPROVED)
        statuses = await asyncio.gather(*(self.announce(world) for _ in range(6)))
        assert sorted(statuses) == [201] * 3 + [429] * 3
        body = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": SIZE}
        url = f"{PREFIX}/libraries/{world.library.slug}/uploads"
        refused = await world.http.post(url, json=body)
        document = assert_problem(refused, 429, "quota_exceeded")
        assert f"keeps {4 * SIZE} bytes" in document["detail"]
        assert "total_bytes" in document["detail"]
        assert refused.headers["retry-after"] == "3600"

    async def test_what_is_erased_makes_room_and_what_is_in_the_trash_does_not(self, quiet_world: World) -> None:
        world, ada = quiet_world, Actor("ada", "cli:ada")
        await world.configure(limits={"total_bytes": SIZE})
        media_id = (await world.media(await world.seal(picture(), status=Status.REJECTED))).id
        await throw_away(world.db, media_id, ada, keep=timedelta(0), purge=False)
        assert await self.announce(world) == 429
        await erase(world.db, world.store, media_id, ada)
        await delete_removed(world.db, world.store)
        assert await self.announce(world) == 201

    async def test_each_file_of_a_form_counts(self, quiet_world: World) -> None:
        world = quiet_world
        await world.configure(limits={"total_bytes": 2 * SIZE})
        files = [("files", (f"{n}.jpg", picture(), "image/jpeg")) for n in range(3)]
        answer = await world.http.post(f"{PREFIX}/libraries/{world.library.slug}/media", files=files)
        assert [item["error"] and item["error"]["code"] for item in answer.json()["items"]] == [
            None,
            None,
            "quota_exceeded",
        ]

    async def test_a_library_may_tighten_its_plan_only(self, quiet_world: World) -> None:
        world = quiet_world
        own = bearer(await issue_key(world.db, world.library.id, Scope.ADMIN))
        url = f"{PREFIX}/libraries/{world.library.slug}/settings"
        changed = await world.http.patch(url, json={"limits": {"total_bytes": 10}}, headers=own)
        assert changed.json()["limits"]["total_bytes"] == 10


class TestRetentionSettings:
    async def test_are_set_by_days(self, quiet_world: World) -> None:
        world = quiet_world
        key = bearer(await issue_key(world.db, world.library.id, Scope.ADMIN))
        url = f"{PREFIX}/libraries/{world.library.slug}/settings"
        changed = await world.http.patch(url, json={"retention": {"rejected": 90, "backups": 30}}, headers=key)
        assert changed.json()["retention"] == {
            "approved": None,
            "rejected": 90,
            "quarantined": None,
            "failed": None,
            "backups": 30,
        }
        for wrong in ({"rejected": 0}, {"rejected": 36_501}, {"in_review": 3}, {"rejected": "soon"}):
            refused = await world.http.patch(url, json={"retention": wrong}, headers=key)
            assert "retention." in assert_problem(refused, 422, "invalid_request")["detail"]


class TestRoom:
    async def test_deep_health_says_that_it_is_short(self, quiet_world: World) -> None:
        world = quiet_world
        async with world.db.transaction() as tx:
            await tx.storage.tell_space("disk:far-away:/", used=99, size=100)
        await watch(world.db, world.settings)
        deep = await world.http.get("/health/deep")
        async with world.db.transaction() as tx:
            await tx.storage.forget_spaces(now() + timedelta(minutes=1))
        assert deep.json()["checks"]["space"].startswith("A disk or the object store is nearly full")
        assert "far-away" not in deep.text
        assert (await world.http.get("/health/deep")).json()["checks"]["space"] == "ok"
