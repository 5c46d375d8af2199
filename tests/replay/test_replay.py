"""Recorded runs must be understood by the workflow code of today: what it would do differently fails here."""

import asyncio
import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from mediagate.temporal import DATA_CONVERTER
from tests.replay import corpus
from tests.replay.branches import BRANCHES
from worker import WORKFLOWS
from workflows.messages import StepResult, SweepInput, SweepResult, UploadInput, UploadResult
from workflows.sweep import SweepWorkflow
from workflows.upload import UploadWorkflow

REPLAY_SECONDS = 30
"""A malformed history can hang the replayer for ever."""

FORBIDDEN = ("whsec_", "signature", "Bearer ", "X-Amz-", "upload_token", "http://", "https://", "/site-packages/")
"""What no history may hold: secrets, signed URLs, paths of a machine."""


async def replay(history: WorkflowHistory, *workflows: type) -> Exception | None:
    """What is wrong with the history in the eyes of these workflows; None if nothing is."""
    replayer = Replayer(workflows=workflows or WORKFLOWS, data_converter=DATA_CONVERTER)
    result = await asyncio.wait_for(
        replayer.replay_workflow(history, raise_on_replay_failure=False), timeout=REPLAY_SECONDS
    )
    return result.replay_failure


class TestCorpus:
    def test_has_a_history_of_every_branch_and_no_other(self) -> None:
        assert {path.stem for path in corpus.recorded()} == set(BRANCHES)

    @pytest.mark.parametrize("path", corpus.recorded(), ids=lambda path: path.stem)
    async def test_is_understood_by_the_workflows_of_today(self, path: Path) -> None:
        assert await replay(corpus.load(path)) is None

    def test_has_a_history_of_every_workflow_of_the_worker(self) -> None:
        kinds = {kind_of(corpus.load(path)) for path in corpus.recorded()}
        assert kinds == {each.__name__ for each in WORKFLOWS}

    @pytest.mark.parametrize("path", corpus.recorded(), ids=lambda path: path.stem)
    def test_comes_from_a_real_server_and_is_whole(self, path: Path) -> None:
        events = corpus.load(path).events
        completed = [e.workflow_task_completed_event_attributes for e in events]
        assert any(attributes.sdk_metadata.core_used_flags for attributes in completed)
        assert [event.event_id for event in events] == list(range(1, len(events) + 1))

    @pytest.mark.parametrize("path", corpus.recorded(), ids=lambda path: path.stem)
    def test_holds_no_secret_no_signed_address_and_no_machine(self, path: Path) -> None:
        document = json.loads(path.read_text(encoding="utf-8"))
        texts = "\n".join(strings(document))
        assert [word for word in FORBIDDEN if word in texts] == []
        assert set(values(document, "identity")) <= {corpus.WORKER}


@workflow.defn(name="SweepWorkflow", sandboxed=False)
class SweepThatPausesFirst(SweepWorkflow):
    """A step more."""

    @workflow.run
    async def run(self, sweep: SweepInput) -> SweepResult:
        await workflow.sleep(timedelta(seconds=1))
        return await super().run(sweep)


@workflow.defn(name="SweepWorkflow", sandboxed=False)
class SweepThatDoesNothing:
    """A step less."""

    @workflow.run
    async def run(self, sweep: SweepInput) -> SweepResult:
        return SweepResult()


@workflow.defn(name="UploadWorkflow", sandboxed=False)
class UploadThatMakesNoPictures(UploadWorkflow):
    """The same steps but the first."""

    @workflow.init
    def __init__(self, upload: UploadInput) -> None:
        super().__init__(upload)

    @workflow.run
    async def run(self, upload: UploadInput) -> UploadResult:
        return await super().run(upload)

    async def _verify_and_render(self) -> StepResult | None:
        return None


class TestTeeth:
    @pytest.mark.parametrize(
        ("branch", "changed"),
        [
            ("sweep", SweepThatPausesFirst),
            ("sweep", SweepThatDoesNothing),
            ("approved", UploadThatMakesNoPictures),
        ],
    )
    async def test_code_that_would_do_something_else_is_noticed(self, branch: str, changed: type) -> None:
        failure = await replay(corpus.load(corpus.path_of(branch)), changed)
        assert isinstance(failure, workflow.NondeterminismError)


def kind_of(history: WorkflowHistory) -> str:
    """The workflow that the history is of."""
    return history.events[0].workflow_execution_started_event_attributes.workflow_type.name


def strings(value: Any) -> Iterator[str]:
    """Every string in the document; payloads, which are base64, in clear as well."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "data" and isinstance(inner, str):
                yield base64.b64decode(inner).decode("utf-8", "replace")
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def values(value: Any, name: str) -> Iterator[str]:
    """Every value of fields of this name."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if key == name:
            yield inner
        elif isinstance(inner, dict | list):
            yield from values(inner, name)
