"""What a workflow's code asks for while it replays a history: its commands, as lines that people can read and compare.

The commands come from the code, not from the history: what the code would do differently shows, also where a replay
lets it pass, such as an activity that is sent to another task queue.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.client import WorkflowHistory
from temporalio.worker import (
    Replayer,
    UnsandboxedWorkflowRunner,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
)

from mediagate.temporal import DATA_CONVERTER

FILE = Path(__file__).parent / "fingerprints.json"
"""Branch → fingerprint, as of the last time that the branch was recorded."""
REPLAY_SECONDS = 30
"""A malformed history can hang the replayer for ever."""

Fingerprint = list[str]


def stored() -> dict[str, Fingerprint]:
    """What the recorded runs asked for."""
    found: dict[str, Fingerprint] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return found


def store(fingerprints: Mapping[str, Fingerprint]) -> None:
    """Keep these in place of what is stored."""
    FILE.write_text(json.dumps(fingerprints, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


async def taken(history: WorkflowHistory, workflows: Sequence[type]) -> Fingerprint:
    """What these workflows ask for on this history; up to the point where they leave it, if they do."""
    watching = _Watching()
    replayer = Replayer(
        workflows=workflows,
        data_converter=DATA_CONVERTER,
        workflow_runner=watching,
        unsandboxed_workflow_runner=watching,
    )
    await asyncio.wait_for(replayer.replay_workflow(history, raise_on_replay_failure=False), REPLAY_SECONDS)
    return watching.lines


class _Watching(WorkflowRunner):
    """Runs one workflow as ever, and notes its commands."""

    def __init__(self) -> None:
        self._inner = UnsandboxedWorkflowRunner()
        self.lines: Fingerprint = []

    def prepare_workflow(self, defn: object) -> None:
        self._inner.prepare_workflow(defn)  # type: ignore[arg-type]

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = self._inner.create_instance(det)
        self.lines.append(f"run {det.info.workflow_type}")
        activate, told = instance.activate, _Told()

        def watched(act: WorkflowActivation) -> WorkflowActivationCompletion:
            completion = activate(act)
            lines = (told.line(command) for command in completion.successful.commands)
            self.lines.extend(line for line in lines if line)
            return completion

        instance.activate = watched  # type: ignore[method-assign]
        return instance


class _Told:
    """Commands in words. Those that cancel name what they cancel by a number of the run."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, int], str] = {}

    def line(self, command: WorkflowCommand) -> str:
        """Empty for answers to queries, which are no part of a run."""
        kind = command.WhichOneof("variant") or ""
        body: Any = getattr(command, kind, None)
        match kind, body:
            case "respond_to_query", _:
                return ""
            case "schedule_activity", activity:
                return self._named(
                    "activity", activity.seq, f"{activity.activity_type} on {_role(activity.task_queue)}"
                )
            case "schedule_local_activity", activity:
                return self._named("local activity", activity.seq, activity.activity_type)
            case "start_timer", timer:
                return self._named("timer", timer.seq, _summary(command))
            case "start_child_workflow_execution", child:
                return self._named("child", child.seq, child.workflow_type)
            case ("request_cancel_activity" | "request_cancel_local_activity" | "cancel_timer") as cancel, gone:
                what = {"cancel_timer": "timer", "request_cancel_activity": "activity"}.get(cancel, "local activity")
                return f"cancel {what} {self._names[what, gone.seq]}"
            case "set_patch_marker", patch:
                return f"patch {patch.patch_id}{' (deprecated)' if patch.deprecated else ''}"
            case "upsert_workflow_search_attributes", attributes:
                return f"attributes {', '.join(sorted(attributes.search_attributes.indexed_fields))}"
            case "update_response", answer:
                return f"update {answer.WhichOneof('response')}"
            case "fail_workflow_execution", failed:
                return f"fail {failed.failure.application_failure_info.type}".strip()
        return kind.removesuffix("_workflow_execution").replace("_", " ")

    def _named(self, what: str, number: int, name: str) -> str:
        self._names[what, number] = name
        return f"{what} {name}".strip()


def _role(task_queue: str) -> str:
    """The queue's name without the prefix, which differs between deployments."""
    return task_queue.partition("-")[2]


def _summary(command: WorkflowCommand) -> str:
    data = command.user_metadata.summary.data
    return str(json.loads(data)) if data else ""
