"""What only the deployment's own Temporal service can tell: TEMPORAL_* of this process lead to it."""

from datetime import UTC, datetime, timedelta

from temporalio.client import ScheduleDescription
from temporalio.service import RPCError, RPCStatusCode

from cli.validation.walk import Skip, Walk, Wrong, expect
from mediagate import temporal
from workflows import names
from workflows.client import Flows

OVERDUE = timedelta(minutes=5)
"""So much later than planned a scheduled run has not begun: nobody is there to begin it."""


async def schedules(walk: Walk) -> str:
    """The sweep's schedule is there, not paused, and its runs begin."""
    if not walk.options.inside:
        raise Skip("only with --inside")
    return await sweeps(Flows(await temporal.connect(lazy=True)))


async def sweeps(flows: Flows) -> str:
    """As above, of one deployment's service."""
    schedule = names.sweep_schedule_id(flows.prefix)
    try:
        found = await flows.client.get_schedule_handle(schedule).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise Wrong(f"{schedule} does not exist") from error
        raise Wrong(f"the Temporal service does not answer: {error.message}") from error
    except RuntimeError as error:
        raise Wrong(f"the Temporal service does not answer: {error}") from error
    return _runs(found)


def _runs(found: ScheduleDescription) -> str:
    expect(not found.schedule.state.paused, f"{found.id} is paused: {found.schedule.state.note or 'no reason given'}")
    last = max((action.started_at for action in found.info.recent_actions), default=None)
    following = min(found.info.next_action_times, default=None)
    expect(following is not None, f"{found.id} plans no further run")
    late = datetime.now(UTC) - (last or found.info.created_at)
    every = found.schedule.spec.intervals[0].every if found.schedule.spec.intervals else timedelta(days=1)
    expect(late < every + OVERDUE, f"{found.id} began no run for {late.total_seconds() / 60:.0f} min")
    return f"{found.id}: {found.info.num_actions} runs, the last {late.total_seconds():.0f} s ago"
