"""Every wait, retry and queue of the system on one page.

Infrastructure trouble is retried without end (`UNTIL_IT_WORKS`): an accepted upload is never given up because a disk
or a network is away for a day. What cannot succeed is raised as non-retryable by `activities._border`. No workflow
has an execution timeout or a retry policy of its own.
"""

from datetime import timedelta
from typing import NamedTuple

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityConfig, LocalActivityConfig

from mediagate.moderation.lanes import Lane
from workflows.messages import VendorAsk
from workflows.names import Role, prefix_of, task_queue, vendor_queue


def seconds(n: float) -> timedelta:
    """A duration."""
    return timedelta(seconds=n)


def minutes(n: float) -> timedelta:
    """A duration."""
    return timedelta(minutes=n)


UNTIL_IT_WORKS = RetryPolicy(
    initial_interval=seconds(1), backoff_coefficient=2.0, maximum_interval=seconds(30), maximum_attempts=0
)


class Step(NamedTuple):
    """An activity's queue and limits."""

    role: Role
    config: ActivityConfig


IMAGE_WORK = Step(  # download, check, decode, encode; a file that ends its worker again and again is given up
    Role.CPU,
    ActivityConfig(start_to_close_timeout=minutes(5), heartbeat_timeout=seconds(15), retry_policy=UNTIL_IT_WORKS),
)
VENDOR_SUBMIT = Step(  # a vendor that is away for longer than it is asked leaves the decision to others, or to a person
    Role.VENDOR,
    ActivityConfig(
        retry_policy=RetryPolicy(
            initial_interval=seconds(1), backoff_coefficient=2.0, maximum_interval=minutes(1), maximum_attempts=0
        ),
    ),
)
VENDOR_POLL = Step(  # asked again at the next deadline anyway
    Role.VENDOR,
    ActivityConfig(
        start_to_close_timeout=seconds(30), schedule_to_close_timeout=minutes(2), retry_policy=UNTIL_IT_WORKS
    ),
)
FILING = Step(  # never abandoned half-way: a cancellation waits until the objects and the row agree
    Role.IO,
    ActivityConfig(
        start_to_close_timeout=minutes(15),
        heartbeat_timeout=seconds(15),
        retry_policy=UNTIL_IT_WORKS,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    ),
)
SEALING = Step(  # a restriction that holds already; as long as it is not sealed, `SEALING_ALERT` says so
    Role.IO,
    ActivityConfig(start_to_close_timeout=minutes(15), heartbeat_timeout=seconds(15), retry_policy=UNTIL_IT_WORKS),
)
RENDITIONS = Step(  # several large encodes, AVIF among them; the public has the JPEGs meanwhile, so uploads go first
    Role.CPU,
    ActivityConfig(
        start_to_close_timeout=minutes(15),
        heartbeat_timeout=seconds(15),
        retry_policy=UNTIL_IT_WORKS,
        priority=Priority(priority_key=5),
    ),
)
RECONSIDERING = Step(Role.IO, ActivityConfig(start_to_close_timeout=minutes(1), retry_policy=UNTIL_IT_WORKS))
POLICY_PAGE = Step(Role.IO, ActivityConfig(start_to_close_timeout=minutes(2), retry_policy=UNTIL_IT_WORKS))
STORE_STEP = Step(  # what a cancellation finds under way comes to its end first
    Role.IO,
    ActivityConfig(
        start_to_close_timeout=minutes(1),
        retry_policy=UNTIL_IT_WORKS,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    ),
)
STORE_PAGE = Step(  # objects between stores; uploads go first
    Role.IO,
    ActivityConfig(
        start_to_close_timeout=minutes(60),
        heartbeat_timeout=seconds(30),
        retry_policy=UNTIL_IT_WORKS,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        priority=Priority(priority_key=5),
    ),
)
IMPORT_STEP = Step(  # a few objects, each brought over whole; trouble with a store is an outcome, not a failure
    Role.IO,
    ActivityConfig(
        start_to_close_timeout=minutes(15),
        heartbeat_timeout=seconds(30),
        retry_policy=UNTIL_IT_WORKS,
    ),
)
STALE_PAGE = Step(Role.IO, ActivityConfig(start_to_close_timeout=minutes(1), retry_policy=UNTIL_IT_WORKS))
PURGE = Step(  # as long as caches may show what was taken down, trying goes on; an alert says so after `PURGE_ALERT`
    Role.IO, ActivityConfig(start_to_close_timeout=seconds(30), retry_policy=UNTIL_IT_WORKS)
)
NOTIFICATION = Step(  # the row is written first; a mail that did not go out is sent by the sweep
    Role.IO,
    ActivityConfig(
        start_to_close_timeout=seconds(30), schedule_to_close_timeout=minutes(2), retry_policy=UNTIL_IT_WORKS
    ),
)
SWEEPING = Step(  # the next run of the schedule goes on where this one ended
    Role.IO,
    ActivityConfig(
        start_to_close_timeout=minutes(10),
        heartbeat_timeout=seconds(30),
        retry_policy=RetryPolicy(initial_interval=seconds(2), maximum_attempts=3),
    ),
)
SCRUBBING = Step(  # reads slowly, so that uploads do not suffer, and after them
    Role.IO,
    ActivityConfig(
        start_to_close_timeout=timedelta(hours=4),
        heartbeat_timeout=seconds(30),
        retry_policy=UNTIL_IT_WORKS,
        priority=Priority(priority_key=5),
    ),
)
RETENTION = Step(
    Role.IO,
    ActivityConfig(
        start_to_close_timeout=minutes(30),
        heartbeat_timeout=seconds(30),
        retry_policy=UNTIL_IT_WORKS,
        priority=Priority(priority_key=5),
    ),
)
DIGEST = Step(  # tomorrow another one comes
    Role.IO,
    ActivityConfig(
        start_to_close_timeout=minutes(5), schedule_to_close_timeout=timedelta(hours=6), retry_policy=UNTIL_IT_WORKS
    ),
)
VENDOR_CHECK = Step(Role.VENDOR, ActivityConfig(start_to_close_timeout=minutes(1), retry_policy=UNTIL_IT_WORKS))
PROJECTION = LocalActivityConfig(  # short idempotent writes; beyond 10 s of back-off a timer takes over
    start_to_close_timeout=seconds(10), retry_policy=UNTIL_IT_WORKS, local_retry_threshold=seconds(10)
)

SWEEP_EVERY = minutes(1)
PURGE_ALERT = minutes(5)
"""How long a purge may take before admins are told that caches may still show the picture."""
SEALING_ALERT = minutes(5)
"""How long sealing evidence may take before admins are told that it is not sealed yet."""
PURGE_AGAIN = minutes(1)
"""After which caches are purged once more: an answer that was on its way to one may have arrived after the purge."""
RUN_PAUSED = timedelta(days=30)
"""A run of a policy that is paused for longer ends as cancelled."""

IMPORT_HELD = timedelta(days=7)
"""An import that cannot begin anything for so long, for a quota or a source that is away, pauses itself."""
UPDATE_RPC = seconds(15)
"""How long an API request waits for the outcome of an update."""
START_RPC = seconds(5)
"""How long an API request waits for a start or a signal; the sweep does it later if need be."""


def priority_of(lane: Lane, library: str) -> Priority:
    """What goes first: lanes by their priority, and inside one the libraries in turns. Activities inherit it."""
    return Priority(priority_key=lane.priority, fairness_key=library)


def next_vendor_wait(wait: timedelta) -> timedelta:
    """The wait after a poll without an answer: twice as long, an hour at the most."""
    return min(wait * 2, timedelta(hours=1))


def vendor_submit(ask: VendorAsk) -> ActivityConfig:
    """The options of a submission to this vendor: its time-outs, its queue if its rate is limited."""
    return {
        **_at_vendor(VENDOR_SUBMIT, ask, f"submit to {ask.name or 'the vendor'}"),
        "start_to_close_timeout": ask.call,
        "schedule_to_close_timeout": ask.give_up_after,
    }


def vendor_poll(ask: VendorAsk) -> ActivityConfig:
    """The same of a poll."""
    return _at_vendor(VENDOR_POLL, ask, f"webhook overdue: poll{' ' if ask.name else ''}{ask.name}")


def _at_vendor(step: Step, ask: VendorAsk, summary: str) -> ActivityConfig:
    config = at(step, summary)
    if ask.own_queue:
        config["task_queue"] = vendor_queue(prefix_of(workflow.info().task_queue), ask.name)
    return config


def at(step: Step, summary: str) -> ActivityConfig:
    """The step's options, on the task queue of the running workflow's deployment; the Web UI shows the summary."""
    queue = task_queue(prefix_of(workflow.info().task_queue), step.role)
    return {**step.config, "task_queue": queue, "summary": summary}
