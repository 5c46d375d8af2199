"""What the commands on runs share: the way to the service, ids, and a run with its story."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any
from uuid import UUID

import typer
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.envconfig import ClientConfig

from cli.local_stack import adopt_local_stack
from mediagate import temporal
from mediagate.errors import WorkflowsUnavailable
from mediagate.settings import Settings
from workflows import names
from workflows.operations.failures import causes
from workflows.operations.history import Step, steps
from workflows.operations.operator import Operations
from workflows.operations.runs import Run
from workflows.operations.trouble import task_failure

WorkflowId = Annotated[str, typer.Argument(help="Workflow id or media id.")]


async def operations() -> Operations:
    """The operator's way to the Temporal service.

    Raises:
        WorkflowsUnavailable: it does not answer; the message says where it was looked for, and what to do.
    """
    local = adopt_local_stack()
    address = "the configured address"
    try:
        address = ClientConfig.load_client_connect_config().get("target_host", "127.0.0.1:7233")
        service = Operations(await temporal.connect(lazy=True))
        await service.ready()
    except (RuntimeError, WorkflowsUnavailable) as error:
        advice = (
            "See `mediagate doctor`." if local else "Start the stack with `mediagate dev`, or set TEMPORAL_ADDRESS."
        )
        raise WorkflowsUnavailable(f"No Temporal service answers at {address}. {advice}") from error
    return service


def workflow_id_of(given: str) -> str:
    """The workflow id that is meant: a media id is that of its upload."""
    try:
        return names.workflow_id(str(UUID(given)))
    except ValueError:
        return given


@dataclass(frozen=True, slots=True)
class Shown:
    """A run and its story. `details`: what it says it is doing; `failure`: why it failed, outermost cause first;
    `stuck`: why its code fails on this history."""

    run: Run
    steps: Sequence[Step]
    details: str
    failure: Sequence[str]
    stuck: Sequence[str]
    url: str | None

    @classmethod
    def of(cls, run: Run, events: Sequence[HistoryEvent], details: str, namespace: str) -> "Shown":
        """Put it together; `namespace` is that of the service."""
        base = Settings().temporal_ui_url
        path = f"namespaces/{namespace}/workflows/{run.workflow_id}/{run.run_id}"
        return cls(
            run=run,
            steps=steps(events),
            details=details,
            failure=_failure(events),
            stuck=list(failed.causes) if run.task_attempt > 1 and (failed := task_failure(events)) else [],
            url=f"{base.rstrip('/')}/{path}" if base else None,
        )

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        from cli.runs.story import advice

        return {
            **self.run.facts(),
            "attributes": dict(self.run.attributes),
            "details": self.details,
            "url": self.url,
            "pending": [asdict(activity) for activity in self.run.pending],
            "steps": [{**asdict(step), "seconds": step.seconds} for step in self.steps],
            "failure": list(self.failure),
            "stuck": list(self.stuck),
            "next": advice(self),
        }


def _failure(events: Sequence[HistoryEvent]) -> list[str]:
    last = events[-1] if events else None
    if last and last.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
        return causes(last.workflow_execution_failed_event_attributes.failure)
    if last and last.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
        ended = last.workflow_execution_terminated_event_attributes
        return [f"Terminated by {ended.identity or 'somebody'}: {ended.reason or 'no reason given'}."]
    return []
