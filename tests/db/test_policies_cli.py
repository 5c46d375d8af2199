"""`mediagate policy` as a person uses it, from a document to a run that is undone."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from activities.policy_orders import start_run
from cli.policy import app
from db.session import Database
from db.tables import Library, PolicyRun
from devstack.environment import applied
from mediagate.errors import Conflict, InvalidRequest, NotFound
from mediagate.media.values import Verdict
from mediagate.moderation.policy_runs import PolicyMode, RunMode, RunState
from mediagate.settings import Settings
from tests.policies import CAREFUL, STRICT, decided, run_row, stored
from tests.workflows import runs
from tests.world import World
from workflows.names import policy_run_id
from workflows.policy_run_messages import PolicyRunInput

Run = Callable[..., Awaitable[str]]


@pytest.fixture
def run(stack_settings: Settings, services: dict[str, str], tmp_path: Path) -> Run:
    """Calls a command; its standard output. `code`: the exit code that it must have."""
    environment = {
        "TEMPORAL_ADDRESS": services["TEMPORAL_ADDRESS"],
        "MEDIAGATE_DATABASE_URL": stack_settings.database_url.get_secret_value(),
        "MEDIAGATE_STATE_DIR": str(tmp_path),
    }

    async def call(*arguments: object, code: int = 0) -> str:
        with applied(environment):
            result = await asyncio.to_thread(CliRunner().invoke, app, [str(one) for one in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    return call


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    """A document."""
    file = tmp_path / "strict.yaml"
    file.write_text(STRICT)
    return file


@pytest.fixture
def unknown_vendor(tmp_path: Path) -> Path:
    """A document that asks a vendor that is not here."""
    file = tmp_path / "unknown.yaml"
    file.write_text("ask: [nobody]\n")
    return file


async def shown(run: Run, *arguments: object) -> Any:
    # The world's workers are in this process and write their log lines to the same place.
    (document,) = (line for line in (await run(*arguments, "--json")).splitlines() if line[:1] in "[{")
    return json.loads(document)


class TestPolicies:
    async def test_stored_shown_and_activated(self, run: Run, library: Library, strict: Path) -> None:
        of = ("--library", library.slug)
        told = await run("put", strict, *of, "--note", "for kids")
        assert "strict@1 is stored as a draft." in told
        assert "default.reject_at: 0.85 → 0.4" in told
        assert (await shown(run, "put", strict, *of))["number"] == 2
        assert [row["number"] for row in await shown(run, "list", *of)] == [2, 1]
        assert "for kids" in await run("list", *of)

        dry = await run("activate", 1, *of)
        assert "strict@1 is draft and would become live. Nothing changed; add --yes." in dry
        assert "strict@1 is live." in await run("activate", 1, *of, "--note", "go", "--yes")
        done = await shown(run, "activate", 2, *of, "--mode", "shadow", "--yes")
        assert (done["done"], done["mode"]) == (True, "shadow")
        one = await shown(run, "show", 1, *of)
        assert (one["mode"], one["source"], one["diff"]) == ("live", STRICT, [])
        assert [change["note"] for change in one["changes"]] == ["for kids", "go"]
        assert "strict@1 is live" in await run("show", 1, *of)
        with pytest.raises(Conflict, match="does not become draft"):
            await run("activate", 1, *of, "--mode", "draft", "--yes")

    async def test_bad_ones_are_refused(self, run: Run, library: Library, unknown_vendor: Path) -> None:
        with pytest.raises(InvalidRequest, match="no vendor is named 'nobody'"):
            await run("put", unknown_vendor, "--library", library.slug)
        with pytest.raises(NotFound, match="no library named nowhere"):
            await run("list", "--library", "nowhere")
        with pytest.raises(NotFound, match="no policy number 7"):
            await run("show", 7, "--library", library.slug)

    async def test_tried_and_reported(self, run: Run, library: Library, db: Database) -> None:
        media_id = await decided(db, library, scores={"nudity": 0.45})
        await decided(db, library, by="person:ada", scores={"nudity": 0.45}, age=5)
        await stored(db, library, STRICT)
        of = ("--library", library.slug)
        tried = await shown(run, "dry-run", 1, *of, "--last", 1)
        assert tried["comparison"]["matrix"] == {"approve": {"reject": 1}}
        assert [(one["media_id"], one["reason"]) for one in tried["changed"]] == [(str(media_id), "reject:nudity")]
        told = await run("dry-run", 1, *of)
        assert "2 of 2 items would be decided otherwise; applying it would change 1." in told
        assert "Agreement 0.0%, with people 0.0%." in told
        assert "a person decided" in told
        assert (await shown(run, "shadow-report", 1, *of))["comparison"]["looked_at"] == 0
        assert "Agreement unknown" in await run("shadow-report", 1, *of)

    async def test_a_decision_is_explained(self, run: Run, library: Library, db: Database) -> None:
        media_id = await decided(db, library)
        assert "approve by clean (policy thresholds-1" in await run("explain", media_id)
        assert (await shown(run, "explain", media_id))["verdict"] == "approve"
        with pytest.raises(NotFound):
            await run("explain", UUID(int=0))


class TestRuns:
    async def test_without_yes_nothing_is_started(self, run: Run, library: Library, db: Database) -> None:
        await decided(db, library, by="person:ada", scores={"nudity": 0.45})
        await stored(db, library, STRICT, PolicyMode.LIVE)
        of = ("--library", library.slug)
        assert "no run was started" in await run("run", 1, *of, "--apply")
        assert (await shown(run, "run", 1, *of, "--apply"))["comparison"]["applicable"] == 0
        would = await shown(run, "run", 1, *of, "--apply", "--include-human")
        assert (would["done"], would["comparison"]["applicable"]) == (False, 1)
        assert await shown(run, "runs", *of) == []

    async def test_started_on_the_deployments_own_queue(self, run: Run, world: World) -> None:
        """That of no worker here, so it stays as it is until it is taken away."""
        await stored(world.db, world.library, STRICT, PolicyMode.LIVE)
        of = ("--library", world.library.slug)
        begun = await shown(run, "run", 1, *of, "--apply", "--yes", "--last", 5, "--at-once", 2)
        handle = world.client.get_workflow_handle(policy_run_id(begun["id"]))
        described = await handle.describe()
        assert (described.workflow_type, described.task_queue) == ("PolicyRunWorkflow", "media-flow")
        await handle.terminate()
        assert (begun["state"], begun["mode"], begun["last"]) == ("previewing", "apply", 5)
        assert "before it began" in await run("cancel", begun["id"])

    async def test_confirmed_paused_shown_and_undone(self, run: Run, world: World) -> None:
        media_id = await decided(world.db, world.library, Verdict.REJECT, reason="reject:x")
        policy = await stored(world.db, world.library, STRICT, PolicyMode.LIVE)
        begun = await start(world, policy.number)
        dry = await run("confirm", begun.id)
        assert f"The run {begun.id} is previewed until " in dry
        assert "1 items would change. Nothing changed; add --yes." in dry
        assert (await shown(run, "confirm", begun.id))["done"] is False
        with pytest.raises(Conflict, match="nothing to pause"):
            await run("pause", begun.id)
        with pytest.raises(Conflict, match="not paused"):
            await run("resume", begun.id)
        assert (await shown(run, "confirm", begun.id, "--yes"))["confirmed_by"].startswith("cli:")

        async def done() -> bool:
            return (await run_row(world.db, begun.id)).state is RunState.DONE

        await runs.until(done)
        one = await shown(run, "show-run", begun.id)
        assert (one["state"], one["applied"], one["version"]) == ("done", 1, "strict@1")
        assert [(item["media_id"], item["state"]) for item in one["items"]] == [(str(media_id), "applied")]
        assert str(media_id) in await run("show-run", begun.id)
        assert str(begun.id) in await run("runs", "--library", world.library.slug)
        assert "Up to 1 items would be brought back." in await run("undo", begun.id)
        assert (await shown(run, "undo", begun.id))["done"] is False
        undo = await shown(run, "undo", begun.id, "--yes")
        assert (undo["mode"], undo["undoes"]) == ("undo", str(begun.id))
        await world.client.get_workflow_handle(policy_run_id(undo["id"])).terminate()

    async def test_cancelled(self, run: Run, world: World) -> None:
        await decided(world.db, world.library, scores={"nudity": 0.35})
        policy = await stored(world.db, world.library, CAREFUL, PolicyMode.LIVE)
        begun = await start(world, policy.number)
        assert f"The run {begun.id} is " in await run("cancel", begun.id)
        await world.client.get_workflow_handle(policy_run_id(str(begun.id))).result()
        assert (await run_row(world.db, begun.id)).state is RunState.CANCELLED


async def start(world: World, number: int) -> PolicyRun:
    """A run on the world's own queues, once it waits to be confirmed."""
    job = PolicyRunInput(run_id=str(uuid4()), library=world.library.slug, mode=RunMode.APPLY, actor="ada")
    begun = await start_run(world.db, world.flows, world.library, number, job)

    async def waits() -> bool:
        return (await run_row(world.db, begun.id)).state is RunState.PREVIEWED

    await runs.until(waits)
    return begun
