"""`mediagate imports` as an operator types it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.imports import app
from db.tables import Library
from devstack.environment import applied
from mediagate.errors import Conflict, NotFound
from mediagate.media.imports import ImportItemState, ImportState
from tests.imports import SOURCE, begun, folder, importing, junk, reached, row, stocked
from tests.world import GateWith, World, picture

Run = Callable[..., Awaitable[str]]


@pytest.fixture
async def world(gate_with: GateWith, library: Library) -> AsyncIterator[World]:
    """A gate whose library may import."""
    async with importing(gate_with, library) as opened:
        yield opened


@pytest.fixture
def run(world: World, services: dict[str, str], tmp_path: Path) -> Run:
    """Calls a command; its standard output. `code`: the exit code that it must have."""
    source = world.settings.import_sources[SOURCE].model_dump(mode="json", exclude_none=True)
    environment = {
        **{name: services[name] for name in services if name.startswith("MEDIAGATE_S3_")},
        "TEMPORAL_ADDRESS": services["TEMPORAL_ADDRESS"],
        "MEDIAGATE_S3_BUCKET": world.settings.s3_bucket,
        "MEDIAGATE_DATABASE_URL": world.settings.database_url.get_secret_value(),
        "MEDIAGATE_STATE_DIR": str(tmp_path),
        "MEDIAGATE_IMPORT_SOURCES": json.dumps({SOURCE: source}),
    }

    async def call(*arguments: object, code: int = 0) -> str:
        with applied(environment):
            result = await asyncio.to_thread(CliRunner().invoke, app, [str(one) for one in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    return call


async def shown(run: Run, *arguments: object) -> Any:
    # The world's workers are in this process and write their log lines to the same place.
    (document,) = (line for line in (await run(*arguments, "--json")).splitlines() if line[:1] in "[{")
    return json.loads(document)


class TestImports:
    async def test_begun_looked_at_and_ordered_about(self, world: World, run: Run, tmp_path: Path) -> None:
        """Workers of a deployment serve `media-…` queues; nobody does here, so it stays where it is."""
        manifest = tmp_path / "pictures.csv"
        manifest.write_text(f"key,caption\n{folder(world.library)}a.jpg,A boat\n")
        of = ("--library", world.library.slug)
        begun_ = await shown(run, "start", manifest, *of, "--source", SOURCE, "--by", "ada")
        assert (begun_["state"], begun_["prefix"], begun_["created_by"]) == ("listing", None, "ada")
        whole = await shown(run, "start", *of, "--source", SOURCE, "--at-once", 3)
        assert (whole["prefix"], whole["at_once"]) == (folder(world.library), 3)
        assert [one["id"] for one in await shown(run, "list", *of)] == [whole["id"], begun_["id"]]
        assert "listing" in await run("list", *of)
        await world.client.get_workflow_handle(whole["workflow_id"]).terminate()
        with pytest.raises(Conflict):
            await run("pause", whole["id"])
        cancelled = await shown(run, "cancel", whole["id"], "--by", "eve")
        assert (cancelled["state"], cancelled["detail"]) == ("cancelled", "cancelled by eve")
        with pytest.raises(Conflict):
            await run("retry", whole["id"])

    async def test_what_is_refused(self, world: World, run: Run, tmp_path: Path) -> None:
        of = ("--library", world.library.slug)
        with pytest.raises(NotFound, match="no import source named 'other'"):
            await run("start", *of, "--source", "other")
        with pytest.raises(NotFound, match="no library named nobody"):
            await run("start", "--library", "nobody", "--source", SOURCE)
        await run("start", tmp_path / "x.csv", *of, "--source", SOURCE, "--prefix", "x", code=2)

    async def test_followed_to_the_end(self, world: World, run: Run) -> None:
        await stocked(world, *junk(2), ("b.txt", b""))
        one = await begun(world)
        told = await run("show", one.id, "--follow", code=3)
        assert "is done. 2 of 3 objects are imported, 1 failed, 0 under way, 0 waiting." in told
        items = await shown(run, "items", one.id, "--state", "failed")
        assert [(item["reason"], item["state"]) for item in items] == [("empty_file", "failed")]
        assert "empty_file" in await run("items", one.id)

    async def test_paused_resumed_and_cancelled(self, world: World, run: Run) -> None:
        await stocked(world, ("a.jpg", picture(seed=11)), *junk(1))
        one = await begun(world, at_once=1)
        await reached(world, one, ImportItemState.UNDER_WAY, 1)
        assert "is paused: paused by ada" in await run("pause", one.id, "--by", "ada")
        assert (await shown(run, "resume", one.id))["state"] == "importing"
        assert (await shown(run, "cancel", one.id))["state"] == "cancelling"
        assert (await row(world, one)).state is ImportState.CANCELLING
