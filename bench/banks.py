"""How fast an upload is compared with hash banks of a million entries, and how fast entries get in.

python -m bench.banks [--rows N] [--queries N] [--banks N…] [--url postgresql://…] [--json]

Asks through the repository, as the gate does: the digest and all eight forms of the picture, in all banks at once. A
neighbour is planted for each question at 0 to 8 bits. Starts a Postgres of its own unless `--url` names an empty
database.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

import numpy as np
import psycopg

from bench.duplicates import WARM_UP, Population, Query, say, told
from bench.postgres import own_postgres
from db import migrate
from db.session import Database
from mediagate.media.fingerprints import BITS, FARTHEST
from mediagate.moderation.banks import EntryKind, KnownHash


@dataclass
class Row:
    """A line of the result; times of questions in milliseconds."""

    scheme: str
    banks: int
    rows: int
    index_mb: float = 0
    put_per_second: float = 0
    p50: float = 0
    p95: float = 0
    slowest: float = 0
    recall: float = 0
    wrong: int = 0


LIBRARY = UUID(int=1)
OWNER = """
    INSERT INTO library (id, slug, name, settings, created_at) VALUES (%s, 'bench', '', '{}', now())
    ON CONFLICT DO NOTHING
"""
BANK = "INSERT INTO bank VALUES (%s, %s, %s, 'bad', 'reject', 'gore', %s, 100, true, '', now())"
COPIED = """
    COPY bank_entry (
        id, bank_id, kind, value, phash, state, note, source, added_by, added_at, floods, reviewed_by
    ) FROM STDIN
"""


def load(url: str, population: Population, row: Row) -> None:
    """All entries, spread over banks of one library."""
    migrate.upgrade(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE bank_match, bank_entry, bank")
        connection.execute(OWNER, [LIBRARY])
        for bank in population.libraries:
            connection.execute(BANK, [bank, LIBRARY, str(bank), FARTHEST])
        at = "2026-04-01T00:00:00Z"
        with connection.cursor().copy(COPIED.encode()) as copy:
            for id_, owner, phash in zip(population.ids, population.owner, population.phashes.tolist(), strict=True):
                # Not the value of the fingerprint, which a neighbour planted at 0 bits has too; no search reads it.
                signed = phash - (phash >> (BITS - 1) << BITS)
                bank = population.libraries[owner]
                copy.write_row((id_, bank, "phash", id_.hex, signed, "active", "", "", "", at, 0, ""))
        connection.execute("VACUUM ANALYZE bank_entry")
        size = "SELECT sum(pg_relation_size(indexrelid)) FROM pg_index WHERE indrelid = 'bank_entry'::regclass"
        found = connection.execute(size).fetchone()
        assert found
        row.index_mb = round(float(found[0]) / 1e6)


async def ask(database: Database, query: Query) -> set[UUID]:
    """What the gate asks about one upload."""
    async with database.transaction() as tx:
        return {one.entry.id for one in await tx.banks.agreeing(LIBRARY, sha256="0" * 64, phash=query.phash)}


async def measure(url: str, population: Population, queries: Sequence[Query]) -> Row:
    """Times and recall of the questions, then of entries that are added."""
    row = Row("the gate's own", len(population.libraries), len(population.ids))
    await asyncio.to_thread(load, url, population, row)
    database = Database(url)
    for query in queries[:WARM_UP]:
        await ask(database, query)
    times, wanted, found = [], 0, 0
    for query in queries:
        began = time.perf_counter()
        answer = await ask(database, query)
        times.append(1000 * (time.perf_counter() - began))
        wanted += len(query.near)
        found += len(query.near & answer)
        row.wrong += len(answer - query.near)
    row.p50, row.p95 = (round(float(np.percentile(times, share)), 1) for share in (50, 95))
    row.slowest, row.recall = round(max(times), 1), round(found / wanted, 4)
    began, count = time.perf_counter(), 10_000
    for first in range(0, count, 1000):
        entries = [KnownHash(EntryKind.SHA256, f"{number:064x}") for number in range(first, first + 1000)]
        async with database.transaction() as tx:
            await tx.banks.put(population.libraries[0], entries, by="bench")
    row.put_per_second = round(count / (time.perf_counter() - began))
    await database.close()
    say(f"{row}")
    return row


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.banks", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=540)
    parser.add_argument("--banks", type=int, nargs="+", default=[1, 20], help="the entries are spread over so many")
    parser.add_argument("--url", help="an empty database; by default a Postgres of its own")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    async def every(url: str) -> list[Row]:
        rows = []
        for banks in args.banks:
            population = Population(args.rows, banks, args.queries)
            say(f"{args.rows} entries in {banks} banks")
            rows.append(await measure(url, population, [everywhere(query, population) for query in population.queries]))
        return rows

    if args.url:
        rows = await every(args.url)
    else:
        async with own_postgres() as url:
            rows = await every(url)
    print(told([asdict(row) for row in rows], as_json=args.json))


def everywhere(query: Query, population: Population) -> Query:
    """The question as banks answer it: of all owners."""
    near = np.zeros(len(population.phashes), dtype=bool)
    for form in query.asked:
        near |= np.bitwise_count(population.phashes ^ np.uint64(form % (1 << BITS))) <= FARTHEST
    return Query(
        query.library, query.phash, frozenset(population.ids[place] for place in np.flatnonzero(near).tolist())
    )


if __name__ == "__main__":
    asyncio.run(main())
