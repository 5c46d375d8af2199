"""Where the stack keeps things: the cache of built parts, and files that are replaced whole."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devstack.errors import StackFailed

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds `temporal-dev.yaml` and the packages."""


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/mediagate`, by default `~/.cache/mediagate`; made if missing.

    Raises:
        StackFailed: it cannot be made, as for an account without a home.
    """
    configured = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is invalid and to be ignored.
    parent = Path(configured) if configured.startswith("/") else Path("~/.cache").expanduser()
    folder = parent / "mediagate"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StackFailed(
            f"The cache folder {folder} cannot be made ({error.strerror}): set XDG_CACHE_HOME."
        ) from error
    return folder


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if there is no file, or no object in it."""
    try:
        value = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace the file atomically and durably; readable by its owner only."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(value, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes; waits for it as long as it takes. The file stays."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
