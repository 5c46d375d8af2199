"""Flags over HTTP, and the switches that act in the API."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from temporalio.service import RPCError

from db.flag_feed import open_flags
from db.tables import Library
from mediagate.access.api_keys import Scope
from mediagate.flagging import Flags
from mediagate.flags import BUILT_IN, Flag, Switch
from mediagate.media.values import Status
from tests.api.serving import PREFIX, assert_problem, bearer, gate_of, serving
from tests.api.test_duplicates import PHASH, sealed
from tests.workflows import runs
from tests.world import World, issue_key, picture
from workflows.names import renditions_id

URL = f"{PREFIX}/flags"


@pytest.fixture
async def operator(quiet_world: World) -> dict[str, str]:
    """The header with an admin's key for all libraries."""
    return bearer(await issue_key(quiet_world.db, None, Scope.ADMIN))


@pytest.fixture
async def http(quiet_world: World, operator: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """The API for the operator; kill switches are put back afterwards."""
    async with serving(gate_of(quiet_world), headers=operator) as client:
        yield client
    async with quiet_world.db.transaction() as tx:
        await tx.session.execute(text("DELETE FROM flag WHERE name = ANY(:names)"), {"names": [*Switch]})


@pytest.fixture
def name() -> str:
    """Of a flag that no other test has."""
    return f"f-{uuid4().hex[:12]}"


def off(switch: Switch, **rule: Any) -> Flags:
    """Flags of which one switch is off, or off where the rule says."""
    terms = {"rules": [{**rule, "variant": "off"}]} if rule else {"enabled": False}
    return Flags([Flag.model_validate({**BUILT_IN[switch].model_dump(), **terms})])


class TestFlags:
    async def test_a_flags_life(self, http: httpx.AsyncClient, name: str) -> None:
        terms = {"description": "the new gallery", "default": "off", "rules": [{"percentage": 25, "variant": "on"}]}
        made = await http.put(f"{URL}/{name}", json={**terms, "reason": "a try"})
        assert (made.status_code, made.json()["version"]) == (200, 1)
        assert made.json() | {"updated_at": ""} == {
            "name": name,
            "description": "the new gallery",
            "kind": "release",
            "enabled": True,
            "variants": {"on": True, "off": False},
            "default": "off",
            "off": "off",
            "rules": [{"conditions": [], "percentage": 25.0, "variant": "on"}],
            "salt": "",
            "version": 1,
            "built_in": False,
            "updated_at": "",
            "updated_by": "tester",
        }
        assert (await http.put(f"{URL}/{name}", json=terms)).json() == made.json()
        changed = await http.put(f"{URL}/{name}", json={**terms, "enabled": False, "version": 1})
        assert (changed.json()["enabled"], changed.json()["version"]) == (False, 2)
        assert_problem(await http.put(f"{URL}/{name}", json={**terms, "version": 1}), 409, "conflict")
        shown = (await http.get(f"{URL}/{name}")).json()
        assert (shown.pop("counts"), shown) == ([], changed.json())
        assert_problem(await http.delete(f"{URL}/{name}", params={"version": 1}), 409, "conflict")
        assert (await http.delete(f"{URL}/{name}", params={"version": 2})).json() == changed.json()
        assert_problem(await http.get(f"{URL}/{name}"), 404, "not_found")
        assert_problem(await http.delete(f"{URL}/{name}"), 404, "not_found")

    async def test_who_changed_it_is_on_record(self, quiet_world: World, http: httpx.AsyncClient, name: str) -> None:
        await http.put(f"{URL}/{name}", json={"reason": "a try"})
        async with quiet_world.db.transaction() as tx:
            (row,) = await tx.audit.page(subject=f"flag:{name}", limit=9)
        assert (row.action, row.actor, row.reason) == ("flag.created", "tester", "a try")
        assert row.via.startswith("api:")
        assert row.tracking_id

    async def test_every_one_is_on_some_page(self, http: httpx.AsyncClient, name: str) -> None:
        await http.put(f"{URL}/{name}", json={})
        found: list[str] = []
        page: dict[str, Any] = {"next_cursor": ""}
        while (cursor := page["next_cursor"]) is not None:
            page = (await http.get(URL, params={"limit": 3, "cursor": cursor})).json()
            found += [one["name"] for one in page["items"]]
        assert found == sorted(set(found))
        assert {name, *Switch} <= set(found)
        assert_problem(await http.get(URL, params={"cursor": "Ä"}), 422, "invalid_request")

    async def test_an_untouched_switch(self, http: httpx.AsyncClient) -> None:
        shown = (await http.get(f"{URL}/imports")).json()
        assert (shown["enabled"], shown["version"], shown["built_in"], shown["updated_at"]) == (True, 0, True, None)
        asked = (await http.post(f"{URL}/imports/evaluate", json={})).json()
        assert (asked["value"], asked["reason"], asked["version"]) == (True, "STATIC", 0)

    async def test_why_somebody_is_served_what(self, http: httpx.AsyncClient, name: str) -> None:
        conditions = [{"attribute": "environment", "op": "eq", "value": "staging"}]
        rules = [{"conditions": conditions, "variant": "on"}, {"percentage": 100, "variant": "on"}]
        await http.put(f"{URL}/{name}", json={"default": "off", "rules": rules})
        asked = await http.post(f"{URL}/{name}/evaluate", json={"targeting_key": "a"})
        found = asked.json()
        assert (found["value"], found["reason"], found["rule"]) == (True, "TARGETING_MATCH", 1)
        assert 0 <= found["bucket"] < 10_000
        assert found["passed"] == ["environment eq 'staging' does not hold for 'production'"]
        asked = await http.post(f"{URL}/{name}/evaluate", json={"attributes": {"environment": "staging"}})
        assert (asked.json()["rule"], asked.json()["bucket"], asked.json()["passed"]) == (0, None, [])
        refused = await http.post(f"{URL}/{name}/evaluate", json={"attributes": {"colour": "red"}})
        assert_problem(refused, 422, "invalid_request")

    @pytest.mark.parametrize(
        "body",
        [
            {"default": "blue"},
            {"rules": [{"variant": "on", "conditions": [{"attribute": "colour", "op": "eq", "value": 1}]}]},
            {"variants": {"on": 1.5}},
            {"version": -1},
            {"colour": "red"},
            {"description": "\x00"},
        ],
    )
    async def test_what_is_no_flag_is_refused(self, http: httpx.AsyncClient, name: str, body: dict[str, Any]) -> None:
        assert_problem(await http.put(f"{URL}/{name}", json=body), 422, "invalid_request")

    async def test_a_switch_of_the_gates_own_stays_one(self, http: httpx.AsyncClient) -> None:
        problem = assert_problem(await http.put(f"{URL}/uploads", json={"kind": "release"}), 422, "invalid_request")
        assert "kind must be kill_switch" in problem["detail"]
        assert_problem(await http.put(f"{URL}/Not-A-Name", json={}), 422, "invalid_request")

    async def test_an_admin_of_one_library_sees_nothing_of_the_others(self, quiet_world: World, name: str) -> None:
        own = bearer(await issue_key(quiet_world.db, quiet_world.library.id, Scope.ADMIN))
        for url in (URL, f"{URL}/uploads"):
            assert_problem(await quiet_world.http.get(url, headers=own), 403, "not_allowed")


class TestUploads:
    async def test_a_running_api_refuses_them_as_soon_as_they_are_off(
        self, quiet_world: World, http: httpx.AsyncClient
    ) -> None:
        database = quiet_world.settings.database_url.get_secret_value()
        key = {"Authorization": quiet_world.http.headers["Authorization"]}
        async with (
            open_flags(quiet_world.db, database, environment="") as flags,
            serving(replace(gate_of(quiet_world), flags=flags), headers=key) as client,
        ):
            assert (await self._announce(quiet_world, client)).status_code == 201
            for version, enabled, status in ((0, False, 503), (1, True, 201)):
                body = {"kind": "kill_switch", "enabled": enabled, "version": version}
                assert (await http.put(f"{URL}/uploads", json=body)).status_code == 200

                async def seen(wanted: int = status) -> bool:
                    return (await self._announce(quiet_world, client)).status_code == wanted

                await runs.until(seen)

    async def _announce(self, world: World, client: httpx.AsyncClient) -> httpx.Response:
        body = {"filename": "photo.jpg", "content_type": "image/jpeg", "file_size": 10}
        return await client.post(f"{PREFIX}/libraries/{world.library.slug}/uploads", json=body)

    async def test_off_both_ways_in_say_when_to_come_back(self, quiet_world: World) -> None:
        announced = await quiet_world.announce(picture())
        await quiet_world.put(announced, picture())
        key = {"Authorization": quiet_world.http.headers["Authorization"]}
        async with serving(replace(gate_of(quiet_world), flags=off(Switch.UPLOADS)), headers=key) as client:
            form = f"{PREFIX}/libraries/{quiet_world.library.slug}/media"
            files = {"files": ("a.jpg", picture(), "image/jpeg")}
            for refused in (await self._announce(quiet_world, client), await client.post(form, files=files)):
                problem = assert_problem(refused, 503, "switched_off")
                assert (problem["detail"], refused.headers["retry-after"]) == (
                    "Uploads are switched off for maintenance.",
                    "60",
                )
            completed = await replace(quiet_world, http=client).complete(announced, picture())
            assert completed.status_code == 202  # what was announced can be completed

    async def test_for_one_library_or_for_those_who_are_not_trusted(
        self, quiet_world: World, other_library: Library
    ) -> None:
        trusted = bearer(
            await issue_key(quiet_world.db, quiet_world.library.id, Scope.UPLOADS_WRITE, Scope.UPLOADS_TRUSTED)
        )
        plain = {"Authorization": quiet_world.http.headers["Authorization"]}
        for attribute, value, statuses in (
            ("library", other_library.slug, (201, 201)),
            ("library", quiet_world.library.slug, (503, 503)),
            ("role", "uploader", (503, 201)),
        ):
            flags = off(Switch.UPLOADS, conditions=[{"attribute": attribute, "op": "eq", "value": value}])
            async with serving(replace(gate_of(quiet_world), flags=flags)) as client:
                for key, status in zip((plain, trusted), statuses, strict=True):
                    client.headers = httpx.Headers(key)
                    assert (await self._announce(quiet_world, client)).status_code == status


class TestOthers:
    async def test_near_duplicates(self, quiet_world: World) -> None:
        asked = await sealed(quiet_world, picture(), PHASH)
        copy, near = await sealed(quiet_world, picture(), PHASH), await sealed(quiet_world, picture(seed=1), PHASH ^ 1)
        key = {"Authorization": quiet_world.http.headers["Authorization"]}
        for flags, found in ((Flags(), [near]), (off(Switch.NEAR_DUPLICATES), [])):
            async with serving(replace(gate_of(quiet_world), flags=flags), headers=key) as client:
                shown = (await client.get(f"{PREFIX}/media/{asked}/duplicates")).json()
            assert [item["media_id"] for item in shown["exact"]] == [copy]
            assert [item["media_id"] for item in shown["near"]] == found
            assert shown["near_searched"] is bool(found)

    async def test_a_rendition_that_is_asked_for_is_stood_in_for_and_not_made(self, world: World) -> None:
        await world.configure(images={"siblings": ["webp"], "build": "lazy"})
        media_id = await world.upload(picture(400, 300))
        await runs.stage(world, media_id, Status.AWAITING_MODERATION)
        await world.webhook(world.event(media_id))
        await world.ended(media_id)
        async with serving(
            replace(gate_of(world), flags=off(Switch.RENDITIONS)), headers=dict(world.http.headers)
        ) as client:
            shown = await client.get(f"{PREFIX}/media/{media_id}/files/medium.webp")
        assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
        assert not await started(world, media_id)
        await world.http.get(f"{PREFIX}/media/{media_id}/files/medium.webp")
        assert await started(world, media_id)


async def started(world: World, media_id: str) -> bool:
    """True if a run makes, or made, further pictures."""
    try:
        await world.client.get_workflow_handle(renditions_id(media_id)).describe()
    except RPCError:
        return False
    return True
