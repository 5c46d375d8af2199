"""`mediagate demo` as a user runs it for the first time: on an empty state folder, to its end."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.discard import discard
from devstack.state import StateDir, holder

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDir]:
    """A fresh state folder; its database is removed afterwards, wherever it stands."""
    yield StateDir.open(tmp_path / "state")
    discard(tmp_path / "state")


def run_demo(state: StateDir, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """One `mediagate demo --json …` to its end, with nothing of the caller's services."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEDIAGATE_", "TEMPORAL_"))}
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "demo", "--json", *arguments],
        env=kept | {"MEDIAGATE_STATE_DIR": str(state.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


class TestDemo:
    def test_on_a_fresh_state_folder_every_expectation_holds_and_nothing_keeps_running(self, state: StateDir) -> None:
        finished = run_demo(state)

        document: dict[str, Any] = json.loads(finished.stdout)
        files = {file["file"]: file for file in document["files"]}
        assert {name: file["mismatch"] for name, file in files.items() if not file["as_expected"]} == {}
        assert [check for check in document["checks"] if check["result"] != "ok"] == []
        assert (finished.returncode, document["ok"]) == (0, True)
        assert {file["outcome"] for file in files.values()} == {"approved", "rejected", "quarantined", "refused"}
        assert {file["how"] for file in files.values()} == {"presigned", "multipart"}
        assert files["review.jpg"]["decided_by"].startswith("person:")
        assert holder(state) is None
        assert list(state.run.iterdir()) == []

    def test_a_path_that_is_not_there_is_named_before_anything_starts(self, state: StateDir) -> None:
        finished = run_demo(state, "no-such-folder")

        assert finished.returncode == 1
        assert "no-such-folder" in json.loads(finished.stdout)["error"]["detail"]
        assert "starting" not in finished.stderr
