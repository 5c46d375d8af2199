"""The worker process: `python worker.py --role all|flow|io|cpu|vendor`; several roles as `--role io,vendor`.

With `MEDIAGATE_BUILD_ID` its workers are a version of the worker deployment `MEDIAGATE_DEPLOYMENT`, and get work once
that version is promoted or ramped (docs/runbooks/worker-versions.md).

SIGTERM or SIGINT drains: nothing new is taken, running activities may finish within `MEDIAGATE_SHUTDOWN_GRACE`
seconds; a second signal quits at once. A fatal error of any worker ends the process with a non-zero code, and so does
an event loop that stands still for a minute: its metrics port would answer all the same.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta

import structlog
from opentelemetry.sdk.trace import TracerProvider
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import PollerBehaviorAutoscaling, Worker, WorkerDeploymentConfig, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities._border import Border
from activities.deps import Deps
from activities.opening import open_deps
from activities.registry import build_activities
from db.log_sink import DatabaseSink
from mediagate import builds, temporal, tracing, wiring
from mediagate.errors import MediagateError, WorkflowsUnavailable
from mediagate.processes import collect_rarely, ended_if_stuck, leave
from mediagate.scratch import discard_abandoned
from mediagate.settings import Settings
from mediagate.telemetry import configure_logging
from workflows import schedules
from workflows.batch_import import BatchImportWorkflow
from workflows.client import Flows
from workflows.digest import DigestWorkflow
from workflows.names import DEFAULT_PREFIX, Role, task_queue, vendor_queue
from workflows.operations.deployments import Deployments
from workflows.policy_run import PolicyRunWorkflow
from workflows.remoderation import RemoderationWorkflow
from workflows.renditions import RebuildWorkflow, RenditionWorkflow
from workflows.retention import RetentionWorkflow, TrashWorkflow
from workflows.scrub import ScrubWorkflow
from workflows.store_move import StoreMoveWorkflow
from workflows.sweep import SweepWorkflow
from workflows.takedown import TakedownWorkflow
from workflows.upload import UploadWorkflow
from workflows.vendor_health import VendorHealthWorkflow

log = structlog.get_logger()

RUNNER = SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules("workflows"))
"""Loads the modules of workflows once, not anew for each run; tests and replays run them in the strict sandbox."""

WORKFLOWS = (
    UploadWorkflow,
    BatchImportWorkflow,
    RemoderationWorkflow,
    PolicyRunWorkflow,
    TakedownWorkflow,
    RenditionWorkflow,
    RebuildWorkflow,
    SweepWorkflow,
    ScrubWorkflow,
    RetentionWorkflow,
    TrashWorkflow,
    StoreMoveWorkflow,
    DigestWorkflow,
    VendorHealthWorkflow,
)

VENDOR_SLOTS = 8
"""Calls that wait for somebody else's machine."""
WORKFLOW_TASKS = 20
"""More only queue behind one another: workflow code shares one interpreter."""
DRAIN_MARGIN = 2.0
"""Seconds beyond the grace in which what was cut off may still be reported."""
STUCK = 60.0
"""Seconds without a move of the event loop after which a process is beyond help: nothing in it may block so long."""


def build_workers(
    client: Client,
    deps: Deps,
    roles: Sequence[Role],
    *,
    prefix: str = DEFAULT_PREFIX,
    version: WorkerDeploymentVersion | None = None,
    workflows: Sequence[type] = WORKFLOWS,
    runner: WorkflowRunner = RUNNER,
) -> list[Worker]:
    """One worker for each task queue of these roles, with slots sized by what the role uses up.

    `version`: what they are a version of; None: they are unversioned.
    """
    activities = build_activities(deps)
    recorder = temporal.SdkRecorder.of(client)
    recorder.seed({"vendor": deps.settings.vendor_names})
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
            workflows=workflows if role is Role.FLOW else (),
            activities=activities[role],
            interceptors=[Border(recorder)],
            workflow_runner=runner,
            max_concurrent_workflow_tasks=WORKFLOW_TASKS if role is Role.FLOW else None,
            max_concurrent_activities=None if role is Role.FLOW else slots[role],
            max_concurrent_local_activities=slots[role] if role is Role.FLOW else None,
            workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
            activity_task_poller_behavior=PollerBehaviorAutoscaling(),
            no_remote_activities=role is Role.FLOW,
            graceful_shutdown_timeout=timedelta(seconds=deps.settings.shutdown_grace),
            deployment_config=_versioned(version) if version else None,
        )
        for role in roles
        for queue, calls_per_second in _queues(role, deps.settings, prefix)
    ]


def _versioned(version: WorkerDeploymentVersion) -> WorkerDeploymentConfig:
    # Runs wait for days: they go on with the code of the day, which the replay corpus proves that it understands.
    # A pinned run would need its old workers, with all their defects, until it ends (docs/decisions/0024).
    behavior = VersioningBehavior.AUTO_UPGRADE
    return WorkerDeploymentConfig(version=version, use_worker_versioning=True, default_versioning_behavior=behavior)


def _queues(role: Role, settings: Settings, prefix: str) -> list[tuple[str, float | None]]:
    """The task queues of a role and their rates over all workers; a vendor with a rate limit has one of its own."""
    limited = settings.vendors.items() if role is Role.VENDOR else ()
    own = [(vendor_queue(prefix, name), one.calls_per_second) for name, one in limited if one.calls_per_second]
    return [(task_queue(prefix, role), None), *own]


async def run(settings: Settings, roles: Sequence[Role], traces: TracerProvider | None = None) -> int:
    """Work until a signal comes; 0 after a clean drain, 1 after a fatal error or if Temporal cannot be reached."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_or_quit, stop, number)
    try:
        client = await temporal.connect(
            metrics_address=settings.metrics_address, interceptors=tracing.interceptors(traces)
        )
        if Role.FLOW in roles:
            await schedules.ensure_all(Flows(client), settings)
    except (RuntimeError, WorkflowsUnavailable) as error:
        log.error("worker.not_started", reason=str(error), cause=str(error.__cause__ or ""))
        return 1
    async with ended_if_stuck(STUCK), open_deps(settings, client) as deps:
        try:
            if Role.CPU in roles:
                await _try_classifier(deps)
        except MediagateError as error:
            log.error("worker.not_started", reason=str(error), cause=str(error.__cause__ or ""))
            return 1
        if deps.vault is None and Role.IO in roles:
            log.warning("worker.no_evidence", detail="MEDIAGATE_EVIDENCE_KEYS is not set: nothing is sealed.")
        build = builds.build_id(settings)
        version = WorkerDeploymentVersion(settings.deployment, build) if build else None
        if version:
            await _say_whether_current(client, version)
        workers = build_workers(client, deps, roles, version=version)
        collect_rarely()
        runs = [asyncio.create_task(worker.run(), name=worker.task_queue) for worker in workers]
        log.info("worker.started", queues=[worker.task_queue for worker in workers], version=build)
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


async def _say_whether_current(client: Client, version: WorkerDeploymentVersion) -> None:
    """A version that is not promoted waits for work without a word otherwise."""
    try:
        current = await Deployments(client, version.deployment_name).current()
    except MediagateError as error:
        log.warning("worker.routing_unknown", cause=error.message)
        return
    if current != version.build_id:
        log.warning("worker.not_current", current=current, next=f"mediagate deployments promote {version.build_id}")


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


def _roles(given: str) -> tuple[Role, ...]:
    names = {name.strip() for name in given.split(",")}
    if unknown := sorted(names - {"all", *Role}):
        raise argparse.ArgumentTypeError(
            f"no role: {', '.join(unknown) or 'the empty word'}; there are {', '.join(Role)}, all"
        )
    return tuple(role for role in Role if names & {role.value, "all"})


def main() -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser(prog="worker.py", description="Run Mediagate's workflows and activities.")
    parser.add_argument(
        "--role",
        type=_roles,
        default=tuple(Role),
        help="which task queues to serve: flow (workflows), io (objects, mail), cpu (pictures), vendor, several with "
        "commas between them, or all",
    )
    roles: tuple[Role, ...] = parser.parse_args().role
    settings = Settings()
    chosen = "all" if len(roles) == len(Role) else "-".join(roles)
    process = f"worker-{chosen}"
    sink = [DatabaseSink(settings.database_url.get_secret_value())] if settings.log_database else []
    configure_logging(settings, process=process, also=sink)
    try:
        settings.require_secrets()
    except ValueError as error:
        sys.exit(f"error: {error}")
    traces = tracing.open_tracing(settings, process=process)
    discard_abandoned()
    code = asyncio.run(run(settings, roles, traces))
    if traces:
        traces.shutdown()
    leave(code)


if __name__ == "__main__":
    main()
