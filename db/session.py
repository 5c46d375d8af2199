"""The database connection, and the one place that commits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from db.repositories.access import AccessRepository
from db.repositories.audit import AuditRepository
from db.repositories.banks import BankRepository
from db.repositories.chains import ChainRepository
from db.repositories.decisions import DecisionRepository
from db.repositories.evidence import EvidenceRepository
from db.repositories.fingerprints import FingerprintRepository
from db.repositories.inbox import InboxRepository
from db.repositories.media import MediaRepository
from db.repositories.notifications import NotificationRepository
from db.repositories.policies import PolicyRepository
from db.repositories.vendors import VendorRepository
from mediagate.errors import DatabaseUnavailable


class Transaction:
    """One unit of work: the repositories over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    @cached_property
    def media(self) -> MediaRepository:
        """Media items, variants, timelines, batches."""
        return MediaRepository(self.session)

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
    def inbox(self) -> InboxRepository:
        """What vendors sent."""
        return InboxRepository(self.session)

    @cached_property
    def vendors(self) -> VendorRepository:
        """Submissions, circuit breakers, kept results, usage."""
        return VendorRepository(self.session)

    @cached_property
    def evidence(self) -> EvidenceRepository:
        """What was sealed of restricted items, who opened it, legal holds."""
        return EvidenceRepository(self.session)

    @cached_property
    def chains(self) -> ChainRepository:
        """Tables whose rows are chained by their hashes."""
        return ChainRepository(self.session)

    @cached_property
    def audit(self) -> AuditRepository:
        """Who did what to the gate."""
        return AuditRepository(self.session)

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


class Database:
    """A pool of connections."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self._engine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=5,
            pool_timeout=10,
            pool_pre_ping=True,
            hide_parameters=True,  # or the message of a failed statement would carry captions and digests into logs
            connect_args={"connect_timeout": 5, "options": "-c statement_timeout=20000 -c lock_timeout=10000"},
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commit at the end of the block, or nothing at all.

        Raises:
            DatabaseUnavailable: the database did not answer, or ended the transaction; try again.
        """
        try:
            async with AsyncSession(self._engine, expire_on_commit=False) as session, session.begin():
                yield Transaction(session)
        except (OperationalError, InterfaceError, PoolTimeoutError) as error:
            raise DatabaseUnavailable(retry_after=2) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise DatabaseUnavailable(retry_after=2) from error
            raise

    async def ready(self) -> None:
        """Raise DatabaseUnavailable unless the database answers."""
        async with self.transaction() as tx:
            await tx.session.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()
