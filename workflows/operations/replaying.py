"""Would the code of today understand a history? Replays it; nothing is sent anywhere."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from google.protobuf.json_format import ParseError
from temporalio.client import WorkflowHistory
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.worker import Replayer, WorkflowRunner

from mediagate.errors import InvalidRequest
from mediagate.temporal import DATA_CONVERTER

PATIENCE = 30.0
"""Seconds for one history: a malformed one can hang the replayer for ever."""


class Outcome(StrEnum):
    """What became of a replay."""

    FITS = "fits"
    BREAKS = "breaks"
    HANGS = "hangs"


@dataclass(frozen=True, slots=True)
class Checked:
    """A history and whether it fits. `detail`: what the code would do otherwise."""

    workflow_id: str
    run_id: str
    workflow_type: str
    events: int
    outcome: Outcome
    detail: str = ""

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@cache
def _silent() -> Runtime:
    """What does not fit is told by the caller, not in the log of the SDK as well."""
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter="off")))


_MESSAGE = re.compile(r'message: "((?:[^"\\]|\\.)*)"')


def _words(failure: Exception) -> str:
    """What is wrong, without the debugging output of the SDK around it."""
    found = _MESSAGE.search(str(failure))
    return found[1].removeprefix("[TMPRL1100] ") if found else f"{type(failure).__name__}: {failure}"


async def check(
    history: WorkflowHistory, workflows: Sequence[type], runner: WorkflowRunner, *, patience: float = PATIENCE
) -> Checked:
    """Replay one history against these workflows, for `patience` seconds at most."""
    started = history.events[0].workflow_execution_started_event_attributes
    failure: Exception | None = None
    outcome, detail = Outcome.FITS, ""
    replayer = Replayer(workflows=workflows, workflow_runner=runner, data_converter=DATA_CONVERTER, runtime=_silent())
    try:
        replay = replayer.replay_workflow(history, raise_on_replay_failure=False)
        failure = (await asyncio.wait_for(replay, patience)).replay_failure
    except TimeoutError:
        outcome, detail = Outcome.HANGS, f"no end after {patience:g} s: the history, or the code, is broken"
    except (RuntimeError, ValueError) as error:
        failure = error
    if failure:
        outcome, detail = Outcome.BREAKS, _words(failure)
    return Checked(
        history.workflow_id,
        started.original_execution_run_id,
        started.workflow_type.name,
        len(history.events),
        outcome,
        detail,
    )


def read_history(text: str, *, source: str) -> WorkflowHistory:
    """A history as Temporal writes it in JSON (`mediagate runs export`, the Web UI, `temporal workflow show`).

    Raises:
        InvalidRequest: it is none; the message names `source`.
    """
    try:
        history = WorkflowHistory.from_json(source, text)
        started = history.events[0]
    except (ValueError, ParseError, AttributeError, KeyError, IndexError, TypeError) as error:
        raise InvalidRequest(f"{source} is no history: export it with `mediagate runs export`.") from error
    if not started.HasField("workflow_execution_started_event_attributes"):
        raise InvalidRequest(f"{source} is no whole history: its first event is not the start of a run.")
    workflow_id = started.workflow_execution_started_event_attributes.workflow_id or source
    return WorkflowHistory(workflow_id, history.events)
