"""Finding `pg_dump` and `pg_restore` of the right version: on PATH, where packages put them, else the local stack's."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from db.programs import Programs
from mediagate.errors import NotFound

_PACKAGED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")


def find_programs(major: int) -> Programs:
    """Those of the server's own major version, else the oldest newer ones: older ones refuse to dump it.

    Raises:
        NotFound: there are none; the message says what to install.
    """
    found = [programs for folder in _folders() if (programs := _programs(folder)) and programs.major >= major]
    if not found:
        raise NotFound(
            f"There is no pg_dump of PostgreSQL {major} or newer here: install the package postgresql-client-{major},"
            " or put its programs on PATH."
        )
    return min(found, key=lambda programs: programs.major)


def _folders() -> Iterator[Path]:
    if on_path := shutil.which("pg_dump"):
        yield Path(on_path).parent
    for pattern in _PACKAGED:
        yield from sorted(Path("/").glob(pattern.removeprefix("/")))
    try:
        from devstack.errors import StackFailed
        from devstack.postgres import find_install
    except ImportError:  # a production install has none of the stack's packages
        return
    try:
        yield find_install().bin
    except StackFailed:
        return


def _programs(folder: Path) -> Programs | None:
    dump, restore = folder / "pg_dump", folder / "pg_restore"
    try:
        said = subprocess.run([dump, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"\) (\d+)", said)
    return Programs(pg_dump=dump, pg_restore=restore, major=int(version[1])) if version and restore.exists() else None
