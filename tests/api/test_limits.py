"""What a library may upload: plans, types, quotas, and the gate's own limit."""

import asyncio
from typing import Any

import pytest

from mediagate.access.api_keys import Scope
from mediagate.media.values import LimitOverrides
from tests.api.serving import assert_problem, bearer
from tests.world import PATIENCE, GateWith, World, issue_key, picture
from workflows.names import Role

PREFIX = "/api/v1"


async def announce(world: World, size: int = 1000, content_type: str = "image/jpeg") -> Any:
    body = {"filename": "a.jpg", "content_type": content_type, "file_size": size}
    return await world.http.post(f"{PREFIX}/libraries/{world.library.slug}/uploads", json=body)


class TestTypes:
    async def test_others_than_the_librarys_are_refused(self, quiet_world: World) -> None:
        await quiet_world.configure(limits={"types": ["image/png"]})
        document = assert_problem(await announce(quiet_world), 415, "unsupported_type")
        assert document["detail"] == "The type 'image/jpeg' is not taken; send image/png."
        assert (await announce(quiet_world, content_type="image/png")).status_code == 201


class TestDailyQuota:
    async def test_of_files_holds_for_uploads_that_come_at_the_same_time(self, quiet_world: World) -> None:
        await quiet_world.configure(limits={"daily_files": 3})
        answers = await asyncio.gather(*(announce(quiet_world) for _ in range(6)))
        assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 429, 429, 429]
        refused = next(answer for answer in answers if answer.status_code == 429)
        document = assert_problem(refused, 429, "quota_exceeded")
        assert document["detail"].startswith("This library may upload 3 files a day (UTC)")
        assert 0 < int(refused.headers["Retry-After"]) <= 24 * 3600

    @pytest.mark.parametrize(("sizes", "statuses"), [([400, 601, 600], [201, 429, 201]), ([1001], [429])])
    async def test_of_bytes_counts_what_was_let_in(
        self, quiet_world: World, sizes: list[int], statuses: list[int]
    ) -> None:
        await quiet_world.configure(limits={"daily_bytes": 1000})
        assert [(await announce(quiet_world, size)).status_code for size in sizes] == statuses

    async def test_a_form_takes_the_files_that_fit(self, quiet_world: World) -> None:
        await quiet_world.configure(limits={"daily_files": 1})
        files = [("files", (name, picture(), "image/jpeg")) for name in ("a.jpg", "b.jpg")]
        answer = await quiet_world.http.post(f"{PREFIX}/libraries/{quiet_world.library.slug}/media", files=files)
        first, second = answer.json()["items"]
        assert (answer.status_code, first["status"]) == (202, "accepted")
        assert second["error"]["code"] == "quota_exceeded"


class TestUploadsUnderWay:
    async def test_more_than_the_limit_are_put_off(self, quiet_world: World) -> None:
        await quiet_world.configure(limits={"open_uploads": 2})
        for _ in range(2):
            assert (await announce(quiet_world)).status_code == 201
            await quiet_world.seal(picture())
        assert_problem(await announce(quiet_world), 429, "quota_exceeded")


class TestPlans:
    async def test_a_librarys_key_tightens_and_does_not_widen_its_plan(self, gate_with: GateWith) -> None:
        plans = {"free": LimitOverrides(daily_files=10, types=("image/jpeg",))}
        async with gate_with(roles=(), plans=plans) as world:
            url = f"{PREFIX}/libraries/{world.library.slug}/settings"
            operator = bearer(await issue_key(world.db, None, Scope.ADMIN))
            own = bearer(await issue_key(world.db, world.library.id, Scope.ADMIN))
            named = await world.http.patch(url, json={"limits": {"plan": "free"}}, headers=operator)
            assert named.json()["limits"]["daily_files"] == 10
            tightened = await world.http.patch(url, json={"limits": {"daily_files": 4}}, headers=own)
            assert tightened.json()["limits"]["daily_files"] == 4
            for wish, reason in (
                ({"daily_files": 11}, "limits.daily_files: this library may have at most 10."),
                ({"types": ["image/png"]}, "limits.types: this library may have image/jpeg."),
                ({"plan": None}, "limits.plan: only a key for all libraries changes the plan."),
            ):
                refused = await world.http.patch(url, json={"limits": wish}, headers=own)
                assert assert_problem(refused, 422, "invalid_request")["detail"] == reason
            unknown = await world.http.patch(url, json={"limits": {"plan": "gold"}}, headers=operator)
            assert "there are: free" in assert_problem(unknown, 422, "invalid_request")["detail"]


class TestBackPressure:
    async def test_uploads_are_put_off_before_workers_starve(self, gate_with: GateWith) -> None:
        """No worker opens pictures here: two uploads wait for one."""
        async with gate_with(roles=(Role.FLOW, Role.IO), max_backlog=1) as world:
            for seed in range(3):
                await world.upload(picture(seed=seed))
            async with asyncio.timeout(PATIENCE):
                while (refused := await announce(world)).status_code == 201:
                    await asyncio.sleep(0.5)
            assert_problem(refused, 429, "backlogged")
            assert 5 <= int(refused.headers["Retry-After"]) <= 300
