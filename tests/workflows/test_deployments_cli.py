"""`mediagate deployments` against the real server; the workers of these versions have nothing to do."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig
from typer.testing import CliRunner, Result

from cli import deployments
from db.session import Database
from devstack.environment import applied
from mediagate import builds
from mediagate.errors import Conflict, InvalidRequest, NotFound
from mediagate.settings import Settings
from workflows.names import Role, task_queue
from workflows.operations.deployments import Deployments
from workflows.sweep import SweepWorkflow

OLD, NEW = "1.0.0", "1.1.0"
LACKING = [task_queue("media", role) for role in Role]
"""The workers of these tests have a task queue of their own instead."""


@pytest.fixture
def deployment(services: dict[str, str], stack_settings: Settings, tmp_path: Path) -> Iterator[str]:
    """A name that no other test has, as the commands find it in their environment."""
    name = f"d{uuid4().hex[:12]}"
    own = {
        "MEDIAGATE_DATABASE_URL": stack_settings.database_url.get_secret_value(),
        "MEDIAGATE_STATE_DIR": str(tmp_path),
        "MEDIAGATE_DEPLOYMENT": name,
        "MEDIAGATE_BUILD_ID": NEW,
    }
    with applied({**services, **own}):
        yield name


@pytest.fixture
async def both(deployment: str, temporal_client: Client) -> AsyncIterator[str]:
    """The deployment, with a worker of either version."""
    known = Deployments(temporal_client, deployment)
    async with AsyncExitStack() as stack:
        for build in (OLD, NEW):
            version = WorkerDeploymentVersion(deployment, build)
            worker = Worker(
                temporal_client,
                task_queue=f"q-{deployment}",
                workflows=[SweepWorkflow],
                deployment_config=WorkerDeploymentConfig(version, True, VersioningBehavior.AUTO_UPGRADE),
            )
            await stack.enter_async_context(worker)
            await known.watch(build, lambda details: bool(details.queues), patience=30)
        yield deployment


async def command(*arguments: str) -> Result:
    """Run it on a loop of its own, as the program does."""
    return await asyncio.to_thread(CliRunner().invoke, deployments.app, [*arguments])


async def printed(*arguments: str) -> Any:
    """The JSON document of a command that does not fail."""
    result = await command(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


async def statuses() -> dict[str, str]:
    """By build id."""
    return {version["build_id"]: version["status"] for version in (await printed("list"))["versions"]}


class TestCommands:
    async def test_from_the_first_version_to_the_next_and_back(self, both: str, db: Database) -> None:
        assert set((await statuses()).values()) <= {"inactive", "created"}
        assert (await printed("promote", OLD)) == {
            "done": False,
            "build_id": OLD,
            "previous": None,
            "missing": LACKING,
        }
        assert "current" not in (await statuses()).values()

        refused = await command("promote", OLD, "--yes", "--wait", "0")
        assert isinstance(refused.exception, Conflict)
        assert "media-flow" in refused.exception.message
        assert (await printed("promote", OLD, "--yes", "--wait", "0", "--force"))["done"]
        assert (await statuses())[OLD] == "current"

        assert (await printed("ramp", "25"))["done"] is False
        assert await printed("ramp", "25", "--yes") == {"done": True, "build_id": NEW, "percent": 25}
        assert (await statuses())[NEW] == "ramping"
        shown = await command("list")
        assert "ramping at 25 %" in shown.stdout

        promoted = await printed("promote", "--yes", "--wait", "0", "--force", "--by", "ada")
        assert (promoted["build_id"], promoted["previous"]) == (NEW, OLD)
        assert (await command("drained", NEW)).exit_code == deployments.NOT_DRAINED
        drained = await printed("drained", OLD, "--wait", "30")
        assert (drained["drained"], drained["open_runs"]) == (True, 0)

        async with db.transaction() as tx:
            acts = await tx.audit.page(subject=f"deployment:{both}", limit=10)
        assert [(act.action, act.document["build_id"]) for act in acts] == [
            ("deployment.promoted", NEW),
            ("deployment.ramped", NEW),
            ("deployment.promoted", OLD),
        ]
        assert (acts[0].actor, acts[0].document["previous"]) == ("ada", OLD)

    async def test_shows_the_queues_of_a_version(self, both: str) -> None:
        shown = await printed("show", NEW)
        assert shown["queues"] == [{"name": f"q-{both}", "kind": "workflow", "backlog": 0}]
        assert (shown["open_runs"], shown["pinned"], shown["missing"]) == (0, 0, LACKING)
        text = (await command("show")).stdout
        assert NEW in text
        assert f"q-{both}" in text

    async def test_promoting_the_current_version_again_changes_nothing(self, both: str, db: Database) -> None:
        for _ in range(2):
            await printed("promote", OLD, "--yes", "--wait", "0", "--force")
        async with db.transaction() as tx:
            assert len(await tx.audit.page(subject=f"deployment:{both}", limit=10)) == 1
        ramped = await command("ramp", "5", OLD, "--yes")
        assert isinstance(ramped.exception, InvalidRequest)

    @pytest.mark.parametrize("arguments", [["show"], ["ramp", "5"], ["promote"], ["drained"]], ids=" ".join)
    async def test_a_version_without_workers_is_unknown(self, deployment: str, arguments: list[str]) -> None:
        assert await printed("list") == {"deployment": deployment, "versions": []}
        assert isinstance((await command(*arguments)).exception, NotFound)


class TestBuildId:
    def test_unversioned_unless_one_is_set(self) -> None:
        assert builds.build_id(Settings(build_id=None)) is None
        assert builds.build_id(Settings(build_id="v7")) == "v7"

    def test_auto_is_the_release_and_a_digest_of_the_code(self) -> None:
        made = builds.build_id(Settings(build_id="auto"))
        assert made == builds.made_from_code()
        assert Settings(build_id=made).build_id == made
