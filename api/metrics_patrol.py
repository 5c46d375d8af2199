"""A patrol along a hash chain: a page with each look, from its first record to its last and again, for ever.

`mediagate audit verify` and `mediagate evidence verify` look at a chain at once, and at what is sealed; this finds a
record that was changed without anybody having to ask.
"""

import time
from typing import Generic

from db.repositories.chains import Row
from db.session import Transaction
from mediagate.evidence.chain import START, Chain, break_at

PAGE = 200
"""Records at a time: a few milliseconds."""


class Patrol(Generic[Row]):
    """Along one chain. `breaks`: records that are not what they were, of the last round or of this one."""

    def __init__(self, table: type[Row]) -> None:
        self._table: type[Row] = table
        self._before = START
        self._found = self._found_last = 0
        self._highest = 0
        self.records = 0
        self.ended_at: float | None = None
        """When it last came to the end; Unix time."""

    @property
    def chain(self) -> Chain:
        """Which one."""
        chain: Chain = self._table.chain
        return chain

    @property
    def breaks(self) -> int:
        """How many, also of a round that is not ended yet; records that were there and are gone count as one."""
        return max(self._found, self._found_last) + (self.records < self._highest)

    async def step(self, tx: Transaction) -> None:
        """One page."""
        self.records = (await tx.chains.head(self._table)).seq
        self._highest = max(self._highest, self.records)
        rows = await tx.chains.after(self._table, self._before.seq, limit=PAGE)
        for row in rows:
            if break_at(self.chain, self._before, row.link, row.prev_hash, row.fields):
                self._found += 1
            self._before = row.link
        if len(rows) < PAGE:
            self._found_last, self.ended_at = self._found, time.time()
            self._before, self._found = START, 0
