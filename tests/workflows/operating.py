"""What tests of the operators' commands need: the commands themselves, and runs in trouble."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlmodel import col
from temporalio import activity
from temporalio.worker import Worker
from typer import Typer
from typer.testing import CliRunner

from activities._border import Border
from activities.filing import Filing
from activities.notifying import Notifying
from activities.registry import build_activities
from db.tables import AuditRecord
from devstack.environment import applied
from mediagate.errors import ObjectCorrupt
from mediagate.settings import Settings
from tests.world import World
from workflows.messages import FileInput, FileResult
from workflows.names import Role, task_queue


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    text: str

    @property
    def json(self) -> Any:
        """Its last line; what workers of the same process log comes before."""
        return json.loads(self.text.splitlines()[-1])


@dataclass(frozen=True)
class Operator:
    """Gives commands, on a loop of their own as the program does."""

    app: Typer
    environment: dict[str, str]

    @classmethod
    def of(cls, app: Typer, services: dict[str, str], settings: Settings, folder: Path) -> "Operator":
        """On the session's services. `folder`: in place of that of a local stack."""
        environment = {
            "TEMPORAL_ADDRESS": services["TEMPORAL_ADDRESS"],
            "MEDIAGATE_DATABASE_URL": settings.database_url.get_secret_value(),
            "MEDIAGATE_STATE_DIR": str(folder),
        }
        return cls(app, environment)

    async def __call__(self, *arguments: str) -> Answer:
        with applied(self.environment):
            result = await asyncio.to_thread(CliRunner().invoke, self.app, [*arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout)

    async def until(self, wanted: Callable[[Any], bool], *arguments: str) -> Any:
        """The JSON of a command, once it is as wanted: the visibility store lags."""
        async with asyncio.timeout(30):
            while not wanted(found := (await self(*arguments, "--json")).json):
                await asyncio.sleep(0.1)
        return found


async def on_record(world: World, *, subject: str = "", action: str = "") -> list[AuditRecord]:
    """What the audit trail says, oldest first."""
    query = select(AuditRecord).order_by(col(AuditRecord.seq))
    if subject:
        query = query.where(col(AuditRecord.subject) == subject)
    if action:
        query = query.where(col(AuditRecord.action) == action)
    async with world.db.transaction() as tx:
        return list((await tx.session.scalars(query)).all())


class SpoiltFiling(Filing):
    """Breaks an invariant with every item: with every other one before it has done anything, with the rest at its very
    end."""

    def __init__(self, world: World) -> None:
        super().__init__(world.deps, Notifying(world.deps))
        self.calls = 0

    @activity.defn
    async def file_media(self, job: FileInput) -> FileResult:
        self.calls += 1
        if self.calls % 2:
            await super().file_media(job)
        raise ObjectCorrupt("Something is broken here.")


@asynccontextmanager
async def spoilt_workers(world: World) -> AsyncIterator[SpoiltFiling]:
    """The worker of the role `io` of a release whose filing is broken."""
    filing = SpoiltFiling(world)
    whole = [one for one in build_activities(world.deps)[Role.IO] if one.__name__ != "file_media"]
    worker = Worker(
        world.client,
        task_queue=task_queue(world.flows.prefix, Role.IO),
        activities=[filing.file_media, *whole],
        interceptors=[Border()],
        max_concurrent_activities=20,
    )
    async with worker:
        yield filing


async def at_once(calls: list[Awaitable[Any]], *, most: int = 16) -> list[Any]:
    """The results of these, some at a time."""
    slots = asyncio.Semaphore(most)

    async def one(call: Awaitable[Any]) -> Any:
        async with slots:
            return await call

    return await asyncio.gather(*(one(call) for call in calls))
