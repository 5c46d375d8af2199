"""Brings the flags of the database to a process, within moments of each change, and its statistics back."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from sqlalchemy.exc import SQLAlchemyError

from db.session import Database
from db.tables import FeatureFlag
from db.tables.flags import FLAG_CHANGES
from mediagate.errors import MediagateError
from mediagate.flagging import Flags
from mediagate.flags import Flag

log = structlog.get_logger()

POLL_EVERY = 30.0
"""Seconds after which the flags are read even if nobody told of a change: a pooler may swallow that."""
FLUSH_EVERY = 60.0
FIRST_LOOK = 2.0
"""Seconds that a start waits for the flags; afterwards it goes on with the code's defaults."""
SOONEST, LATEST = 0.2, 15.0
"""Seconds between two attempts to listen; each failure doubles them."""
_CONNECTION: dict[str, str | int] = {
    "application_name": "mediagate-flags",
    "connect_timeout": 5,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


class FlagFeed:
    """Keeps a process's flags as the database has them. While that is away they stay as they were last."""

    def __init__(self, db: Database, url: str, flags: Flags) -> None:
        self._db, self._flags = db, flags
        self._url = make_conninfo(url, **_CONNECTION)
        self.looked = asyncio.Event()
        """Set once the database was asked for the first time, whatever became of it."""

    async def follow(self) -> None:
        """Listen for changes until cancelled, on a connection of its own."""
        wait = SOONEST
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {FLAG_CHANGES}")
                    while True:  # listened first, so that no change falls between
                        if await self.load():
                            wait = SOONEST
                        async for _ in connection.notifies(timeout=POLL_EVERY, stop_after=1):
                            pass
            except (psycopg.Error, OSError) as error:
                log.warning("flags.not_listening", error=type(error).__name__)
            await self.load()
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311  # only spreads the processes
            wait = min(wait * 2, LATEST)

    async def load(self) -> bool:
        """Read the flags; False if that could not be done, and what was known stays. Never raises."""
        try:
            async with self._db.transaction() as tx:
                rows = await tx.flags.all()
        except (MediagateError, SQLAlchemyError, OSError) as error:
            if not self._flags.provider.stale:
                log.warning("flags.stale", error=type(error).__name__)
            self._flags.provider.mark(stale=True)
            return False
        finally:
            self.looked.set()
        self._flags.provider.replace(flag for row in rows if (flag := _readable(row)))
        self._flags.provider.mark(stale=False)
        return True

    async def keep_counts(self) -> None:
        """Store statistics every minute until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Store what was counted; what cannot be stored is kept for the next time. Never raises."""
        if not (counts := self._flags.tally.take()):
            return
        try:
            async with self._db.transaction() as tx:
                await tx.flags.count(datetime.now(UTC).date(), counts)
        except (MediagateError, SQLAlchemyError, OSError) as error:
            self._flags.tally.give_back(counts)
            log.warning("flags.counts_not_kept", error=type(error).__name__)


def _readable(row: FeatureFlag) -> Flag | None:
    """None for what only a newer release understands: the code's default holds then."""
    try:
        return row.flag
    except ValueError:
        log.error("flags.unreadable", flag=row.name, version=row.version)
        return None


@asynccontextmanager
async def open_flags(db: Database, url: str, *, environment: str) -> AsyncIterator[Flags]:
    """A process's flags, kept up to date inside the block. Waits for them for 2 s at most.

    Args:
        url: libpq URL of the database, for a connection beside the pool.
        environment: as in the settings.
    """
    flags = Flags(environment=environment)
    feed = FlagFeed(db, url, flags)
    tasks = [asyncio.create_task(feed.follow(), name="flags"), asyncio.create_task(feed.keep_counts(), name="counts")]
    with suppress(TimeoutError):
        await asyncio.wait_for(feed.looked.wait(), FIRST_LOOK)
    try:
        yield flags
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(feed.flush(), FIRST_LOOK)
