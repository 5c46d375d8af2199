"""`mediagate stores` as a person uses it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from typer.testing import CliRunner

from activities.recovery.create import Source
from cli import store_moves
from cli.recovery_access import every_store, opened_place
from cli.stores import app
from db.programs import Programs
from db.session import Database
from db.tables import Library
from devstack.environment import applied
from mediagate.errors import Conflict, InvalidRequest, NotFound
from mediagate.settings import Settings
from mediagate.storage import keys
from mediagate.storage.placement import DEFAULT, Placement
from tests.places import OTHER, Place, open_place
from workflows.store_messages import StoreAct, StoreMoveInput, StoreStage

Run = Callable[..., Awaitable[str]]


@pytest.fixture
async def place(
    stack_settings: Settings, temporal_client: Client, db: Database, library: Library, tmp_path: Path
) -> AsyncIterator[Place]:
    async with open_place(stack_settings, temporal_client, db, library, tmp_path) as opened:
        yield opened


@pytest.fixture
def run(place: Place, services: dict[str, str], tmp_path: Path) -> Run:
    """Calls a command; its standard output. `code`: the exit code that it must have."""
    environment = {
        **{name: value for name, value in services.items() if name.startswith(("TEMPORAL_", "MEDIAGATE_S3_"))},
        "MEDIAGATE_S3_BUCKET": place.world.settings.s3_bucket,
        "MEDIAGATE_DATABASE_URL": place.world.settings.database_url.get_secret_value(),
        "MEDIAGATE_STATE_DIR": str(tmp_path),
        "MEDIAGATE_STORES": json.dumps({OTHER: {"bucket": place.world.settings.stores[OTHER].bucket}}),
    }

    async def call(*arguments: object, code: int = 0, **changes: str) -> str:
        with applied(environment | changes):
            result = await asyncio.to_thread(CliRunner().invoke, app, [str(one) for one in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    return call


async def object_of(place: Place) -> str:
    """The key of an object of the library."""
    key = keys.master(place.slug, str(uuid4()))
    await place.world.store.put(key, b"x", content_type="image/jpeg")
    return key


class TestListAndCheck:
    async def test_where_libraries_are(self, place: Place, run: Run) -> None:
        before = {one["name"]: one for one in json.loads(await run("list", "--json"))["stores"]}
        await place.put_library(OTHER)
        after = {one["name"]: one for one in json.loads(await run("list", "--json"))["stores"]}
        assert after[OTHER]["libraries"] == before[OTHER]["libraries"] + 1
        assert after[DEFAULT]["libraries"] == before[DEFAULT]["libraries"] - 1
        assert OTHER in await run("list")

    async def test_a_store_that_nobody_describes_any_more(self, place: Place, run: Run) -> None:
        await place.put_library("forgotten")
        assert "not described here" in await run("list", code=1)

    async def test_what_they_can_do(self, run: Run) -> None:
        found: dict[str, list[dict[str, Any]]] = json.loads(await run("check", "--json"))["stores"]
        works = {store: {one["feature"]: one["works"] for one in tried} for store, tried in found.items()}
        assert [works[store]["copy"] for store in (DEFAULT, OTHER)] == [True, True]
        assert "if-none-match" in await run("check", OTHER)
        with pytest.raises(InvalidRequest, match="describes no store 'nowhere'"):
            await run("check", "nowhere")

    async def test_one_that_is_away(self, place: Place, run: Run) -> None:
        bucket = place.world.settings.stores[OTHER].bucket
        away = {OTHER: {"bucket": bucket, "url": "http://127.0.0.1:9"}}
        assert "fail" in await run("check", OTHER, code=1, MEDIAGATE_STORES=json.dumps(away))


class TestPlans:
    async def test_nothing_is_done_without_yes(self, place: Place, run: Run) -> None:
        await object_of(place)
        plan = json.loads(await run("move", place.slug, "--to", OTHER, "--json"))
        assert plan == {
            "done": False,
            "library": place.slug,
            "act": "move",
            "store": OTHER,
            "home": DEFAULT,
            "beside": None,
            "objects": 1,
            "bytes": 1,
            "there": 0,
        }
        assert "would be brought to archive" in await run("copy", place.slug, "--to", OTHER)
        assert "0 objects" in await run("clear", place.slug, "--in", OTHER)
        assert "already" in await run("move", place.slug, "--to", DEFAULT)
        assert await place.digests(OTHER) == {}

    @pytest.mark.parametrize(
        ("arguments", "error", "says"),
        [
            (("move", "LIBRARY", "--to", "nowhere"), InvalidRequest, "describes no store 'nowhere'"),
            (("copy", "LIBRARY", "--to", DEFAULT), Conflict, "is in the store 'default' already"),
            (("clear", "LIBRARY", "--in", DEFAULT), Conflict, "lives in the store 'default'"),
            (("move", "no-such-library", "--to", OTHER), NotFound, "no library"),
        ],
        ids=["unknown store", "copy to itself", "clear the home", "unknown library"],
    )
    async def test_what_cannot_be_done_is_said(
        self, place: Place, run: Run, arguments: tuple[str, ...], error: type[Exception], says: str
    ) -> None:
        with pytest.raises(error, match=says):
            await run(*(place.slug if one == "LIBRARY" else one for one in arguments), "--yes")


class TestCarryingOut:
    async def test_a_copy_and_its_end(self, place: Place) -> None:
        key, world = await object_of(place), place.world
        job = StoreMoveInput(
            library=place.slug, act=StoreAct.COPY, store=OTHER, actor="ada", via="cli:ada", reason="ahead"
        )
        async with world.workers():
            result = await store_moves.carry_out(world.flows, world.db, job, detach=False, quiet=False)
        assert result
        assert result.stage is StoreStage.DONE
        assert store_moves.told(result) == "done: 1 objects compared, 1 copied (1 byte)."
        assert [*await place.digests(OTHER)] == [key]
        async with place.world.db.transaction() as tx:
            [record] = await tx.audit.page(subject=f"library:{place.slug}", limit=9)
        assert (record.action, record.actor, record.via, record.reason) == ("store.copy", "ada", "cli:ada", "ahead")
        assert record.document == {"store": OTHER}

    async def test_nobody_waits(self, place: Place) -> None:
        job = StoreMoveInput(library=place.slug, act=StoreAct.CLEAR, store=OTHER, actor="ada", via="cli:ada")
        flows, db = place.world.flows, place.world.db
        assert await store_moves.carry_out(flows, db, job, detach=True, quiet=True) is None
        await flows.client.get_workflow_handle(f"store-move-{place.slug}").terminate()


class TestBackups:
    async def test_one_is_of_every_store(self, place: Place) -> None:
        settings = place.world.settings
        here = await object_of(place)
        await place.put_library(OTHER)
        there = await object_of(place)
        programs = Programs(pg_dump=Path("pg_dump"), pg_restore=Path("pg_restore"), major=17)
        url = settings.database_url.get_secret_value()
        async with every_store(settings, Source(url, place.stores[DEFAULT], settings.s3_bucket, programs)) as whole:
            found = [stat.key async for stat in whole.store.list("") if stat.key.startswith(f"{place.slug}/")]
            assert found == [there] != [here]
            assert await whole.store.get_bytes(there, max_bytes=1) == b"x"

    async def test_none_is_kept_where_a_library_lives(self, place: Place) -> None:
        bucket = place.world.settings.stores[OTHER].bucket
        with (
            pytest.raises(InvalidRequest, match="libraries live in it"),
            opened_place(place.world.settings, f"s3://{bucket}/backups"),
        ):
            pytest.fail("It was opened.")

    async def test_after_a_restore_everything_is_in_the_default_store(self, place: Place) -> None:
        await place.put_library(OTHER)
        async with place.world.db.transaction() as tx:
            await tx.placements.forget()
        assert await place.placement() == Placement()
