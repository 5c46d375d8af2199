"""Taking hold of activities that have no outcome yet: try at once, pause, go on, change their options.

Every call is bounded in time. Raises `NotFound` when the activity has its outcome meanwhile, `Conflict` when its state
does not allow it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import Priority, RetryPolicy, WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    ResetActivityRequest,
    UnpauseActivityRequest,
    UpdateActivityOptionsRequest,
)
from temporalio.client import Client

from mediagate.errors import NotFound
from workflows.operations.answers import translated
from workflows.operations.resetting import STEPS
from workflows.operations.runs import Pending, Run

CALL = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Changes:
    """New options of an activity; None stays as it is. `timeout`: of one attempt; `most_attempts`: 0 for no limit;
    `priority`: 1 goes first, 5 last."""

    timeout: timedelta | None = None
    most_attempts: int | None = None
    priority: int | None = None

    def __bool__(self) -> bool:
        return bool(self.facts())

    def facts(self) -> dict[str, float | int]:
        """Those that are given, with the timeout in seconds."""
        given = {"timeout": self.timeout, "most_attempts": self.most_attempts, "priority": self.priority}
        return {
            name: value.total_seconds() if isinstance(value, timedelta) else value
            for name, value in given.items()
            if value is not None
        }

    def options(self) -> ActivityOptions:
        """As the service takes them, together with `mask`."""
        options = ActivityOptions()
        if self.timeout is not None:
            duration = Duration()
            duration.FromTimedelta(self.timeout)
            options.start_to_close_timeout.CopyFrom(duration)
        if self.most_attempts is not None:
            options.retry_policy.CopyFrom(RetryPolicy(maximum_attempts=self.most_attempts))
        if self.priority is not None:
            options.priority.CopyFrom(Priority(priority_key=self.priority))
        return options

    def mask(self) -> FieldMask:
        """Which of the options count."""
        paths = {
            "timeout": "start_to_close_timeout",
            "most_attempts": "retry_policy.maximum_attempts",
            "priority": "priority.priority_key",
        }
        return FieldMask(paths=[paths[name] for name in self.facts()])


NO_CHANGES = Changes()


def chosen(run: Run, wanted: Iterable[str]) -> list[Pending]:
    """The pending activities of a run that are meant: by a step's name (a key of `STEPS`) or an activity's; none
    named: those that are retried or paused.

    Raises:
        NotFound: there are none such; the message names those that there are.
    """
    named = {activity for one in wanted for activity in STEPS.get(one, (one,))}
    if named:
        found = [activity for activity in run.pending if activity.name in named]
    else:
        found = [activity for activity in run.pending if activity.retrying or activity.paused]
    if not found:
        there = ", ".join(f"{one.name} (attempt {one.attempt}, {one.state})" for one in run.pending) or "none at all"
        which = f"of {', '.join(sorted(named))}" if named else "that is retried or paused"
        raise NotFound(f"{run.workflow_id} has no pending activity {which}; pending: {there}.")
    return found


class ActivityOperations:
    """The service's calls on single pending activities."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def try_at_once(self, run: Run, activity: Pending, *, restore: bool = False) -> None:
        """Begin with attempt 1, now; one that is at work is let finish first, one that is paused stays so.

        `restore`: with the options that the workflow gave it.
        """
        request = ResetActivityRequest(
            **self._of(run, activity), reset_heartbeat=True, keep_paused=True, restore_original_options=restore
        )
        with translated(_gone(activity)):
            await self._client.workflow_service.reset_activity(request, retry=True, timeout=CALL)

    async def pause(self, run: Run, activity: Pending, *, reason: str) -> None:
        """Start no further attempt until `unpause`; the present one, if it heartbeats, is asked to stop."""
        request_id = str(uuid5(NAMESPACE_URL, f"pause/{run.run_id}/{activity.activity_id}/{activity.attempt}"))
        request = PauseActivityRequest(**self._of(run, activity), reason=reason, request_id=request_id)
        with translated(_gone(activity)):
            await self._client.workflow_service.pause_activity(request, retry=True, timeout=CALL)

    async def unpause(self, run: Run, activity: Pending) -> None:
        """Go on, with attempt 1. What is not paused stays as it is."""
        request = UnpauseActivityRequest(**self._of(run, activity), reset_attempts=True)
        with translated(_gone(activity)):
            await self._client.workflow_service.unpause_activity(request, retry=True, timeout=CALL)

    async def change(self, run: Run, activity: Pending, changes: Changes) -> None:
        """Give it other options, which hold from its next attempt on."""
        request = UpdateActivityOptionsRequest(
            **self._of(run, activity), activity_options=changes.options(), update_mask=changes.mask()
        )
        with translated(_gone(activity)):
            await self._client.workflow_service.update_activity_options(request, retry=True, timeout=CALL)

    def _of(self, run: Run, activity: Pending) -> dict[str, Any]:
        return {
            "namespace": self._client.namespace,
            "execution": WorkflowExecution(workflow_id=run.workflow_id, run_id=run.run_id),
            "identity": self._client.identity,
            "id": activity.activity_id,
        }


def _gone(activity: Pending) -> str:
    return f"{activity.name} is not pending any more."
