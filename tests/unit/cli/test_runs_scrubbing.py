"""Histories without what people wrote: what goes, what stays, and that they are still understood."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory

from mediagate.errors import InvalidRequest
from tests.replay import corpus
from tests.replay.test_replay import SweepThatDoesNothing
from worker import RUNNER, WORKFLOWS
from workflows.operations.replaying import Outcome, check, read_history
from workflows.operations.scrubbing import known_words, scrubbed

ID = "3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b"
SECRET = "my.cat_photo"

WORDS = known_words()


def payloads(*values: Any) -> Payloads:
    return Payloads(
        payloads=[Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(one).encode()) for one in values]
    )


def signalled(*values: Any) -> HistoryEvent:
    event = HistoryEvent(event_id=1)
    event.workflow_execution_signaled_event_attributes.signal_name = "moderation_event"
    event.workflow_execution_signaled_event_attributes.identity = "ada@laptop"
    event.workflow_execution_signaled_event_attributes.input.CopyFrom(payloads(*values))
    return event


def scrub(*values: Any) -> list[Any]:
    """The arguments of a signal afterwards."""
    (event,) = scrubbed("media-a", [signalled(*values)], WORDS).events
    given = event.workflow_execution_signaled_event_attributes.input.payloads
    return [json.loads(one.data) for one in given]


class TestPayloads:
    @pytest.mark.parametrize(
        "value",
        [
            pytest.param({"media_id": ID}, id="an id"),
            pytest.param({"workflow_id": f"media-{ID}"}, id="a workflow id"),
            pytest.param({"verdict": "approve", "status": "in_review", "library": "lib-1"}, id="codes"),
            pytest.param({"tracking_id": "0" * 32}, id="a tracking id of ours"),
            pytest.param({"at": "2026-01-31T12:00:00.123456Z", "due": "2026-01-31", "wait": "PT10M"}, id="times"),
            pytest.param(
                {"scores": {"nudity": 0.6}, "final": True, "none": None, "round": 3, "empty": ""}, id="values"
            ),
        ],
    )
    def test_what_is_harmless_stays(self, value: dict[str, Any]) -> None:
        assert scrub(value) == [value]

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param({"filename": SECRET}, id="a file name"),
            pytest.param({"library": f"../{SECRET}"}, id="no name of a library"),
            pytest.param({"tracking_id": SECRET}, id="somebody else's tracking id"),
            pytest.param({"labels": [SECRET]}, id="in a list"),
            pytest.param({"note": {"a": {"b": SECRET}}}, id="deep down"),
            pytest.param({"scores": {SECRET: 0.5}}, id="a name of a field"),
            pytest.param({"raw": {"mycat": SECRET}}, id="what a vendor sent"),
            pytest.param(SECRET, id="alone"),
            pytest.param(f"media-{ID} {SECRET}", id="behind an id"),
            pytest.param({"at": f"2026-01-31 {SECRET}"}, id="behind a time"),
        ],
    )
    def test_what_people_wrote_goes(self, value: Any) -> None:
        assert SECRET not in json.dumps(scrub(value))

    def test_what_was_equal_stays_equal(self) -> None:
        first, second = scrub({"vendor": "hive", "by": "ada"}, {"vendor": "hive", "by": "bob"})
        assert first["vendor"] == second["vendor"] != first["by"] != second["by"]

    def test_what_cannot_be_looked_into_goes(self) -> None:
        event = signalled()
        sealed = Payload(metadata={"encoding": b"binary/encrypted", "key": b"k1"}, data=SECRET.encode())
        event.workflow_execution_signaled_event_attributes.input.payloads.append(sealed)
        assert SECRET not in str(scrubbed("media-a", [event], WORDS).events)


class TestEvents:
    def test_names_of_people_and_machines_go_and_names_of_types_stay(self) -> None:
        (event,) = scrubbed("media-a", [signalled()], WORDS).events
        attributes = event.workflow_execution_signaled_event_attributes
        assert (attributes.signal_name, attributes.identity) == ("moderation_event", "text-1")

    def test_summaries_headers_and_stack_traces_go_and_the_kind_of_a_failure_stays(self) -> None:
        event = HistoryEvent(event_id=1)
        event.user_metadata.summary.CopyFrom(payloads(SECRET).payloads[0])
        failed = event.activity_task_failed_event_attributes
        failed.failure.CopyFrom(Failure(message=SECRET, stack_trace=SECRET, cause=Failure(message=SECRET)))
        failed.failure.application_failure_info.type = "ObjectMissing"
        failed.failure.application_failure_info.details.CopyFrom(payloads(SECRET))
        started = HistoryEvent(event_id=2)
        started.workflow_execution_started_event_attributes.header.fields["trace"].data = SECRET.encode()
        started.workflow_execution_started_event_attributes.memo.fields["m"].CopyFrom(payloads(SECRET).payloads[0])
        history = scrubbed("media-a", [event, started], WORDS)
        assert SECRET not in in_clear(history)
        kept = history.events[0].activity_task_failed_event_attributes.failure
        assert kept.application_failure_info.type == "ObjectMissing"

    def test_the_original_is_left_alone(self) -> None:
        event = signalled({"filename": SECRET})
        before = event.SerializeToString(deterministic=True)
        scrubbed("media-a", [event], WORDS)
        assert event.SerializeToString(deterministic=True) == before


class TestCorpus:
    @pytest.mark.parametrize("path", corpus.recorded(), ids=lambda path: path.stem)
    async def test_every_branch_is_still_understood_and_holds_no_text(self, path: Path) -> None:
        history = corpus.load(path)
        clean = scrubbed(history.workflow_id, history.events, WORDS)
        checked = await check(read_history(clean.to_json(), source=path.name), WORKFLOWS, RUNNER)
        assert (checked.outcome, checked.detail) == (Outcome.FITS, "")
        sentences = [text for text in texts(in_clear(clean)) if " " in text and text not in WORDS]
        assert sentences == []


class TestCheck:
    async def test_code_that_would_do_something_else_is_told(self) -> None:
        checked = await check(corpus.load(corpus.path_of("sweep")), [SweepThatDoesNothing], RUNNER)
        assert (checked.outcome, checked.workflow_type) == (Outcome.BREAKS, "SweepWorkflow")
        assert checked.detail.startswith("Nondeterminism error:")

    async def test_a_workflow_that_there_is_no_more_breaks(self) -> None:
        others = [one for one in WORKFLOWS if one.__name__ != "SweepWorkflow"]
        assert (await check(corpus.load(corpus.path_of("sweep")), others, RUNNER)).outcome is Outcome.BREAKS

    async def test_one_that_finds_no_end_is_given_up(self) -> None:
        history = corpus.load(corpus.path_of("sweep"))
        assert (await check(history, WORKFLOWS, RUNNER, patience=0)).outcome is Outcome.HANGS

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"events": []}', '{"events": [{"eventId": "2"}]}', "x" * 100])
    def test_what_is_no_history_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidRequest, match=r"x\.json is no"):
            read_history(text, source="x.json")


def in_clear(history: WorkflowHistory) -> str:
    """A history with its payloads in clear."""
    text = history.to_json()
    return "\n".join(
        [text, *(base64.b64decode(one).decode() for one in re.findall(r'"data": ?"([A-Za-z0-9+/=]*)"', text))]
    )


def texts(document: str) -> list[str]:
    """What stands between quotation marks."""
    return re.findall(r'"((?:[^"\\]|\\.)*)"', document)
