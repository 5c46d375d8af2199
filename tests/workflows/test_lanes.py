"""Lanes and turns on the real server: what is urgent goes first, and no library waits for another."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from mediagate.access.api_keys import Scope
from mediagate.moderation.lanes import Lane
from tests.api.serving import bearer
from tests.world import GateWith, World, issue_key, picture
from workflows import policies


@workflow.defn(name="Numbered", sandboxed=False)
class Numbered:
    """Ends at once; the order of the ends is that in which the server handed out the first tasks."""

    @workflow.run
    async def run(self, name: str) -> str:
        return name


async def order_of(client: Client, starts: list[tuple[str, Lane, str]]) -> list[str]:
    """Names in the order in which they are worked on by one worker, of runs that were started in this order."""
    queue = f"lanes-{uuid4().hex}"
    handles = [
        await client.start_workflow(
            Numbered.run,
            name,
            id=f"{queue}-{name}",
            task_queue=queue,
            priority=policies.priority_of(lane, library),
        )
        for name, lane, library in starts
    ]
    worker = Worker(
        client,
        task_queue=queue,
        workflows=[Numbered],
        max_concurrent_workflow_tasks=1,
        max_concurrent_workflow_task_polls=1,
        max_cached_workflows=0,
    )
    async with worker:
        await asyncio.gather(*(handle.result() for handle in handles))
    closed = [(await handle.describe()).close_time for handle in handles]
    order = sorted(zip(closed, (name for name, *_ in starts), strict=True), key=lambda pair: str(pair[0]))
    return [name for _, name in order]


class TestTheServer:
    async def test_lets_the_fast_lane_overtake_an_import(self, temporal_client: Client) -> None:
        imports = [(f"import-{number}", Lane.BULK, "importer") for number in range(12)]
        order = await order_of(temporal_client, [*imports, ("single", Lane.FAST, "importer")])
        assert order.index("single") <= 1

    async def test_lets_libraries_take_turns_in_one_lane(self, temporal_client: Client) -> None:
        imports = [(f"import-{number}", Lane.SLOW, "importer") for number in range(12)]
        order = await order_of(temporal_client, [*imports, ("single", Lane.SLOW, "other")])
        assert order.index("single") <= 2


@pytest.fixture
async def quiet(gate_with: GateWith) -> AsyncIterator[World]:
    """A gate where nobody works on what is accepted."""
    async with gate_with(roles=()) as world:
        yield world


class TestAnUpload:
    async def lane(self, world: World, media_id: str) -> tuple[int | None, str | None]:
        """Priority and fairness key of the item's run."""
        described = (await world.run(media_id).describe()).raw_description.workflow_execution_info.priority
        return described.priority_key, described.fairness_key

    async def test_takes_the_slow_lane_of_its_library(self, quiet: World) -> None:
        media_id = await quiet.upload(picture())
        assert await self.lane(quiet, media_id) == (3, quiet.library.slug)

    async def test_takes_the_fast_lane_with_a_trusted_key(self, quiet: World) -> None:
        scopes = (Scope.UPLOADS_WRITE, Scope.UPLOADS_TRUSTED)
        quiet.http.headers.update(bearer(await issue_key(quiet.db, quiet.library.id, *scopes)))
        media_id = await quiet.upload(picture())
        assert await self.lane(quiet, media_id) == (2, quiet.library.slug)

    async def test_is_bulk_beside_many_others(self, quiet: World) -> None:
        await quiet.configure(policy={"lanes": {"bulk_from": 3}})
        media_ids = [await quiet.upload(picture()) for _ in range(4)]
        assert [(await self.lane(quiet, media_id))[0] for media_id in media_ids] == [3, 3, 3, 4]

    async def test_asks_whom_the_policy_names_for_its_lane(self, quiet: World) -> None:
        for lanes, asked in (
            ({"fast_ask": ["one"], "fast_trusted_only": False}, ["one"]),
            ({"fast_max_bytes": 0}, ["one", "two"]),
        ):
            await quiet.configure(policy={"ask": ["one", "two"], "lanes": lanes})
            history = await quiet.run(await quiet.upload(picture())).fetch_history()
            started = history.events[0].workflow_execution_started_event_attributes
            (upload,) = await quiet.client.data_converter.decode(started.input.payloads)
            assert [ask["name"] for ask in upload["ask"]] == asked
