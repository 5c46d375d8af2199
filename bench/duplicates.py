"""How fast and how completely near duplicates are found among a million, and what their indexes cost.

python -m bench.duplicates [--rows N] [--queries N] [--libraries N…] [--url postgresql://…] [--only PART] [--json]

Compares what the gate does (through its repository, items included) with other ways to ask Postgres the same: other
cuts into bands, and pgvector's HNSW. Starts a Postgres of its own unless `--url` names an empty database.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations
from uuid import UUID

import numpy as np
import psycopg

from bench.postgres import own_postgres
from db import migrate
from db.session import Database
from db.tables import PHASH_BANDS
from mediagate.media.fingerprints import BITS, FARTHEST, FREQUENCIES, dihedral

SEED, WARM_UP = 20_260_401, 50
SYMMETRIC = 0.01
"""Share of pictures with an axis of symmetry: half of their bits are 0, so that they crowd the bands."""


@dataclass(frozen=True)
class Query:
    """One question and everybody who is within the distance, by brute force."""

    library: UUID
    phash: int
    near: frozenset[UUID]

    @cached_property
    def asked(self) -> list[int]:
        """The eight forms as Postgres takes them."""
        return [form - (form >> (BITS - 1) << BITS) for form in dihedral(self.phash)]


class Population:
    """Fingerprints of `rows` items in as many libraries as asked for, with a neighbour planted for each question."""

    def __init__(self, rows: int, libraries: int, queries: int) -> None:
        random = np.random.default_rng(SEED)
        self.phashes = random.integers(0, 1 << BITS, rows, dtype=np.uint64)
        odd = np.uint64(sum(1 << bit for bit, (across, _) in enumerate(FREQUENCIES) if across % 2))
        symmetric = random.random(rows) < SYMMETRIC
        self.phashes[symmetric] &= ~odd
        self.ids = [UUID(bytes=random.bytes(16), version=4) for _ in range(rows)]
        self.libraries = [UUID(int=number + 1) for number in range(libraries)]
        self.owner = np.arange(rows) % libraries
        chosen = random.choice(np.flatnonzero(~symmetric), 2 * queries, replace=False).tolist()
        for number, (asked, planted) in enumerate(zip(chosen[::2], chosen[1::2], strict=True)):
            differing = random.choice(BITS, number % (FARTHEST + 1), replace=False).tolist()
            form = dihedral(int(self.phashes[asked]))[number % 8]
            self.phashes[planted] = form ^ sum(1 << bit for bit in differing)
            self.owner[planted] = self.owner[asked]
        self.queries = [self._query(asked) for asked in chosen[::2]]

    def _query(self, asked: int) -> Query:
        owner, phash = int(self.owner[asked]), int(self.phashes[asked])
        near = np.zeros(len(self.phashes), dtype=bool)
        for form in dihedral(phash):
            near |= np.bitwise_count(self.phashes ^ np.uint64(form)) <= FARTHEST
        places = np.flatnonzero(near & (self.owner == owner)).tolist()
        return Query(self.libraries[owner], phash, frozenset(self.ids[place] for place in places))

    def copy(self, connection: psycopg.Connection, table: str, first: int, last: int) -> float:
        """Load some of the rows; the seconds that it took."""
        signed = self.phashes[first:last].astype(np.int64).tolist()
        owners = self.owner[first:last].tolist()
        began = time.perf_counter()
        with connection.cursor().copy(f"COPY {table} (media_id, library_id, phash) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["uuid", "uuid", "int8"])
            for media_id, owner, phash in zip(self.ids[first:last], owners, signed, strict=True):
                copy.write_row((media_id, self.libraries[owner], phash))
        return time.perf_counter() - began


@dataclass(frozen=True)
class Scheme:
    """A way to ask: its indexes on `candidate`, and a statement that takes `library` and `asked`."""

    name: str
    indexes: tuple[str, ...]
    statement: str
    settings: tuple[str, ...] = ()


def bands(*layout: tuple[int, int]) -> Scheme:
    """Multi-index hashing by bands of (width, radius)."""
    if sum(radius + 1 for _, radius in layout) <= FARTHEST or sum(width for width, _ in layout) != BITS:
        raise ValueError(f"{layout} would miss some")
    indexes, asked, shift = [], [], 0
    for width, radius in layout:
        stored = f"((phash >> {shift}) & {(1 << width) - 1})"
        bits = [1 << bit for bit in range(width)]
        masks = [sum(some) for count in range(radius + 1) for some in combinations(bits, count)]
        indexes.append(f"(library_id, {stored}, phash, media_id)")
        asked.append(
            f"""SELECT media_id FROM unnest(%(asked)s::bigint[]) AS asked
            CROSS JOIN unnest('{{{",".join(map(str, masks))}}}'::bigint[]) AS mask
            CROSS JOIN LATERAL (
                SELECT media_id, bit_count((phash # asked)::bit(64)) AS distance FROM candidate
                WHERE library_id = %(library)s AND {stored} = {stored.replace("phash", "asked")} # mask OFFSET 0
            ) AS agreeing WHERE distance <= {FARTHEST}"""
        )
        shift += width
    return Scheme(
        f"{len(layout)} bands, radii {','.join(str(radius) for _, radius in layout)}",
        tuple(indexes),
        " UNION ".join(asked),
    )


def hnsw(ef_search: int) -> Scheme:
    """pgvector, the nearest 20 of each form."""
    statement = f"""SELECT DISTINCT media_id FROM unnest(%(asked)s::bigint[]) AS asked CROSS JOIN LATERAL (
        SELECT media_id, phash::bit(64) <~> asked::bit(64) AS distance FROM candidate
        WHERE library_id = %(library)s ORDER BY phash::bit(64) <~> asked::bit(64) LIMIT 20
    ) AS nearest WHERE distance <= {FARTHEST}"""
    settings = (f"hnsw.ef_search = {ef_search}", "hnsw.iterative_scan = strict_order")
    index = "USING hnsw ((phash::bit(64)) bit_hamming_ops)"
    return Scheme(f"pgvector HNSW, ef_search {ef_search}", (index,), statement, settings)


SCHEMES = (
    bands((16, 2), (16, 1), (16, 1), (16, 1)),
    bands((21, 2), (21, 2), (22, 2)),
    bands((13, 1), (13, 1), (13, 1), (13, 1), (12, 0)),
    hnsw(40),
    hnsw(200),
)


@dataclass
class Row:
    """A line of the result; times of questions in milliseconds."""

    scheme: str
    libraries: int
    rows: int
    build_seconds: float = 0
    index_mb: float = 0
    inserts_per_second: float = 0
    p50: float = 0
    p95: float = 0
    slowest: float = 0
    recall: float = 0
    wrong: int = 0


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def time_queries(row: Row, queries: Sequence[Query], ask: Callable[[Query], set[UUID]]) -> None:
    """Ask them all and fill in times and recall."""
    for query in queries[:WARM_UP]:
        ask(query)
    times, wanted, found = [], 0, 0
    for query in queries:
        began = time.perf_counter()
        answer = ask(query)
        times.append(1000 * (time.perf_counter() - began))
        wanted += len(query.near)
        found += len(query.near & answer)
        row.wrong += len(answer - query.near)
    row.p50, row.p95 = (round(float(np.percentile(times, share)), 1) for share in (50, 95))
    row.slowest = round(max(times), 1)
    row.recall = round(found / wanted, 4)
    say(f"{row}")


def load(connection: psycopg.Connection, row: Row, population: Population, table: str, indexes: Sequence[str]) -> None:
    """All but the last hundredth at once, then the indexes, then the rest row by row into them."""
    last = len(population.ids) - len(population.ids) // 100
    population.copy(connection, table, 0, last)
    began = time.perf_counter()
    for number, index in enumerate(indexes):
        connection.execute(f"CREATE INDEX {table}_band{number} ON {table} {index}".encode())
    row.build_seconds = round(time.perf_counter() - began, 1)
    connection.execute(f"VACUUM ANALYZE {table}".encode())
    seconds = population.copy(connection, table, last, len(population.ids))
    row.inserts_per_second = round((len(population.ids) - last) / seconds)
    size = "SELECT sum(pg_relation_size(indexrelid)) FROM pg_index WHERE indrelid = %s::regclass AND NOT indisprimary"
    found = connection.execute(size, [table]).fetchone()
    assert found
    row.index_mb = round(float(found[0]) / 1e6)


def measure_scheme(url: str, population: Population, schemes: Sequence[Scheme]) -> list[Row]:
    """Schemes that share their indexes."""
    rows = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute("DROP TABLE IF EXISTS candidate")
        connection.execute("CREATE TABLE candidate (media_id uuid PRIMARY KEY, library_id uuid, phash bigint)")
        loaded = Row(schemes[0].name, len(population.libraries), len(population.ids))
        load(connection, loaded, population, "candidate", schemes[0].indexes)
        for scheme in schemes:
            row = Row(**{**asdict(loaded), "scheme": scheme.name})
            for setting in scheme.settings:
                connection.execute(f"SET {setting}".encode())

            def ask(query: Query, statement: bytes = scheme.statement.encode()) -> set[UUID]:
                rows = connection.execute(statement, {"library": query.library, "asked": query.asked}).fetchall()
                return {row[0] for row in rows}

            time_queries(row, population.queries, ask)
            rows.append(row)
    return rows


ITEMS = """
    INSERT INTO media (id, library_id, status, reason, detail, filename, content_type, declared_bytes, facts, caption,
                       tracking_id, vendor_reference, created_at, updated_at)
    SELECT media_id, library_id, 'approved', '', '', 'a.jpg', 'image/jpeg', 1, '{}', '', '', '', now(), now()
    FROM fingerprint
"""


def measure_gate(url: str, population: Population) -> Row:
    """What the gate does, with the table and indexes of its migrations and through its repository."""
    migrate.upgrade(url)
    row = Row("the gate's own", len(population.libraries), len(population.ids))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # loads before what its foreign keys point to
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute("DELETE FROM fingerprint; DELETE FROM media; DELETE FROM library")
        for number in range(len(PHASH_BANDS)):
            connection.execute(f"DROP INDEX IF EXISTS ix_fingerprint_band{number}, fingerprint_band{number}".encode())
        connection.execute("CREATE TEMPORARY TABLE owner AS SELECT unnest(%s::uuid[]) AS id", [population.libraries])
        connection.execute(
            "INSERT INTO library (id, slug, name, settings, created_at) SELECT id, id, '', '{}', now() FROM owner"
        )
        load(connection, row, population, "fingerprint", [f"(library_id, {b}, phash, media_id)" for b in PHASH_BANDS])
        connection.execute(ITEMS)
        connection.execute("ANALYZE media")
    with asyncio.Runner() as runner:
        database = Database(url)

        async def ask(query: Query) -> set[UUID]:
            async with database.transaction() as tx:
                return {near.media.id for near in await tx.fingerprints.near(query.library, query.phash, limit=200)}

        time_queries(row, population.queries, lambda query: runner.run(ask(query)))
        runner.run(database.close())
    return row


def measure(url: str, args: argparse.Namespace) -> list[Row]:
    """Every scheme over one library, then over several."""
    groups: dict[tuple[str, ...], list[Scheme]] = {}
    for scheme in SCHEMES:
        if args.only in scheme.name:
            groups.setdefault(scheme.indexes, []).append(scheme)
    rows = []
    for libraries in args.libraries:
        population = Population(args.rows, libraries, args.queries)
        say(f"{args.rows} items in {libraries} libraries")
        if args.only in "the gate's own":
            rows.append(measure_gate(url, population))
        for schemes in groups.values():
            rows += measure_scheme(url, population, schemes)
    return rows


def told(rows: Sequence[Mapping[str, object]], *, as_json: bool) -> str:
    """Rows of the same columns, for programs or for people."""
    if as_json:
        return json.dumps(rows, indent=2)
    lines = ["  ".join(f"{name:>18}" for name in rows[0])]
    lines += ["  ".join(f"{value!s:>18}" for value in row.values()) for row in rows]
    return "\n".join(lines)


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.duplicates", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=540)
    parser.add_argument("--libraries", type=int, nargs="+", default=[1, 20], help="the items are spread over so many")
    parser.add_argument("--url", help="an empty database; by default a Postgres of its own")
    parser.add_argument("--only", default="", help="part of a scheme's name")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.url:
        rows = await asyncio.to_thread(measure, args.url, args)
    else:
        async with own_postgres() as url:
            rows = await asyncio.to_thread(measure, url, args)
    print(told([asdict(row) for row in rows], as_json=args.json))


if __name__ == "__main__":
    asyncio.run(main())
