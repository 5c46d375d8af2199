"""Histories without what people wrote, so that they can be given away: still to be replayed, still to be counted.

Whatever is not known to be harmless goes. Ids, types, enumerated values, numbers, times and names of fields stay; every
other text becomes `text-<n>`, the same text the same n within a history, so that what was equal stays equal. Summaries,
details, headers, callbacks, links and stack traces go altogether.
"""

import json
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from temporalio.api.common.v1 import Callback, Header, Link, Payload, SearchAttributes
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.history.v1 import HistoryEvent, MarkerRecordedEventAttributes
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.client import WorkflowHistory

from workflows.operations.history import LOCAL_ACTIVITY_MARKER

KEPT = frozenset(
    {
        *("workflow_id", "run_id", "activity_id", "timer_id", "update_id", "request_id", "namespace_id", "id"),
        *("original_execution_run_id", "first_execution_run_id", "continued_execution_run_id", "base_run_id"),
        *("new_execution_run_id", "new_run_id", "protocol_instance_id", "accepted_request_message_id"),
        *("name", "normal_name", "namespace", "workflow_namespace", "parent_workflow_namespace", "type"),
        *("signal_name", "marker_name", "build_id", "deployment_name", "source", "sdk_name", "sdk_version"),
        *("fairness_key", "changed_workflow_task_id"),
    }
)
"""Fields of events whose text is ours or the service's: ids, and names of types, queues and versions."""

_SHAPES = {"tracking_id": re.compile(r"[0-9a-f]{32}"), "library": re.compile(r"[a-z0-9][a-z0-9-]{0,62}")}
"""Ids whose shape alone does not tell them from what people write, by their fields."""

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_HARMLESS = re.compile(
    r"|(?:[a-z-]{1,30}[-:])?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # an id of ours
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.]{5,20}(?:Z|[+-][0-9:]{5,6})?)?"  # a time (ISO 8601)
    r"|-?P[0-9DTHMSWY.]{2,40}"  # a span
)
_GONE = (UserMetadata, Header, Callback, Link)
_SDK_DETAILS = {LOCAL_ACTIVITY_MARKER: {"data"}, "core_patch": {"patch-data"}}
"""What the SDK itself keeps in markers, by their names: ids, types and times."""


def known_words() -> frozenset[str]:
    """Every value of the enumerations of the gate, as far as its modules are loaded: the workflow's must be."""
    kinds, words = [StrEnum], set()
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if kind.__module__.startswith(("mediagate.", "workflows.")):
            words |= {one.value for one in kind}
    return frozenset(words)


def scrubbed(workflow_id: str, events: Iterable[HistoryEvent], words: frozenset[str]) -> WorkflowHistory:
    """A copy of a history without what people wrote. `words`: texts that stay, see `known_words`."""
    scrubber, copies = _Scrubber(words), []
    for event in events:
        copy = HistoryEvent()
        copy.CopyFrom(event)
        scrubber.message(copy)
        copies.append(copy)
    return WorkflowHistory(workflow_id, copies)


class _Scrubber:
    """The texts of one history and what stands for them."""

    def __init__(self, words: frozenset[str]) -> None:
        self._words = words
        self._known: dict[str, str] = {}

    def message(self, message: Message) -> None:
        if isinstance(message, SearchAttributes):
            return  # what the visibility store shows: codes, ids, times
        if isinstance(message, _GONE):
            message.Clear()
        elif isinstance(message, Payload):
            self._payload(message)
        elif isinstance(message, MarkerRecordedEventAttributes):
            self._marker(message)
        else:
            if isinstance(message, TaskQueue) and message.kind == TaskQueueKind.TASK_QUEUE_KIND_STICKY:
                message.name = "sticky"  # it names the worker's machine
            for field, value in message.ListFields():
                self._field(message, field, value)

    def _field(self, message: Message, field: FieldDescriptor, value: Any) -> None:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key in list(value):
                if isinstance(value[key], Message):
                    self.message(value[key])
                else:
                    value[key] = type(value[key])()
        elif field.message_type is not None:
            for one in value if field.is_repeated else (value,):
                self.message(one)
        elif field.type == FieldDescriptor.TYPE_BYTES:
            message.ClearField(field.name)
        elif field.type == FieldDescriptor.TYPE_STRING and field.name not in KEPT:
            if field.is_repeated or field.name == "stack_trace":
                message.ClearField(field.name)
            else:
                setattr(message, field.name, self._text(value))

    def _marker(self, marker: MarkerRecordedEventAttributes) -> None:
        kept = _SDK_DETAILS.get(marker.marker_name, set())
        for key, payloads in marker.details.items():
            if key not in kept:
                self.message(payloads)
        for inner in (marker.header, marker.failure) if marker.HasField("failure") else (marker.header,):
            self.message(inner)

    def _payload(self, payload: Payload) -> None:
        encoding = payload.metadata.get("encoding")
        for name in set(payload.metadata) - {"encoding", "type"}:
            del payload.metadata[name]
        if encoding == b"json/plain":
            payload.data = json.dumps(self._value(json.loads(payload.data)), separators=(",", ":")).encode()
        else:
            payload.data = b""  # nothing, or what cannot be looked into

    def _value(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            if name == "raw":
                return {}  # what a vendor sent: its very names may be people's
            return {
                (key if _FIELD.fullmatch(key) else self._text(key)): self._value(inner, key)
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [self._value(inner, name) for inner in value]
        shape = _SHAPES.get(name)
        if not isinstance(value, str) or (shape and shape.fullmatch(value)):
            return value
        return self._text(value)

    def _text(self, text: str) -> str:
        if text in self._words or _HARMLESS.fullmatch(text):
            return text
        return self._known.setdefault(text, f"text-{len(self._known) + 1}")
