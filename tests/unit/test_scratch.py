"""Files on their way: gone with the block, or, if their process was killed, with the next process that starts."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mediagate.scratch import PREFIX, discard_abandoned, scratch_folder

HOLD = """
from mediagate.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "object").write_bytes(b"x")
    print(folder, flush=True)
    input()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_gone_at_the_end(place: Path) -> None:
    with scratch_folder() as folder:
        (folder / "object").write_bytes(b"x")
        assert list(place.iterdir()) == [folder]
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_discarded_and_nothing_else(place: Path) -> None:
    (place / "other").mkdir()
    (place / f"{PREFIX}file").touch()
    killed = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env={**os.environ, "TMPDIR": str(place)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with killed, scratch_folder() as mine:
        assert killed.stdout
        theirs = Path(killed.stdout.readline().strip())
        assert discard_abandoned() == 0
        assert (theirs / "object").read_bytes() == b"x"
        killed.kill()
        killed.wait()
        assert discard_abandoned() == 1
        assert sorted(path.name for path in place.iterdir()) == sorted([mine.name, f"{PREFIX}file", "other"])
