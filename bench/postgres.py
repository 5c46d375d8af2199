"""A Postgres of a benchmark's own."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from devstack.discard import discard
from devstack.events import Event
from devstack.ports import Ports
from devstack.postgres import Postgres
from devstack.state import Secrets, StateDir, held
from devstack.supervisor import Supervisor


@asynccontextmanager
async def own_postgres() -> AsyncIterator[str]:
    """The URL of an empty database; it and its Postgres are gone at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="mediagate-bench-"))
    state = StateDir.open(folder)
    ports = Ports(state.ports_file, _say_nothing)
    ports.choose(["postgres"])
    supervisor = Supervisor(state, _say_nothing)
    try:
        with held(state):
            secrets = Secrets.load(state)
            postgres = Postgres.of(state, ports.chosen["postgres"], secrets.postgres_password)
            try:
                await supervisor.start(postgres.service())
                yield postgres.url("postgres")
            finally:
                await supervisor.stop()
    finally:
        ports.release()
        discard(folder)


def _say_nothing(event: Event) -> None:
    del event
