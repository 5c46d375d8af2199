"""PostgreSQL's own programs: running one to its end, with the connection in its environment."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from psycopg.pq import Conninfo

from db.session import sqlalchemy_url
from mediagate.errors import BackupFailed
from mediagate.media.values import Value


class Programs(Value):
    """PostgreSQL's own programs, of one major version."""

    pg_dump: Path
    pg_restore: Path
    major: int


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    what: str,
    *,
    watching: Callable[[], None] | None = None,
) -> None:
    """Run a program to its end. Raises BackupFailed with the last lines that it said."""
    try:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise BackupFailed(f"{what}: {error.strerror}: {command[0]}.") from error
    with process:
        while True:
            try:
                _, said = process.communicate(timeout=0.5)
                break
            except subprocess.TimeoutExpired:
                if watching:
                    watching()
            except BaseException:
                process.kill()
                raise
    if process.returncode:
        last = " ".join(line.strip() for line in said.strip().splitlines()[-4:])
        raise BackupFailed(f"{what}: {last or f'{command[0]} ended with code {process.returncode}'}")


def environment(url: str) -> dict[str, str]:
    """The connection for libpq's own programs: command lines are for everybody on the machine to read."""
    options = Conninfo.parse(libpq_url(url).encode())
    return {o.envvar.decode(): o.val.decode() for o in options if o.envvar and o.val}


def libpq_url(url: str) -> str:
    """A database URL in the spelling that libpq takes."""
    return f"postgresql://{sqlalchemy_url(url).partition('://')[2]}"
