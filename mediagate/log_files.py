"""Log files that rotate, one for each process."""

import fcntl
import itertools
import logging.handlers
import os
from pathlib import Path
from typing import IO


def rotating(folder: Path, process: str, *, max_bytes: int, keep: int) -> logging.Handler:
    """A handler that writes `<process>.log` in a folder, `<process>-2.log` and so on while others of its name live.

    A file that would grow beyond `max_bytes` is put aside as `.1`; of those put aside, `keep` stay.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        path = folder / (f"{process}.log" if number == 1 else f"{process}-{number}.log")
        lock = path.with_suffix(".lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return _Locked(path, lock, max_bytes=max_bytes, keep=keep)
    raise AssertionError


class _Locked(logging.handlers.RotatingFileHandler):
    """Its lock is on a file beside the log, which keeps its name when the log is put aside."""

    def __init__(self, path: Path, lock: IO[str], *, max_bytes: int, keep: int) -> None:
        super().__init__(path, maxBytes=max_bytes, backupCount=keep, encoding="utf-8")
        self._lock_file = lock

    def _open(self) -> IO[str]:  # type: ignore[override]
        # Lines carry ids of people's uploads: nobody but the gate's own user reads them.
        return os.fdopen(
            os.open(self.baseFilename, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600), "a", encoding="utf-8"
        )

    def close(self) -> None:
        """Give the name up as well."""
        super().close()
        self._lock_file.close()
