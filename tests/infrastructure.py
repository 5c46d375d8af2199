"""`python -m tests.infrastructure FOLDER`: Postgres, S3, Temporal and mail for one test session.

Its own process, so that the processes of pytest-xdist share it; it ends when its standard input is closed, which the
operating system does for a test session that is killed.
"""

import asyncio
import os
import sys
from pathlib import Path

from devstack.environment import OURS
from devstack.stack import Options, running_stack


async def serve(folder: Path) -> None:
    """Run until standard input ends."""
    async with running_stack(folder, Options(apps=False, time_skipping=True)):
        (folder / "ready").touch()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    for name in [name for name in os.environ if name.startswith(OURS)]:
        del os.environ[name]  # the tests bring their own services, whatever the caller's shell points at
    asyncio.run(serve(Path(sys.argv[1])))
