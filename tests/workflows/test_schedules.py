"""Schedules: made once, changed with the code, paused by people, and all acts on record."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlmodel import col
from temporalio.client import Client, ScheduleActionExecutionStartWorkflow, ScheduleOverlapPolicy

from cli.schedules import every, order
from db.repositories.audit import Actor
from db.session import Database
from db.tables import AuditRecord
from mediagate.errors import NotFound
from mediagate.settings import Settings
from workflows import schedules
from workflows.client import Flows
from workflows.names import sweep_schedule_id
from workflows.schedules import Order, Plan

ADA = Actor("ada", "cli:ada")


@pytest.fixture
async def flows(temporal_client: Client) -> AsyncIterator[Flows]:
    """Of a deployment without workers, so that nothing that is triggered does anything."""
    own = Flows(temporal_client, prefix=f"t{uuid4().hex[:12]}")
    yield own
    for plan in schedules.plans(Settings()):
        if await schedules.standing(own, plan):
            await schedules.handle_of(own, plan.name).delete()


class TestEnsuring:
    async def test_all_are_made_and_none_overtakes_itself(self, flows: Flows) -> None:
        settings = Settings(nightly_hour=23, scrub="quick")
        for _ in range(2):
            await schedules.ensure_all(flows, settings)
        found = {}
        for plan in schedules.plans(settings):
            found[plan.name] = (await schedules.handle_of(flows, plan.name).describe()).schedule
        assert set(found) == {"sweep", "scrub", "retention", "digest", "vendor-health"}
        assert {one.policy.overlap for one in found.values()} == {ScheduleOverlapPolicy.SKIP}
        assert [interval.every for interval in found["sweep"].spec.intervals] == [timedelta(minutes=1)]
        assert [interval.every for interval in found["vendor-health"].spec.intervals] == [timedelta(minutes=5)]
        hours = {name: found[name].spec.calendars[0].hour[0].start for name in ("scrub", "retention", "digest")}
        assert hours == {"scrub": 23, "retention": 0, "digest": 6}
        assert found["scrub"].spec.jitter == schedules.SPREAD
        assert found["scrub"].policy.catchup_window == timedelta(hours=6)

    async def test_a_change_takes_effect_and_a_pause_stays(self, flows: Flows) -> None:
        await schedules.ensure_sweep(flows, every=timedelta(days=1))
        handle = flows.client.get_schedule_handle(sweep_schedule_id(flows.prefix))
        await handle.pause(note="by ada")
        await schedules.ensure_sweep(flows, every=timedelta(days=2))
        schedule = (await handle.describe()).schedule
        assert [interval.every for interval in schedule.spec.intervals] == [timedelta(days=2)]
        assert (schedule.state.paused, schedule.state.note) == (True, "by ada")

    async def test_what_is_switched_off_goes(self, flows: Flows) -> None:
        await schedules.ensure_all(flows, Settings())
        for _ in range(2):
            await schedules.ensure_all(flows, Settings(scrub="off", digest="off", vendor_health_every=0))
        gone = {plan.name for plan in schedules.plans(Settings()) if not await schedules.standing(flows, plan)}
        assert gone == {"scrub", "digest", "vendor-health"}


class TestOrders:
    async def test_pause_trigger_and_unpause_are_on_record(self, flows: Flows, db: Database) -> None:
        name = f"nap-{uuid4().hex[:8]}"
        await schedules.ensure(flows, [plan := plan_of(name)])
        await order(flows, db, name, Order.PAUSE, ADA, "store is being moved")
        paused = await schedules.standing(flows, plan)
        assert paused
        assert (paused.paused, paused.note) == (True, "pause by ada (cli:ada): store is being moved")
        await order(flows, db, name, Order.UNPAUSE, ADA, "")
        assert (going_on := await schedules.standing(flows, plan))
        assert (going_on.paused, going_on.next is not None) == (False, True)
        async with db.transaction() as tx:
            query = select(AuditRecord).where(col(AuditRecord.subject) == f"schedule:{name}")
            acts = (await tx.session.scalars(query.order_by(col(AuditRecord.seq)))).all()
        assert [(act.action, act.reason) for act in acts] == [
            ("schedule.pause", "store is being moved"),
            ("schedule.unpause", ""),
        ]
        await schedules.handle_of(flows, name).delete()

    async def test_one_that_is_triggered_runs(self, flows: Flows, db: Database) -> None:
        await schedules.ensure_all(flows, Settings())
        await order(flows, db, "retention", Order.TRIGGER, ADA, "now")
        found = {one.name: one for one in await every(flows, Settings())}
        assert (found["retention"].running, found["scrub"].running) == (1, 0)
        handle = schedules.handle_of(flows, "retention")
        [running] = (await handle.describe()).info.running_actions
        assert isinstance(running, ScheduleActionExecutionStartWorkflow)
        await flows.client.get_workflow_handle(running.workflow_id).terminate()

    async def test_what_is_not_there(self, flows: Flows, db: Database) -> None:
        with pytest.raises(NotFound, match="no schedule 'digest'"):
            await order(flows, db, "digest", Order.PAUSE, ADA, "")
        assert {one.what for one in await every(flows, Settings())} == {"not made yet: start a worker"}


def plan_of(name: str) -> Plan:
    """A schedule that no other test looks at, and whose time never comes."""
    return Plan(name, "SweepWorkflow", None, "nothing", every=timedelta(days=300))
