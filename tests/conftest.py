"""Real services for the tests: started once per session, with a database, a bucket and task queues of their own each.

The services come up in the background; the first test that needs them waits for them.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from temporalio.client import Client

from db import migrate
from db.session import Database
from db.tables import Library
from devstack.environment import applied, settings_from
from mediagate import temporal, wiring
from mediagate.settings import Settings
from mediagate.storage.s3 import S3Store
from tests.evidence import copy_of, migrated_database
from tests.world import GateWith, World, open_world
from workflows.names import SEARCH_ATTRIBUTES, Role

pytest.register_assert_rewrite("tests.chaos")  # books that do not balance say what is wrong

STACK = pytest.StashKey[tuple[subprocess.Popen[bytes], Path]]()
FOLDER = "MEDIAGATE_TEST_FOLDER"
START_SECONDS = 900
"""Includes building the Go programs, once on a new machine."""


def pytest_configure(config: pytest.Config) -> None:
    """Start the services from the controlling process, unless only unit tests are asked for."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    asked = [Path(arg.split("::")[0]).as_posix() for arg in config.args]
    if asked and all("tests/unit" in arg for arg in asked):
        return
    folder = Path(tempfile.mkdtemp(prefix="mediagate-tests-"))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.infrastructure", str(folder)],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
        )
    os.environ[FOLDER] = str(folder)
    config.stash[STACK] = (process, folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the services and take their folder away."""
    started = config.stash.get(STACK, None)
    if started is None:
        return
    process, folder = started
    process.communicate()  # closes its standard input
    from devstack.discard import discard

    discard(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that run whole stacks of their own first, because they take longest: the others fill up beside them.

    Those of a file of `e2e`, and all of `chaos`, share stacks, so each lot runs in one process.
    """
    root = Path(__file__).parent

    def lot(item: pytest.Item) -> str | None:
        tier = item.path.relative_to(root).parts[0]
        return {"chaos": tier, "e2e": item.path.stem}.get(tier)

    for item in items:
        if name := lot(item):
            item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=lambda item: lot(item) is None)


@pytest.fixture(scope="session")
def services() -> dict[str, str]:
    """The environment under which the session's services are reached."""
    folder = Path(os.environ[FOLDER])
    deadline = time.monotonic() + START_SECONDS
    while not (folder / "ready").exists():
        if time.monotonic() > deadline or not (folder / "output").exists():
            pytest.fail(f"The services did not start:\n{(folder / 'output').read_text()[-4000:]}")
        time.sleep(0.1)
    found: dict[str, str] = json.loads((folder / "environment.json").read_text())
    return found


@pytest.fixture(scope="session")
def stack_settings(services: dict[str, str], worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of this test process: its own migrated database and its own bucket."""
    admin_url = settings_from(services).database_url.get_secret_value()
    name = f"test_{worker_id}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = f"{admin_url.rpartition('/')[0]}/{name}"
    migrate.upgrade(url)
    settings = settings_from(
        {
            **services,
            "MEDIAGATE_DATABASE_URL": url,
            "MEDIAGATE_S3_BUCKET": f"test-{worker_id}",
            "MEDIAGATE_STATE_DIR": str(tmp_path_factory.mktemp("state")),
            "MEDIAGATE_PUBLIC_URL": "http://gate.test",
            "MEDIAGATE_CPU_SLOTS": "2",
            "MEDIAGATE_EVIDENCE_KEYS": "",  # sealed where a test is about it
        }
    )
    store = wiring.open_store(settings)
    with ThreadPoolExecutor(1) as pool:  # a loop may run in this thread already
        pool.submit(lambda: asyncio.run(store.ensure_bucket(["http://gate.test"]))).result()
    store.close()
    return settings


@pytest.fixture(scope="session")
def migrated(stack_settings: Settings) -> Iterator[str]:
    """The URL of a database with all tables, for `tests.evidence.copy_of`: nobody connects to it."""
    with migrated_database(stack_settings) as url:
        yield url


@pytest.fixture(scope="session")
async def empty_db(migrated: str) -> AsyncIterator[Database]:
    """A database in which nothing is ever stored: what the planner chooses there hangs on nothing but the question."""
    async with _copied(migrated) as database:
        yield database


@pytest.fixture
async def own_db(migrated: str) -> AsyncIterator[Database]:
    """A database for one test. Tests whose sweeps pay *whatever* is owed take it for their `db`, because others leave
    hundreds of owed starts and mails."""
    async with _copied(migrated) as database:
        yield database


@asynccontextmanager
async def _copied(template: str) -> AsyncIterator[Database]:
    with copy_of(template) as url:
        database = Database(url)
        yield database
        await database.close()


@pytest.fixture(scope="session")
async def temporal_client(services: dict[str, str]) -> Client:
    """The session's Temporal client."""
    with applied(services):  # not for longer: tests that run stacks of their own would take it for the user's service
        client = await temporal.connect()
    await temporal.register_search_attributes(client, SEARCH_ATTRIBUTES)
    return client


@pytest.fixture(scope="session")
async def db(stack_settings: Settings) -> AsyncIterator[Database]:
    """The session's database."""
    database = Database(stack_settings.database_url.get_secret_value())
    yield database
    await database.close()


@pytest.fixture(scope="session")
def store(stack_settings: Settings) -> Iterator[S3Store]:
    """The session's object store."""
    opened = wiring.open_store(stack_settings)
    yield opened
    opened.close()


@pytest.fixture
async def library(db: Database) -> Library:
    """A fresh library."""
    async with db.transaction() as tx:
        return await tx.access.ensure_library(f"lib-{uuid4().hex[:12]}", name="Test", settings={})


@pytest.fixture
def gate_with(
    stack_settings: Settings, temporal_client: Client, db: Database, store: S3Store, library: Library, tmp_path: Path
) -> GateWith:
    """Opens a world as `open_world` does, on this session's services, with settings of its own."""

    def opening(
        *, roles: Sequence[Role] = tuple(Role), skip_time: bool = False, **settings: Any
    ) -> AbstractAsyncContextManager[World]:
        own = stack_settings.model_copy(update=settings)
        return open_world(own, temporal_client, db, store, library, tmp_path, roles=roles, skip_time=skip_time)

    return opening


@pytest.fixture
async def skipping_world(
    stack_settings: Settings, temporal_client: Client, db: Database, store: S3Store, library: Library, tmp_path: Path
) -> AsyncIterator[World]:
    """As `world`, but timers fire as soon as nothing else is to be done."""
    opening = open_world(stack_settings, temporal_client, db, store, library, tmp_path, skip_time=True)
    async with opening as opened:
        yield opened


@pytest.fixture
async def world(
    stack_settings: Settings, temporal_client: Client, db: Database, store: S3Store, library: Library, tmp_path: Path
) -> AsyncIterator[World]:
    """Everything a test of the gate needs, around a fresh library and fresh task queues."""
    async with open_world(stack_settings, temporal_client, db, store, library, tmp_path) as opened:
        yield opened
