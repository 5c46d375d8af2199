"""Following a chain of records from its first to its last, and to its checkpoints."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from db.repositories.chains import Row
from db.session import Database
from mediagate.evidence.chain import START, Chain, Link, break_at
from mediagate.vault import Vault

PAGE = 200
MOST_BREAKS = 100
"""After so many a chain is not followed further."""


@dataclass(frozen=True)
class Break:
    """Something that is not as it was."""

    chain: Chain
    seq: int
    what: str


async def follow(
    db: Database,
    vault: Vault | None,
    table: type[Row],
    compare: Callable[[Sequence[Row]], Awaitable[Sequence[str | None]]],
    breaks: list[Break],
) -> Link:
    """Note in `breaks` what is wrong; how far it went. `compare`: says of each row what else is wrong with it.

    Without a vault there are no checkpoints: that the end was cut off, or all of it made anew, does not show.

    Raises:
        StorageUnavailable, DatabaseUnavailable: it cannot be told.
    """
    chain, before, known = table.chain, START, len(breaks)
    # Before the records, which only become more.
    noted = await vault.checkpoints(chain) if vault else {}
    while len(breaks) - known < MOST_BREAKS:
        async with db.transaction() as tx:
            rows = await tx.chains.after(table, before.seq, limit=PAGE)
        if not rows:
            gone = sorted(seq for seq in noted if seq > before.seq)
            breaks += [Break(chain, seq, f"record {seq} is missing: a checkpoint notes it") for seq in gone[:1]]
            break
        for row, wrong in zip(rows, await compare(rows), strict=True):
            if problem := break_at(chain, before, row.link, row.prev_hash, row.fields):
                breaks.append(Break(chain, before.seq + 1, problem))
            if noted.get(row.seq, {row.hash}) != {row.hash}:
                breaks.append(Break(chain, row.seq, "a checkpoint notes another hash: it was made anew"))
            if wrong:
                breaks.append(Break(chain, row.seq, wrong))
            before = row.link
    return before
