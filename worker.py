"""The worker process: `python worker.py --role all|flow|io|cpu|vendor`.

SIGTERM or SIGINT drains: nothing new is taken, running activities may finish within `MEDIAGATE_SHUTDOWN_GRACE`
seconds; a second signal quits at once. A fatal error of any worker ends the process with a non-zero code.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker

from activities._border import Border
from activities.deps import Deps
from activities.registry import build_activities
from activities.sources import SourceCache
from db.session import Database
from mediagate import temporal, wiring
from mediagate.access.delivery import DeliverySigner
from mediagate.errors import MediagateError, WorkflowsUnavailable
from mediagate.imaging import MemoryBudget
from mediagate.imaging.pool import PicturePool
from mediagate.processes import leave
from mediagate.settings import Settings
from mediagate.telemetry import configure_logging
from workflows.client import Flows
from workflows.names import DEFAULT_PREFIX, Role, task_queue, vendor_queue
from workflows.policy_run import PolicyRunWorkflow
from workflows.remoderation import RemoderationWorkflow
from workflows.renditions import RebuildWorkflow, RenditionWorkflow
from workflows.sweep import SweepWorkflow
from workflows.takedown import TakedownWorkflow
from workflows.upload import UploadWorkflow

log = structlog.get_logger()

WORKFLOWS = (
    UploadWorkflow,
    RemoderationWorkflow,
    PolicyRunWorkflow,
    TakedownWorkflow,
    RenditionWorkflow,
    RebuildWorkflow,
    SweepWorkflow,
)

VENDOR_SLOTS = 8
"""Calls that wait for somebody else's machine."""
WORKFLOW_TASKS = 20
"""More only queue behind one another: workflow code shares one interpreter."""
DRAIN_MARGIN = 2.0
"""Seconds beyond the grace in which what was cut off may still be reported."""


@asynccontextmanager
async def open_deps(settings: Settings, client: Client, *, prefix: str = DEFAULT_PREFIX) -> AsyncIterator[Deps]:
    """The outside world of the activities, closed at the end of the block."""
    async with AsyncExitStack() as stack:
        db = Database(settings.database_url.get_secret_value(), pool_size=settings.database_pool)
        stack.push_async_callback(db.close)
        store = wiring.open_store(settings)
        stack.callback(store.close)
        vendors = await stack.enter_async_context(wiring.open_vendors(settings))
        purger = await stack.enter_async_context(wiring.open_purger(settings))
        if vault := wiring.open_vault(settings):
            stack.callback(vault.store.close)
        budget = MemoryBudget(settings.memory_budget or _quarter_of_ram())
        pictures = PicturePool(settings.cpu_slots, budget, time_limit=settings.picture_time_limit)
        stack.callback(pictures.close)
        cache = settings.cache_dir or settings.state_dir / "cache" / "sources"
        yield Deps(
            settings=settings,
            db=db,
            store=store,
            sources=SourceCache(cache, store, max_bytes=settings.cache_bytes),
            vendors=vendors,
            mailer=wiring.open_mailer(settings),
            flows=Flows(client, prefix=prefix),
            pictures=pictures,
            signer=DeliverySigner(settings.delivery_secrets),
            purger=purger,
            scanner=wiring.open_scanner(settings),
            vault=vault,
        )


def build_workers(client: Client, deps: Deps, roles: Sequence[Role], *, prefix: str = DEFAULT_PREFIX) -> list[Worker]:
    """One worker for each task queue of these roles, with slots sized by what the role uses up."""
    activities = build_activities(deps)
    # What is taken from a task queue overtakes nothing any more: more slots than the process can serve at once would
    # make urgent work wait behind what was taken before it.
    io_slots = deps.settings.io_slots
    slots = {
        Role.FLOW: WORKFLOW_TASKS,
        Role.IO: io_slots,
        # One more than there are threads: the next picture is downloaded while the cores are busy.
        Role.CPU: deps.settings.cpu_slots + 1,
        Role.VENDOR: VENDOR_SLOTS,
    }
    return [
        Worker(
            client,
            task_queue=queue,
            max_task_queue_activities_per_second=calls_per_second,
            workflows=WORKFLOWS if role is Role.FLOW else (),
            activities=activities[role],
            interceptors=[Border()],
            max_concurrent_workflow_tasks=WORKFLOW_TASKS if role is Role.FLOW else None,
            max_concurrent_activities=None if role is Role.FLOW else slots[role],
            max_concurrent_local_activities=slots[role] if role is Role.FLOW else None,
            workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
            activity_task_poller_behavior=PollerBehaviorAutoscaling(),
            no_remote_activities=role is Role.FLOW,
            graceful_shutdown_timeout=timedelta(seconds=deps.settings.shutdown_grace),
        )
        for role in roles
        for queue, calls_per_second in _queues(role, deps.settings, prefix)
    ]


def _queues(role: Role, settings: Settings, prefix: str) -> list[tuple[str, float | None]]:
    """The task queues of a role and their rates over all workers; a vendor with a rate limit has one of its own."""
    limited = settings.vendors.items() if role is Role.VENDOR else ()
    own = [(vendor_queue(prefix, name), one.calls_per_second) for name, one in limited if one.calls_per_second]
    return [(task_queue(prefix, role), None), *own]


async def run(settings: Settings, roles: Sequence[Role]) -> int:
    """Work until a signal comes; 0 after a clean drain, 1 after a fatal error or if Temporal cannot be reached."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_or_quit, stop, number)
    try:
        client = await temporal.connect(metrics_address=settings.metrics_address)
        if Role.FLOW in roles:
            await Flows(client).ensure_sweep()
    except (RuntimeError, WorkflowsUnavailable) as error:
        log.error("worker.not_started", reason=str(error), cause=str(error.__cause__ or ""))
        return 1
    async with open_deps(settings, client) as deps:
        try:
            if Role.CPU in roles:
                await _try_classifier(deps)
        except MediagateError as error:
            log.error("worker.not_started", reason=str(error), cause=str(error.__cause__ or ""))
            return 1
        if deps.vault is None and Role.IO in roles:
            log.warning("worker.no_evidence", detail="MEDIAGATE_EVIDENCE_KEYS is not set: nothing is sealed.")
        workers = build_workers(client, deps, roles)
        runs = [asyncio.create_task(worker.run(), name=worker.task_queue) for worker in workers]
        log.info("worker.started", queues=[worker.task_queue for worker in workers])
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([*runs, stopped], return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in runs if task.done()]
        for task in failed:
            log.error("worker.fatal", queue=task.get_name(), error=repr(task.exception()))
        log.info("worker.draining", grace=settings.shutdown_grace)
        drain = asyncio.gather(*(worker.shutdown() for worker in workers), *runs, return_exceptions=True)
        if not (await asyncio.wait([drain], timeout=settings.shutdown_grace + DRAIN_MARGIN))[0]:
            log.error("worker.drain_overdue")  # the SDK waits longer than that for a service that does not answer
            os._exit(1)
        outcomes = drain.result()
    log.info("worker.stopped")
    return 1 if failed or any(isinstance(outcome, BaseException) for outcome in outcomes) else 0


async def _try_classifier(deps: Deps) -> None:
    """Load the local model, if any, where it will work: what is wrong with it shows before any upload waits."""
    config = wiring.classifier_config(deps.settings)
    if config:
        from mediagate.classifier import check

        log.info("worker.classifier", loaded=await deps.pictures.run(0, check, config))


def _stop_or_quit(stop: asyncio.Event, number: int) -> None:
    if stop.is_set():
        os._exit(128 + number)
    stop.set()


def _quarter_of_ram() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


def main() -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser(prog="worker.py", description="Run Mediagate's workflows and activities.")
    parser.add_argument(
        "--role",
        choices=["all", *Role],
        default="all",
        help="which task queues to serve: flow (workflows), io (objects, mail), cpu (pictures), vendor, or all of them",
    )
    chosen = parser.parse_args().role
    settings = Settings()
    configure_logging(settings, process=f"worker-{chosen}")
    try:
        settings.require_secrets()
    except ValueError as error:
        sys.exit(f"error: {error}")
    roles = list(Role) if chosen == "all" else [Role(chosen)]
    leave(asyncio.run(run(settings, roles)))


if __name__ == "__main__":
    main()
