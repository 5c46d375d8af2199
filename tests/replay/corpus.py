"""The recorded histories: where they are, how they are read, and what is taken out of them before they are kept.

Taken out: worker identities (they name a machine), stack traces (they name paths) and nothing else; the decisions of
the workflow code, the payloads and the SDK's flags stay as the server recorded them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory

FOLDER = Path(__file__).parent / "histories"
WORKER = "worker"
"""Stands for every identity."""


def load(path: Path) -> WorkflowHistory:
    """A recorded history."""
    return WorkflowHistory.from_json(path.stem, path.read_text(encoding="utf-8"))


def path_of(branch: str) -> Path:
    """Where the history of a branch is kept."""
    return FOLDER / f"{branch}.json"


def recorded() -> list[Path]:
    """Every file of the corpus."""
    return sorted(FOLDER.glob("*.json"))


def scrubbed(history: WorkflowHistory) -> str:
    """The history as JSON, one field a line, without what names the machine that it was recorded on."""
    document = json.loads(history.to_json())
    identities = set(_identities(document))
    text = json.dumps(_without_traces(document), indent=1, sort_keys=True)
    for identity in sorted(identities, key=len, reverse=True):
        text = text.replace(identity, WORKER)
    return text + "\n"


def _identities(value: Any) -> Iterator[str]:
    for key, inner in _items(value):
        if key == "identity" and isinstance(inner, str) and inner:
            yield inner
        yield from _identities(inner)


def _without_traces(value: Any) -> Any:
    if isinstance(value, dict):
        if "userMetadata" in value:  # its details link to the API for people; no replay reads them
            value = {**value, "userMetadata": {k: v for k, v in value["userMetadata"].items() if k != "details"}}
        return {key: _without_traces(inner) for key, inner in value.items() if key != "stackTrace"}
    return [_without_traces(inner) for inner in value] if isinstance(value, list) else value


def _items(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return [("", inner) for inner in value] if isinstance(value, list) else []
