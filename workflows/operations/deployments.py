"""Versions of the workers: which there are, which one new and waiting runs go to, which may be stopped.

One worker deployment holds the versions of all workers of a gate, whatever their roles (docs/decisions/0024).
Every call is bounded in time. Raises `WorkflowsUnavailable` when the service does not answer.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.deployment.v1 import RoutingConfig, WorkerDeploymentInfo, WorkerDeploymentVersion
from temporalio.api.enums.v1 import RoutingConfigUpdateState, TaskQueueType, WorkerDeploymentVersionStatus
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    DescribeWorkerDeploymentVersionRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
)
from temporalio.client import Client

from mediagate.errors import NotFound, WorkflowsUnavailable
from workflows.names import DEFAULT_PREFIX, Role, task_queue
from workflows.operations.answers import translated

CALL = timedelta(seconds=10)
ACT = timedelta(seconds=30)
"""How long a change of the routing may take."""
LOOK_EVERY = 0.2

CURRENT, RAMPING, DRAINED = "current", "ramping", "drained"
UNUSED = frozenset({"created", "inactive"})
"""Nothing was ever sent to it."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the workers. `percent`: the share of runs that a ramping one gets; `since`: in that status."""

    build_id: str
    status: str
    since: datetime | None
    created: datetime
    percent: float = 0

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Queue:
    """A task queue of a version. `backlog`: roughly how many tasks wait there for a worker."""

    name: str
    kind: str
    backlog: int


@dataclass(frozen=True, slots=True)
class VersionDetails:
    """A version and what it serves.

    `missing`: task queues that every version must serve and this one never did. `open_runs`: that took their last step
    there; `pinned`: of these, how many stay.
    """

    version: Version
    queues: tuple[Queue, ...]
    missing: tuple[str, ...]
    open_runs: int
    pinned: int

    @property
    def drained(self) -> bool:
        """Its workers may be stopped: nothing new is sent to them and nothing needs this version any more."""
        return self.version.status == DRAINED or (self.version.status in UNUSED and not self.pinned)

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.version.facts(),
            "drained": self.drained,
            "open_runs": self.open_runs,
            "pinned": self.pinned,
            "missing": list(self.missing),
            "queues": [asdict(queue) for queue in self.queues],
        }


class Deployments:
    """The versions of one worker deployment. `prefix`: of its task queues."""

    def __init__(self, client: Client, name: str, *, prefix: str = DEFAULT_PREFIX) -> None:
        self.client = client
        self.name = name
        self._queues = tuple(task_queue(prefix, role) for role in Role)

    async def versions(self) -> list[Version]:
        """Every version, newest first; none if no versioned worker ever ran."""
        info = await self._describe()
        if info is None:
            return []
        found = [_version(summary, info.routing_config) for summary in info.version_summaries]
        return sorted(found, key=lambda version: version.created, reverse=True)

    async def current(self) -> str | None:
        """The build id that runs go to; None: unversioned workers get them."""
        info = await self._describe()
        return (info.routing_config.current_deployment_version.build_id or None) if info else None

    async def describe(self, build_id: str) -> VersionDetails:
        """One version. Raises NotFound if no worker of it ever ran."""
        version = next((one for one in await self.versions() if one.build_id == build_id), None)
        if version is None:
            raise NotFound(f"No worker of the version {build_id!r} has run in the deployment {self.name!r}.")
        request = DescribeWorkerDeploymentVersionRequest(
            namespace=self.client.namespace, deployment_version=self._named(build_id), report_task_queue_stats=True
        )
        with translated(f"There is no version {build_id!r}."):
            answer = await self.client.workflow_service.describe_worker_deployment_version(
                request, retry=True, timeout=CALL
            )
        queues = sorted((q.name, _kind(q.type), q.stats.approximate_backlog_count) for q in answer.version_task_queues)
        here = f'TemporalWorkerDeploymentVersion = "{self.name}:{build_id}" AND ExecutionStatus = "Running"'
        served = {name for name, *_ in queues}
        return VersionDetails(
            version,
            tuple(Queue(*queue) for queue in queues),
            tuple(name for name in self._queues if name not in served),
            await self._count(here),
            await self._count(f'{here} AND TemporalWorkflowVersioningBehavior = "Pinned"'),
        )

    async def watch(self, build_id: str, until: Callable[[VersionDetails], bool], *, patience: float) -> VersionDetails:
        """The version, once the condition holds; else as it is after `patience` seconds.

        Raises:
            NotFound: no worker of it showed up.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                if until(details := await self.describe(build_id)) or time.monotonic() >= deadline:
                    return details
            except NotFound:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(LOOK_EVERY)

    async def promote(self, build_id: str, *, force: bool = False) -> str | None:
        """Send new runs, and those that wait, to this version; the build id that had them before.

        The same again changes nothing. `force`: though no worker serves it, or not all that the last one did.

        Raises:
            NotFound: no worker of it ever ran.
            Conflict: its workers do not serve all that those of the current version do.
        """
        request = SetWorkerDeploymentCurrentVersionRequest(
            namespace=self.client.namespace,
            deployment_name=self.name,
            build_id=build_id,
            identity=self.client.identity,
            ignore_missing_task_queues=force,
            allow_no_pollers=force,
        )
        with translated(f"No worker of the version {build_id!r} has run in the deployment {self.name!r}."):
            answer = await self.client.workflow_service.set_worker_deployment_current_version(
                request, retry=True, timeout=ACT
            )
        await self._routed()
        return answer.previous_deployment_version.build_id or None

    async def ramp(self, build_id: str, percent: float) -> None:
        """Send this share of the runs to a version, always the same ones; 0 ends a ramp.

        Raises:
            NotFound: no worker of it ever ran.
            Conflict: it is the current version, or does not serve all that this one does.
        """
        request = SetWorkerDeploymentRampingVersionRequest(
            namespace=self.client.namespace,
            deployment_name=self.name,
            build_id=build_id if percent else "",
            percentage=percent,
            identity=self.client.identity,
        )
        with translated(f"No worker of the version {build_id!r} has run in the deployment {self.name!r}."):
            await self.client.workflow_service.set_worker_deployment_ramping_version(request, retry=True, timeout=ACT)
        await self._routed()

    async def _routed(self) -> None:
        """Return when every task queue knows of a change, which the service answers before."""
        deadline = time.monotonic() + ACT.total_seconds()
        under_way = RoutingConfigUpdateState.ROUTING_CONFIG_UPDATE_STATE_IN_PROGRESS
        while (info := await self._describe()) and info.routing_config_update_state == under_way:
            if time.monotonic() > deadline:
                raise WorkflowsUnavailable("The change is accepted, but not every task queue knows of it yet.")
            await asyncio.sleep(LOOK_EVERY)

    async def _describe(self) -> WorkerDeploymentInfo | None:
        request = DescribeWorkerDeploymentRequest(namespace=self.client.namespace, deployment_name=self.name)
        try:
            with translated("There is no such deployment."):
                answer = await self.client.workflow_service.describe_worker_deployment(
                    request, retry=True, timeout=CALL
                )
        except NotFound:
            return None
        return answer.worker_deployment_info

    async def _count(self, query: str) -> int:
        with translated("There is no such namespace."):
            return (await self.client.count_workflows(query, rpc_timeout=CALL)).count

    def _named(self, build_id: str) -> WorkerDeploymentVersion:
        return WorkerDeploymentVersion(deployment_name=self.name, build_id=build_id)


_SINCE: Mapping[str, str] = {
    CURRENT: "current_since_time",
    RAMPING: "ramping_since_time",
    "draining": "last_deactivation_time",
    DRAINED: "last_deactivation_time",
}


def _version(summary: WorkerDeploymentInfo.WorkerDeploymentVersionSummary, routing: RoutingConfig) -> Version:
    status = WorkerDeploymentVersionStatus.Name(summary.status).rpartition("_")[2].lower()
    since = getattr(summary, _SINCE[status]) if status in _SINCE else None
    return Version(
        build_id=summary.deployment_version.build_id,
        status=status,
        since=since.ToDatetime(tzinfo=UTC) if since else None,
        created=summary.create_time.ToDatetime(tzinfo=UTC),
        percent=round(routing.ramping_version_percentage, 2) if status == RAMPING else 0,
    )


def _kind(kind: TaskQueueType.ValueType) -> str:
    return TaskQueueType.Name(kind).rpartition("_")[2].lower()
