"""Files on their way, in folders of the system's place for temporary files.

A process that is killed cannot tidy up. Its folders are locked while it lives (flock, which ends with the process), so
the next process that starts here can tell which ones nobody uses any more.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "mediagate-scratch-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder; it is gone at the end of the block."""
    folder, lock = _locked()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def discard_abandoned() -> int:
    """Delete the folders of processes that were killed; how many those were."""
    discarded = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # somebody else's, or gone
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
                discarded += 1
            finally:
                os.close(lock)
    return discarded


def _locked() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        with suppress(FileNotFoundError):  # a process that starts took it for abandoned before it was locked
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)
