"""The database connection, and the one place that commits."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property

from sqlalchemy import event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from db.committed import run_actions
from db.repositories.access import AccessRepository
from db.repositories.audit import AuditRepository
from db.repositories.banks import BankRepository
from db.repositories.census import CensusRepository
from db.repositories.chains import ChainRepository
from db.repositories.checks import CheckRepository
from db.repositories.decisions import DecisionRepository
from db.repositories.evidence import EvidenceRepository
from db.repositories.fingerprints import FingerprintRepository
from db.repositories.flags import FlagRepository
from db.repositories.imports import ImportRepository
from db.repositories.inbox import InboxRepository
from db.repositories.logs import LogRepository
from db.repositories.media import MediaRepository
from db.repositories.notifications import NotificationRepository
from db.repositories.placements import PlacementRepository
from db.repositories.policies import PolicyRepository
from db.repositories.reports import ReportRepository
from db.repositories.scrubs import ScrubRepository
from db.repositories.storage import StorageRepository
from db.repositories.trash import TrashRepository
from db.repositories.vendors import VendorRepository
from mediagate import metrics
from mediagate.errors import DatabaseUnavailable
from mediagate.storage.placement import Placement

OVERFLOW = 5
"""Connections that a pool may have for a while beyond those that it keeps."""


class Transaction:
    """One unit of work: the repositories over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    @cached_property
    def media(self) -> MediaRepository:
        """Media items, variants, timelines, batches."""
        return MediaRepository(self.session)

    @cached_property
    def imports(self) -> ImportRepository:
        """Imports of many objects."""
        return ImportRepository(self.session)

    @cached_property
    def fingerprints(self) -> FingerprintRepository:
        """Exact and near duplicates."""
        return FingerprintRepository(self.session)

    @cached_property
    def banks(self) -> BankRepository:
        """Hash banks: what is in them, and what they hit."""
        return BankRepository(self.session)

    @cached_property
    def decisions(self) -> DecisionRepository:
        """What was decided."""
        return DecisionRepository(self.session)

    @cached_property
    def policies(self) -> PolicyRepository:
        """Libraries' policies, their shadows, what people taught, runs of policies."""
        return PolicyRepository(self.session)

    @cached_property
    def placements(self) -> PlacementRepository:
        """Which store a library is in."""
        return PlacementRepository(self.session)

    @cached_property
    def flags(self) -> FlagRepository:
        """Feature flags and how often they were asked for."""
        return FlagRepository(self.session)

    @cached_property
    def inbox(self) -> InboxRepository:
        """What vendors sent."""
        return InboxRepository(self.session)

    @cached_property
    def vendors(self) -> VendorRepository:
        """Submissions, circuit breakers, kept results, usage."""
        return VendorRepository(self.session)

    @cached_property
    def checks(self) -> CheckRepository:
        """What checks of vendors brought."""
        return CheckRepository(self.session)

    @cached_property
    def reports(self) -> ReportRepository:
        """Numbers of a period, by library."""
        return ReportRepository(self.session)

    @cached_property
    def evidence(self) -> EvidenceRepository:
        """What was sealed of restricted items, who opened it, legal holds."""
        return EvidenceRepository(self.session)

    @cached_property
    def logs(self) -> LogRepository:
        """Log lines that are kept here as well."""
        return LogRepository(self.session)

    @cached_property
    def chains(self) -> ChainRepository:
        """Tables whose rows are chained by their hashes."""
        return ChainRepository(self.session)

    @cached_property
    def audit(self) -> AuditRepository:
        """Who did what to the gate."""
        return AuditRepository(self.session)

    @cached_property
    def census(self) -> CensusRepository:
        """How much stands where."""
        return CensusRepository(self.session)

    @cached_property
    def storage(self) -> StorageRepository:
        """How much libraries keep, and how much room is left."""
        return StorageRepository(self.session)

    @cached_property
    def trash(self) -> TrashRepository:
        """The trash, and what is erased."""
        return TrashRepository(self.session)

    @cached_property
    def scrubs(self) -> ScrubRepository:
        """Scrubs and what they found."""
        return ScrubRepository(self.session)

    @cached_property
    def notifications(self) -> NotificationRepository:
        """What admins are told."""
        return NotificationRepository(self.session)

    @cached_property
    def access(self) -> AccessRepository:
        """Libraries, API keys, idempotent requests."""
        return AccessRepository(self.session)


def sqlalchemy_url(url: str) -> str:
    """A libpq URL in the spelling that selects psycopg 3."""
    scheme, _, rest = url.partition("://")
    if scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise ValueError(f"The database URL must start with postgresql://, not {scheme}://")
    return f"postgresql+psycopg://{rest}"


TRUSTED = 1.0
"""Seconds after its last use for which a connection is taken to be alive."""
_USED = "used"


def _note_use(_: object, record: ConnectionPoolEntry) -> None:
    record.info[_USED] = time.monotonic()


class Database:
    """A pool of connections."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self._open, self._most = 0, pool_size + OVERFLOW
        self._engine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=OVERFLOW,
            pool_timeout=10,
            hide_parameters=True,  # or the message of a failed statement would carry captions and digests into logs
            connect_args={"connect_timeout": 5, "options": "-c statement_timeout=20000 -c lock_timeout=10000"},
        )
        event.listen(self._engine.sync_engine, "checkin", _note_use)
        event.listen(self._engine.sync_engine, "checkout", self._ask_if_idle)

    def _ask_if_idle(self, connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        """A connection that was idle may be dead; asking each one before each use would cost a third of all round
        trips."""
        if time.monotonic() - record.info.get(_USED, 0.0) < TRUSTED:
            return
        dialect = self._engine.sync_engine.dialect
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error  # the pool takes another one

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commit at the end of the block, or nothing at all.

        Raises:
            DatabaseUnavailable: the database did not answer, or ended the transaction; try again.
        """
        began = time.monotonic()
        self._count(1)
        try:
            async with AsyncSession(self._engine, expire_on_commit=False) as session:
                async with session.begin():
                    yield Transaction(session)
                run_actions(session)
        except (OperationalError, InterfaceError, PoolTimeoutError) as error:
            metrics.DATABASE_FAILURES.add()
            raise DatabaseUnavailable(retry_after=2) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                metrics.DATABASE_FAILURES.add()
                raise DatabaseUnavailable(retry_after=2) from error
            raise
        finally:
            metrics.DATABASE_SECONDS.observe(time.monotonic() - began)
            self._count(-1)

    def _count(self, step: int) -> None:
        self._open += step
        metrics.DATABASE_OPEN.set(self._open)
        metrics.DATABASE_POOL.set(self._most)

    async def placement(self, library: str) -> Placement:
        """Which store a library is in, for `mediagate.storage.placement.Placements`."""
        async with self.transaction() as tx:
            return await tx.placements.of(library)

    async def ready(self) -> None:
        """Raise DatabaseUnavailable unless the database answers."""
        async with self.transaction() as tx:
            await tx.session.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()
