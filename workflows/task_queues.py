"""How much waits on the task queues of a deployment, and who serves them."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.service import RPCError

from mediagate.errors import WorkflowsUnavailable
from workflows.client import Flows
from workflows.names import Role, task_queue, vendor_queue

USUAL_PRIORITY = 3
"""Temporal's, for tasks of runs that were started without one."""


class QueueState(NamedTuple):
    """A task queue. `queue`: its name without the deployment's prefix; `backlog`: by priority; `oldest`: seconds."""

    queue: str
    backlog: Mapping[int, int]
    oldest: float
    pollers: int


async def describe(flows: Flows, *, vendors: Iterable[str] = ()) -> list[QueueState]:
    """Every role's task queue, and those of vendors that have one of their own. Counts and ages are approximate.

    Raises:
        WorkflowsUnavailable: the service did not answer in time.
    """
    names = {role.value: task_queue(flows.prefix, role) for role in Role}
    names |= {f"{Role.VENDOR.value}-{vendor}": vendor_queue(flows.prefix, vendor) for vendor in vendors}
    return list(await asyncio.gather(*(_describe(flows, short, name) for short, name in names.items())))


async def _describe(flows: Flows, short: str, name: str) -> QueueState:
    workflows = short == Role.FLOW.value
    request = DescribeTaskQueueRequest(
        namespace=flows.client.namespace,
        task_queue=TaskQueue(name=name),
        task_queue_type=(
            TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW if workflows else TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
        ),
        report_stats=True,
    )
    try:
        answer = await flows.client.workflow_service.describe_task_queue(request, timeout=timedelta(seconds=2))
    except (RPCError, RuntimeError) as error:  # the latter of a lazy client that cannot connect
        raise WorkflowsUnavailable from error
    by_priority = {key: stats.approximate_backlog_count for key, stats in answer.stats_by_priority_key.items()}
    return QueueState(
        queue=short,
        backlog=by_priority or {USUAL_PRIORITY: answer.stats.approximate_backlog_count},
        oldest=answer.stats.approximate_backlog_age.ToTimedelta().total_seconds(),
        pollers=len(answer.pollers),
    )
