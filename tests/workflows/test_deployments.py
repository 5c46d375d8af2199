"""Deploys on the real server: runs that wait go on with the new workers, and none is lost on the way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar
from uuid import uuid4

import pytest
from sqlalchemy import func, select
from sqlmodel import col
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import WorkerDeploymentVersion

from db.tables import Media
from mediagate.errors import Conflict, NotFound
from mediagate.media.values import Status, Verdict
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from tests.replay.changed import GatedUpload
from tests.workflows import runs
from tests.world import PATIENCE, VENDOR, GateWith, World, picture
from worker import WORKFLOWS, build_workers
from workflows.messages import HumanDecision
from workflows.names import Role
from workflows.operations.deployments import Deployments
from workflows.upload import UploadWorkflow

T = TypeVar("T")

OLD, NEW = "1.0.0", "1.1.0"
CHANGED = tuple(GatedUpload if each is UploadWorkflow else each for each in WORKFLOWS)
WAITING, MORE = 100, 10
AT_ONCE = 10
"""Calls of the test's own at the same time."""
DOUBTFUL = picture(64, 48, seed=77)
APPROVE = HumanDecision(verdict=Verdict.APPROVE, reviewer="ada")


@pytest.fixture
async def world(gate_with: GateWith) -> AsyncIterator[World]:
    """A world without workers."""
    async with gate_with(roles=()) as opened:
        yield opened


@pytest.fixture
def known(world: World) -> Deployments:
    """A deployment of the test's own."""
    return Deployments(world.client, f"d{uuid4().hex[:12]}", prefix=world.flows.prefix)


@asynccontextmanager
async def deployed(
    world: World,
    known: Deployments,
    build: str,
    workflows: Sequence[type] = WORKFLOWS,
    roles: Sequence[Role] = tuple(Role),
) -> AsyncIterator[None]:
    """Workers of a version, which are known to the server."""
    version = WorkerDeploymentVersion(known.name, build)
    built = build_workers(
        world.client, world.deps, roles, prefix=world.flows.prefix, version=version, workflows=workflows
    )
    async with AsyncExitStack() as stack:
        for worker in built:
            await stack.enter_async_context(worker)
        found = await known.watch(build, lambda details: len(details.missing) == len(Role) - len(roles), patience=30)
        assert len(found.missing) == len(Role) - len(roles)
        yield


async def each(act: Callable[[str], Awaitable[T]], media: Iterable[str]) -> list[T]:
    """What the act returns for each item, a few at a time."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(media_id: str) -> T:
        async with slots:
            return await act(media_id)

    return await asyncio.gather(*(one(media_id) for media_id in media))


async def doubtful(world: World, count: int = 1) -> list[str]:
    """Items about which a person will be asked, their runs started. The vendor says so before it is asked."""

    async def one(_: str) -> str:
        media_id = await world.seal(DOUBTFUL, started=False)
        await runs.start(world, media_id)
        await speaks(world, media_id)
        return media_id

    return await each(one, map(str, range(count)))


async def speaks(world: World, media_id: str) -> None:
    """A word of the vendor, which is unsure."""
    word = VendorEvent(event_id=uuid4().hex, vendor=VENDOR, media_id=media_id, verdict=VendorVerdict.REVIEW)
    assert await world.flows.signal_moderation(media_id, word)


async def in_review(world: World, media: Sequence[str]) -> None:
    """Return when every run waits for a person."""
    query = select(func.count()).where(col(Media.library_id) == world.library.id, col(Media.status) == Status.IN_REVIEW)

    async def reviews() -> bool:
        async with world.db.transaction() as tx:
            return (await tx.session.scalar(query) or 0) >= len(media)

    await runs.until(reviews)
    await each(lambda media_id: runs.stage(world, media_id, Status.IN_REVIEW), media)


async def approve(world: World, media: Iterable[str]) -> None:
    """A person approves each."""
    await each(lambda media_id: world.flows.decide(media_id, APPROVE), media)


async def finished_on(world: World, media_id: str) -> tuple[str, bool]:
    """The version on which the run took its last step, and whether it began with the changed code.

    It has ended as approved, and none of its workflow tasks failed.
    """
    assert (await world.ended(media_id))["status"] == Status.APPROVED
    described = await world.run(media_id).describe()
    assert described.status is WorkflowExecutionStatus.COMPLETED
    assert await runs.events(world, media_id, runs.E.EVENT_TYPE_WORKFLOW_TASK_FAILED) == 0
    gated = await runs.events(world, media_id, runs.E.EVENT_TYPE_MARKER_RECORDED) > await _markers(world, media_id)
    return described.raw_description.workflow_execution_info.versioning_info.deployment_version.build_id, gated


async def _markers(world: World, media_id: str) -> int:
    """Those of local activities; the others are of version gates."""
    history = await world.run(media_id).fetch_history()
    kinds = [event.marker_recorded_event_attributes.marker_name for event in history.events]
    return sum(kind == "core_local_activity" for kind in kinds)


class TestDeploy:
    @pytest.mark.timeout(180)
    async def test_a_changed_worker_takes_over_while_a_hundred_runs_wait(
        self, world: World, known: Deployments
    ) -> None:
        async with AsyncExitStack() as old, AsyncExitStack() as new:
            await old.enter_async_context(deployed(world, known, OLD))
            assert await known.promote(OLD) is None
            waiting = await doubtful(world, WAITING)
            await in_review(world, waiting)

            await new.enter_async_context(deployed(world, known, NEW, CHANGED))
            assert await known.promote(NEW) == OLD
            later = await doubtful(world, MORE)
            await approve(world, waiting[: WAITING // 2])  # while workers of both versions run
            await old.aclose()
            await in_review(world, later)
            await approve(world, [*waiting[WAITING // 2 :], *later])

            assert await each(lambda one: finished_on(world, one), waiting) == [(NEW, False)] * WAITING
            assert await each(lambda one: finished_on(world, one), later) == [(NEW, True)] * MORE
            drained = await known.watch(OLD, lambda details: details.drained, patience=PATIENCE)
            assert (drained.version.status, drained.open_runs, drained.pinned) == ("drained", 0, 0)
            assert not (await known.describe(NEW)).drained

    async def test_the_first_versioned_workers_take_over_from_unversioned_ones(
        self, world: World, known: Deployments
    ) -> None:
        async with world.workers():
            waiting = await doubtful(world)
            await in_review(world, waiting)
        async with deployed(world, known, NEW, CHANGED):
            await known.promote(NEW)
            later = await doubtful(world)
            await in_review(world, later)
            await approve(world, [*waiting, *later])
            assert await finished_on(world, *waiting) == (NEW, False)
            assert await finished_on(world, *later) == (NEW, True)

    async def test_a_run_that_took_a_new_step_waits_out_a_rollback_and_goes_on_after_it(
        self, world: World, known: Deployments
    ) -> None:
        async with deployed(world, known, OLD), deployed(world, known, NEW, CHANGED):
            await known.promote(NEW)
            (begun,) = await doubtful(world)
            await in_review(world, [begun])
            await known.promote(OLD)
            await speaks(world, begun)  # wakes the run
            await runs.happened(world, begun, runs.E.EVENT_TYPE_WORKFLOW_TASK_FAILED)
            assert (await world.run(begun).describe()).status is WorkflowExecutionStatus.RUNNING
            (fresh,) = await doubtful(world)
            await in_review(world, [fresh])
            await approve(world, [fresh])
            assert await finished_on(world, fresh) == (OLD, False)
            await known.promote(NEW)
            await approve(world, [begun])
            assert (await world.ended(begun))["status"] == Status.APPROVED


class TestRouting:
    async def test_a_version_without_workers_for_every_queue_does_not_get_the_work(
        self, world: World, known: Deployments
    ) -> None:
        async with deployed(world, known, OLD), deployed(world, known, NEW, roles=[Role.FLOW]):
            await known.promote(OLD)
            waiting = await doubtful(world)
            await in_review(world, waiting)
            with pytest.raises(Conflict, match="task queue"):
                await known.promote(NEW)
            assert await known.current() == OLD
            await approve(world, waiting)
            assert await finished_on(world, *waiting) == (OLD, False)

    async def test_a_ramp_gets_its_share_until_it_is_ended(self, world: World, known: Deployments) -> None:
        async with deployed(world, known, OLD), deployed(world, known, NEW, CHANGED):
            await known.promote(OLD)
            await known.ramp(NEW, 100)
            statuses = {version.build_id: (version.status, version.percent) for version in await known.versions()}
            assert statuses == {OLD: ("current", 0), NEW: ("ramping", 100)}
            (ramped,) = await doubtful(world)
            await in_review(world, [ramped])
            await approve(world, [ramped])
            assert await finished_on(world, ramped) == (NEW, True)
            await known.ramp(NEW, 0)
            assert "ramping" not in {version.status for version in await known.versions()}

    async def test_what_never_ran_is_unknown(self, known: Deployments) -> None:
        assert await known.versions() == []
        assert await known.current() is None
        for act in (known.describe("1"), known.promote("1"), known.ramp("1", 5)):
            with pytest.raises(NotFound):
                await act
