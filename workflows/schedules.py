"""Every schedule: what runs when, in one place.

One run of a schedule at a time (`SKIP`): whatever takes longer than its interval is not overtaken by itself. What was
missed while the service was away is made up for within `catch_up`, and nights are spread so that several deployments on
one machine do not begin in the same second.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from mediagate.settings import Settings
from workflows import names, policies
from workflows.client import SWEEP_WORKFLOW, Flows, bounded
from workflows.messages import SweepInput
from workflows.report_messages import CheckInput, DigestInput
from workflows.storage_client import RETENTION_WORKFLOW, SCRUB_WORKFLOW
from workflows.storage_messages import RetentionInput, ScrubInput


@dataclass(frozen=True)
class Plan:
    """A schedule. `every`: an interval; else `hour`: UTC, each day, or each `monday`. `what`: for people."""

    name: str
    workflow: str
    job: Any
    what: str
    every: timedelta | None = None
    hour: int = 0
    monday: bool = False
    jitter: timedelta = timedelta(0)
    catch_up: timedelta = field(default=timedelta(minutes=1))

    def schedule(self, prefix: str) -> Schedule:
        """As the service keeps it, without its state."""
        spec = ScheduleSpec(jitter=self.jitter or None)
        if self.every:
            spec.intervals = [ScheduleIntervalSpec(every=self.every)]
        else:
            days = [ScheduleRange(1)] if self.monday else [ScheduleRange(0, 6)]
            hour = [ScheduleRange(self.hour)]
            spec.calendars = [ScheduleCalendarSpec(hour=hour, day_of_week=days, comment=self.what)]
        action = ScheduleActionStartWorkflow(
            self.workflow,
            self.job,
            id=names.schedule_id(prefix, self.name),
            task_queue=names.task_queue(prefix, names.Role.FLOW),
            static_summary=self.what,
        )
        policy = SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=self.catch_up)
        return Schedule(action=action, spec=spec, policy=policy)


DIGEST_WORKFLOW = "DigestWorkflow"
VENDOR_HEALTH_WORKFLOW = "VendorHealthWorkflow"

OPTIONAL = ("scrub", "digest", "vendor-health")
"""Those that a deployment may do without."""
SPREAD = timedelta(minutes=20)
_A_NIGHT = timedelta(hours=6)


def sweep_plan(job: SweepInput | None = None, every: timedelta = policies.SWEEP_EVERY) -> Plan:
    """What a crash left behind, every minute."""
    what = "pays owed starts, expires lost uploads, sends mails"
    return Plan("sweep", SWEEP_WORKFLOW, job or SweepInput(), what, every=every)


def plans(settings: Settings) -> Sequence[Plan]:
    """Every schedule of a deployment with these settings."""
    quick = settings.scrub == "quick"
    scrub = ScrubInput(quick=quick, repair=settings.scrub_repair)
    nightly = Plan(
        "scrub",
        SCRUB_WORKFLOW,
        scrub,
        f"compares {'sizes' if quick else 'SHA-256'} of all objects with the rows",
        hour=settings.nightly_hour,
        jitter=SPREAD,
        catch_up=_A_NIGHT,
    )
    retention = Plan(
        "retention",
        RETENTION_WORKFLOW,
        RetentionInput(),
        "throws away and erases what its time is up for",
        hour=(settings.nightly_hour + 1) % 24,
        jitter=SPREAD,
        catch_up=_A_NIGHT,
    )
    scrubs = () if settings.scrub == "off" else (nightly,)
    return (sweep_plan(), *scrubs, retention, *_digests(settings), *_checks(settings))


def _digests(settings: Settings) -> Sequence[Plan]:
    if settings.digest == "off":
        return ()
    weekly = settings.digest == "weekly"
    what = f"tells admins what happened in the {'week' if weekly else 'day'} before"
    job, hour = DigestInput(weekly=weekly), settings.digest_hour
    return (Plan("digest", DIGEST_WORKFLOW, job, what, hour=hour, monday=weekly, catch_up=_A_NIGHT),)


def _checks(settings: Settings) -> Sequence[Plan]:
    if not settings.vendor_health_every:
        return ()
    every, what = timedelta(seconds=settings.vendor_health_every), "asks every vendor whether it answers"
    return (Plan("vendor-health", VENDOR_HEALTH_WORKFLOW, CheckInput(), what, every=every),)


@dataclass(frozen=True)
class Standing:
    """How a schedule stands. Times are UTC."""

    name: str
    what: str
    paused: bool = False
    note: str = ""
    running: int = 0
    last: datetime | None = None
    next: datetime | None = None


async def standing(flows: Flows, plan: Plan) -> Standing | None:
    """How one stands; None if no worker has made it yet.

    Raises:
        WorkflowsUnavailable: the service did not answer in time.
    """
    with bounded():
        try:
            found = await handle_of(flows, plan.name).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
    recent, following = found.info.recent_actions, found.info.next_action_times
    return Standing(
        name=plan.name,
        what=plan.what,
        paused=found.schedule.state.paused,
        note=found.schedule.state.note or "",
        running=len(found.info.running_actions),
        last=recent[-1].started_at if recent else None,
        next=following[0] if following else None,
    )


class Order(StrEnum):
    """What may be asked of a schedule."""

    TRIGGER = "trigger"
    PAUSE = "pause"
    UNPAUSE = "unpause"


async def give(flows: Flows, name: str, order: Order, *, note: str = "") -> None:
    """Give an order; `note` is kept with a schedule that is paused or goes on.

    Raises:
        NotFound: there is no such schedule.
        WorkflowsUnavailable: the service did not answer in time.
    """
    handle = handle_of(flows, name)
    with bounded(about_a_run=True):
        if order is Order.TRIGGER:
            await handle.trigger()
        elif order is Order.PAUSE:
            await handle.pause(note=note)
        else:
            await handle.unpause(note=note)


async def ensure(flows: Flows, wanted: Sequence[Plan]) -> None:
    """Have exactly this of each of these schedules; one that is paused stays paused. Idempotent.

    Raises:
        WorkflowsUnavailable: the service did not answer in time.
    """
    for plan in wanted:
        with bounded():
            await _ensure(flows, plan)


async def ensure_all(flows: Flows, settings: Settings) -> None:
    """As `ensure`, of all; what is switched off has no schedule any more.

    Raises:
        WorkflowsUnavailable: the service did not answer in time.
    """
    wanted = plans(settings)
    await ensure(flows, wanted)
    for name in {*OPTIONAL} - {plan.name for plan in wanted}:
        with bounded():
            await _drop(handle_of(flows, name))


async def ensure_sweep(flows: Flows, job: SweepInput | None = None, *, every: timedelta = policies.SWEEP_EVERY) -> None:
    """As `ensure`, of the sweep alone.

    Raises:
        WorkflowsUnavailable: the service did not answer in time.
    """
    await ensure(flows, [sweep_plan(job, every)])


def handle_of(flows: Flows, name: str) -> ScheduleHandle:
    """A schedule, whether there is one or not."""
    return flows.client.get_schedule_handle(names.schedule_id(flows.prefix, name))


async def _ensure(flows: Flows, plan: Plan) -> None:
    wanted = plan.schedule(flows.prefix)
    try:
        await flows.client.create_schedule(names.schedule_id(flows.prefix, plan.name), wanted)
    except ScheduleAlreadyRunningError:

        def changed(present: ScheduleUpdateInput) -> ScheduleUpdate:
            wanted.state = present.description.schedule.state
            return ScheduleUpdate(wanted)

        await handle_of(flows, plan.name).update(changed)


async def _drop(handle: ScheduleHandle) -> None:
    try:
        await handle.delete()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
