"""A broken release fails 200 uploads; it is repaired, and one command brings all of them to their end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlmodel import col
from temporalio.client import WorkflowFailureError

from cli.runs.commands import app
from db.tables import MediaDecision, MediaEvent, Notification
from mediagate.settings import Settings
from tests.workflows import runs
from tests.workflows.operating import Operator, at_once, on_record, spoilt_workers
from tests.world import GateWith, World
from worker import build_workers
from workflows.names import Role

MANY = 200
import time,sys,resource
T=[time.time(),time.process_time()]
def lap(n):
    a,b=time.time(),time.process_time(); open('/tmp/own/i6/h1/laps','a').write(f'{n}: wall {a-T[0]:.1f} cpu {b-T[1]:.1f}\n'); T[:]=[a,b]


@pytest.fixture
def mediagate_runs(services: dict[str, str], stack_settings: Settings, tmp_path: Path) -> Operator:
    return Operator.of(app, services, stack_settings, tmp_path)


class TestABrokenRelease:
    async def test_one_command_brings_200_failed_runs_to_their_end_and_nothing_happens_twice(
        self, gate_with: GateWith, mediagate_runs: Operator
    ) -> None:
        async with gate_with(roles=()) as world, quick_workers(world, Role.FLOW, Role.CPU):
            lap('open')
            # No picture, so that what takes time is the runs: they are refused, and filed as rejected.
            media_ids = await at_once([world.seal(f"not a picture {n}".encode()) for n in range(MANY)])
            await at_once([runs.start(world, media_id) for media_id in media_ids])
            lap('seal+start')
            async with spoilt_workers(world) as spoilt:
                # What was filed before its run broke is not called failed, though the run is.
                statuses = Counter(await at_once([ended(world, one) for one in media_ids]))
            lap('failed')
            assert (spoilt.calls, statuses) == (MANY, {"failed": MANY // 2, "rejected": MANY // 2})
            assert await counts(world, media_ids) == {"decisions": MANY, "filed": MANY // 2, "results": MANY // 2}

            selection = ("--failed", "--library", world.library.slug, "--kind", "ObjectCorrupt", "--limit", "500")
            planned = await mediagate_runs.until(lambda said: len(said["runs"]) == MANY, "retry", *selection)
            assert Counter(run["result"] for run in planned["runs"]) == {"would be retried": MANY}
            lap('planned')
            async with quick_workers(world, Role.IO):
                done = await mediagate_runs("retry", *selection, "--rate", "100", "--yes", "--json")
                lap('retried')
                assert done.code == 0
                assert Counter((run["result"], run["step"]) for run in done.json["runs"]) == {("retried", "file"): MANY}
                assert Counter(await at_once([ended(world, one) for one in media_ids])) == {"rejected": MANY}

            assert await counts(world, media_ids) == {"decisions": MANY, "filed": MANY, "results": MANY}
            lap('ended')
            sent = Counter(mail.message_id for mail in world.mailer.sent)
            assert set(sent.values()) == {1}
            assert len(sent) == 2 * MANY  # that the run had failed, and what became of the upload
            assert await objects(world) == {"source": MANY, "backup": MANY}
            operation, *single = [one for one in await on_record(world, action="run.retry") if of(world, one.library)]
            assert operation.document["count"] == MANY
            assert {one.subject for one in single} == {f"run:media-{media_id}" for media_id in media_ids}
            assert {one.document["job_id"] for one in single} == {operation.document["job_id"]}


@asynccontextmanager
async def quick_workers(world: World, *roles: Role) -> AsyncIterator[None]:
    """As `World.workers`, but as `worker.py` runs them: the modules of workflows are not loaded anew for each run."""
    async with AsyncExitStack() as stack:
        for worker in build_workers(world.client, world.deps, roles, prefix=world.flows.prefix):
            await stack.enter_async_context(worker)
        yield


def of(world: World, library: str) -> bool:
    """The session's database holds the libraries of other tests as well."""
    return library == world.library.slug


async def ended(world: World, media_id: str) -> str:
    """Status of the item when its current run has ended."""
    async with asyncio.timeout(60):
        with suppress(WorkflowFailureError):
            await world.run(media_id).result()
    return (await world.media(media_id)).status.value


async def counts(world: World, media_ids: list[str]) -> dict[str, int]:
    """Rows of the items: decisions, filings on the timeline, notifications of the outcome."""
    ids = [UUID(one) for one in media_ids]
    decisions = select(func.count()).where(col(MediaDecision.media_id).in_(ids))
    filed = select(func.count()).where(col(MediaEvent.media_id).in_(ids), col(MediaEvent.kind) == "filed")
    results = select(func.count()).where(col(Notification.media_id).in_(ids), col(Notification.kind) == "upload_failed")
    async with world.db.transaction() as tx:
        found = {
            name: await tx.session.scalar(query)
            for name, query in (("decisions", decisions), ("filed", filed), ("results", results))
        }
    return {name: count or 0 for name, count in found.items()}


async def objects(world: World) -> Counter[str]:
    """Every object of the library, by where it stands."""
    keys = [stat.key async for stat in world.store.list(f"{world.library.slug}/")]
    return Counter("backup" if "/backups/" in key else Path(key).name for key in keys)
