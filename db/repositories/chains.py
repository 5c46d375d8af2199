"""Tables whose rows are chained by their hashes: putting a record at the end, and reading along."""

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import AuditRecord, EvidenceAccess, EvidenceRecord
from mediagate.evidence.chain import START, Chain, Link, hash_of

Row = TypeVar("Row", EvidenceRecord, EvidenceAccess, AuditRecord)


class ChainRepository:
    """Tables whose rows are chained by their hashes."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def lock(self, chain: Chain) -> None:
        """Let nobody else put a record into a chain until this transaction ends, so that it never forks."""
        # A lock of its own, because a chain that is still empty has no row to lock.
        await self._session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:chain, 0))"), {"chain": f"chain:{chain.value}"}
        )

    async def append(self, row: Row) -> Row:
        """Put a record at the end of its chain, with its place and hash; the chain stays locked until the commit."""
        await self.append_all([row])
        return row

    async def append_all(self, rows: Sequence[Row]) -> None:
        """As `append`, with several records of one chain, in this order."""
        if not rows:
            return
        await self.lock(rows[0].chain)
        head = await self.head(type(rows[0]))
        for row in rows:
            row.seq, row.prev_hash = head.seq + 1, head.hash
            row.hash = hash_of(row.chain, row.fields, row.prev_hash)
            head = row.link
        self._session.add_all(rows)
        await self._session.flush()

    async def head(self, table: type[Row]) -> Link:
        """The last record; `START` if there is none."""
        query = select(table).order_by(col(table.seq).desc()).limit(1)
        row = (await self._session.scalars(query)).one_or_none()
        return row.link if row else START

    async def after(self, table: type[Row], seq: int, *, limit: int) -> Sequence[Row]:
        """The next records of a chain."""
        query = select(table).where(col(table.seq) > seq).order_by(col(table.seq)).limit(limit)
        return (await self._session.scalars(query)).all()
