"""Digests and checks of vendors as their schedules run them, on the real service."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col
from temporalio.client import ScheduleActionExecutionStartWorkflow, ScheduleBackfill, ScheduleOverlapPolicy

from db.session import Database
from db.tables import Library, Notification
from mediagate.errors import VendorUnavailable
from mediagate.media.reports import day_before
from mediagate.settings import Settings
from tests.reports import a_day, digests, through
from tests.vendors import CountedVendor, settings_of
from tests.workflows import runs
from tests.world import GateWith, World
from workflows import schedules
from workflows.messages import SweepInput
from workflows.names import Role
from workflows.report_messages import CheckResult, DigestResult
from workflows.schedules import Order

DAY = timedelta(days=1)


@pytest.fixture
def db(own_db: Database) -> Database:
    return own_db


def plan_of(world: World, name: str) -> schedules.Plan:
    return next(plan for plan in schedules.plans(world.settings) if plan.name == name)


@pytest.fixture
async def world(gate_with: GateWith) -> AsyncIterator[World]:
    """Its schedules are made and paused: only what a test asks for runs."""
    async with gate_with(roles=(Role.FLOW, Role.IO)) as world:
        wanted = [plan_of(world, name) for name in ("digest", "vendor-health")]
        await schedules.ensure(world.flows, wanted)
        for plan in wanted:
            await schedules.give(world.flows, plan.name, Order.PAUSE)
        yield world
        for plan in wanted:
            await schedules.handle_of(world.flows, plan.name).delete()


async def results(world: World, name: str, kind: type[Any], *, most: int) -> list[Any]:
    """What the runs of a schedule ended with, in order, once it has started so many."""
    handle = schedules.handle_of(world.flows, name)

    async def started() -> list[tuple[str, str]]:
        actions = [one.action for one in (await handle.describe()).info.recent_actions]
        begun = [one for one in actions if isinstance(one, ScheduleActionExecutionStartWorkflow)]
        return [(one.workflow_id, one.first_execution_run_id) for one in begun] if len(begun) == most else []

    handles = [
        world.client.get_workflow_handle(workflow_id, run_id=run_id, result_type=kind)
        for workflow_id, run_id in await runs.until(started)
    ]
    return [await one.result() for one in handles]


async def planned_for(world: World, name: str, at: datetime) -> None:
    """Have the run begin that was planned for that moment."""
    tick = timedelta(minutes=1)
    backfill = ScheduleBackfill(at - tick, at + tick, overlap=ScheduleOverlapPolicy.ALLOW_ALL)
    await schedules.handle_of(world.flows, name).backfill(backfill)


class TestDigest:
    async def test_is_of_the_day_before_it_was_planned_for_and_is_mailed_once(
        self, world: World, db: Database, library: Library
    ) -> None:
        day = a_day()
        await through(db, library, day, decision=3, filing=4)
        for times in (1, 2):
            await planned_for(world, "digest", day + DAY + timedelta(hours=world.settings.digest_hour))
            found = await results(world, "digest", DigestResult, most=times)
            assert found[-1].period == f"{day:%Y-%m-%d}"
        assert [one.told > 0 for one in found] == [True, False]
        assert len(await digests(db, library, day)) == 1
        for _ in range(2):
            await runs.sweep(world, SweepInput(mail_after=timedelta(0)))
        subject = f"Digest of {library.slug}: {day:%Y-%m-%d}"
        assert [mail.subject for mail in world.mailer.sent].count(subject) == 1

    async def test_by_hand_it_is_of_yesterday(self, world: World) -> None:
        await schedules.give(world.flows, "digest", Order.TRIGGER)
        (found,) = await results(world, "digest", DigestResult, most=1)
        description = await schedules.handle_of(world.flows, "digest").describe()
        at = description.info.recent_actions[0].scheduled_at
        assert found.period == str(day_before(at))


class TestVendorHealth:
    async def test_a_vendor_goes_away_and_comes_back(self, world: World, db: Database) -> None:
        vendor, day = CountedVendor(), a_day()
        settings = world.settings.model_copy(update=settings_of(vendor) | {"vendor_health_failures": 1})
        outcomes = []
        async with world.workers(Role.VENDOR, vendors={vendor.name: vendor}, settings=settings):
            for times, trouble in enumerate((VendorUnavailable("It is away."), None), start=1):
                vendor.trouble = trouble
                await planned_for(world, "vendor-health", day + times * timedelta(minutes=5))
                found = await results(world, "vendor-health", CheckResult, most=times)
                outcomes.append(found[-1].vendors)
        assert outcomes == [{vendor.name: "fails"}, {vendor.name: "answers"}]
        for _ in range(2):
            await runs.sweep(world, SweepInput(mail_after=timedelta(0)))
        subjects = [mail.subject for mail in world.mailer.sent if vendor.name in mail.subject]
        assert subjects == [
            f"Alert: The vendor {vendor.name} does not answer",
            f"Over: The vendor {vendor.name} is well again",
        ]
        mine = col(Notification.key).startswith(f"vendor:{vendor.name}:")
        async with db.transaction() as tx:
            rows = (await tx.session.scalars(select(Notification).where(mine))).all()
        assert {row.mailed_at is not None for row in rows} == {True}


class TestPlans:
    @pytest.mark.parametrize(
        ("settings", "names"),
        [
            ({}, {"digest", "vendor-health"}),
            ({"digest": "off"}, {"vendor-health"}),
            ({"vendor_health_every": 0}, {"digest"}),
        ],
        ids=["both", "no digest", "no checks"],
    )
    def test_what_is_switched_off_is_not_planned(self, settings: dict[str, Any], names: set[str]) -> None:
        planned = {plan.name for plan in schedules.plans(Settings(**settings))}
        assert planned & {"digest", "vendor-health"} == names

    def test_weekly_is_on_mondays(self) -> None:
        settings = Settings(digest="weekly", digest_hour=7)
        (plan,) = [one for one in schedules.plans(settings) if one.name == "digest"]
        (spec,) = plan.schedule("p").spec.calendars
        assert ([one.start for one in spec.hour], [(one.start, one.end) for one in spec.day_of_week]) == ([7], [(1, 1)])
        assert plan.job.weekly
