"""Backups of the database: an archive of `pg_dump` beside a manifest that says what must be in it.

Archive, manifest and whatever else the caller reads are of one moment: everything looks at one exported snapshot
(https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION). Nothing is held in
memory, and the password is in no command line. Which programs to run is the caller's to know.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo
from pydantic import Field

from db import migrate
from db.dumps import DatabaseManifest, check, read_manifest, settle, sha256_of
from db.programs import Programs, environment, libpq_url, run
from db.tables import now
from mediagate.errors import Conflict, DatabaseUnavailable, ObjectCorrupt
from mediagate.media.values import Value

Report = Callable[[int], None]
"""Told how many bytes of the archive are written, twice a second."""

_LOCK_WAIT = 30
"""Seconds for which a dump waits behind a migration, and an emptying of the schema behind readers."""
_EMPTY = "DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC"


class Server(Value):
    """The database as it is found."""

    version: str
    major: int
    database: str
    revision: str | None = Field(description="of the schema; None: it has none")
    tables: tuple[str, ...] = Field(description="names, in order")
    others: tuple[str, ...] = Field((), description="who else is connected to this database")


def look(url: str) -> Server:
    """What is at that URL.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with _connected(url) as connection:
        return _look(connection)


def dump(
    url: str,
    archive: Path,
    programs: Programs,
    *,
    report: Report | None = None,
    beside: Callable[[Connection], None] | None = None,
) -> DatabaseManifest:
    """Write an archive and its manifest, both readable by their owner only; they appear whole or not at all.

    beside: reads what it wants of the very snapshot that is dumped.

    Raises:
        Conflict: there is a file of that name, or a schema without a revision.
        BackupFailed: `pg_dump` did not get to its end; nothing is left.
        DatabaseUnavailable: the database does not answer.
    """
    if archive.exists():
        raise Conflict(f"There is a file {archive} already: name another one, or take it away.")
    archive.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = archive.with_name(f".{archive.name}.{uuid4().hex}.part")
    try:
        with _connected(url) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            at, snapshot = now(), str(_value(connection, "SELECT pg_export_snapshot()"))
            found = _look(connection)
            if found.revision is None:
                raise Conflict(
                    f"The database {found.database} has no schema of this gate: there is nothing to back up."
                )
            tables = _counted(connection, found.tables)
            _pg_dump(url, partial, programs, snapshot, _other_schemas(connection), report or (lambda _: None))
            if beside:
                beside(connection)
        manifest = DatabaseManifest(
            made_at=at,
            revision=found.revision,
            server=found.version,
            database=found.database,
            size=partial.stat().st_size,
            sha256=sha256_of(partial),
            tables=tables,
        )
        settle(partial, archive, manifest)
    finally:
        partial.unlink(missing_ok=True)
    return manifest


def refusal(server: Server, manifest: DatabaseManifest, *, replace: bool) -> str:
    """Why an archive may not be restored into a database; empty if it may."""
    if manifest.revision not in migrate.revisions():
        return (
            f"The backup is of revision {manifest.revision}, which this release does not know: it was made by a newer"
            " one. Install that release and restore with it."
        )
    if server.major < int(manifest.server.partition(".")[0]):
        return f"The backup is from PostgreSQL {manifest.server}, this server is {server.version}: an older one."
    if server.tables and not replace:
        return (
            f"The database {server.database} is not empty ({len(server.tables)} tables). Name an empty one in"
            " MEDIAGATE_DATABASE_URL, or add --replace, which drops what is in it."
        )
    return ""


def busy(server: Server) -> str:
    """Who must be stopped before the database is replaced; empty if nobody works with it."""
    if not (server.tables and server.others):
        return ""
    others = ", ".join(server.others[:5])
    return f"Somebody works with the database {server.database}: {others}. Stop the API, the workers and the like."


def restore(url: str, archive: Path, programs: Programs, *, replace: bool = False) -> DatabaseManifest:
    """Bring a database to what the archive holds, in one transaction, and count its rows.

    replace: drop what is there first.

    Raises:
        Conflict: `refusal` or `busy` says why not; nothing was changed.
        ObjectCorrupt: the archive is not what was written (nothing was changed), or the restored tables are not what
            its manifest says.
        BackupFailed: `pg_restore` did not get to its end; the database is empty.
    """
    manifest = read_manifest(archive)
    server = look(url)
    if why := refusal(server, manifest, replace=replace) or busy(server):
        raise Conflict(why)
    check(archive, manifest)
    if server.tables:
        empty(url)
    options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    name = make_conninfo(dbname=server.database)
    run([programs.pg_restore, *options, "--dbname", name, archive], environment(url), "The restore failed")
    with _connected(url) as connection:
        restored = _look(connection)
        counted = _counted(connection, restored.tables)
    wrong = sorted(name for name in counted.keys() | manifest.tables if counted.get(name) != manifest.tables.get(name))
    if wrong or restored.revision != manifest.revision:
        raise ObjectCorrupt(f"What was restored is not what the manifest says: {', '.join(wrong) or 'the revision'}.")
    return manifest


def empty(url: str) -> None:
    """Drop everything in the database's schema.

    Raises:
        Conflict: others are at work in it.
    """
    with _connected(url) as connection:
        connection.execute(sql.SQL("SET lock_timeout = {}").format(sql.Literal(f"{_LOCK_WAIT}s")))
        try:
            connection.execute(_EMPTY)
        except psycopg.errors.LockNotAvailable as error:
            raise Conflict("Somebody works with the database: stop the API and the workers.") from error


def _look(connection: Connection) -> Server:
    tables = [str(row[0]) for row in connection.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY 1"
    )]  # fmt: skip
    revision = None
    if "alembic_version" in tables:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        revision = str(row[0]) if row else None
    others = connection.execute(
        "SELECT coalesce(nullif(application_name, ''), usename) || coalesce(' from ' || host(client_addr), '')"
        " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    counted = Counter(str(row[0]) for row in others)
    return Server(
        version=str(_value(connection, "SHOW server_version")).partition(" ")[0],
        major=connection.info.server_version // 10_000,
        database=str(_value(connection, "SELECT current_database()")),
        revision=revision,
        tables=tuple(tables),
        others=tuple(f"{name} ({number})" for name, number in sorted(counted.items())),
    )


def _counted(connection: Connection, tables: Sequence[str]) -> dict[str, int]:
    query = sql.SQL("SELECT count(*) FROM public.{}")
    counts = {}
    for name in tables:
        row = connection.execute(query.format(sql.Identifier(name))).fetchone()
        counts[name] = int(row[0]) if row else 0
    return counts


def _other_schemas(connection: Connection) -> list[str]:
    rows = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')"
    )
    return [str(row[0]) for row in rows]


def _value(connection: Connection, query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def _pg_dump(url: str, file: Path, programs: Programs, snapshot: str, others: Sequence[str], report: Report) -> None:
    """`others`: schemas that are not the gate's."""
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    command: list[str | Path] = [programs.pg_dump, "--format=custom", "--no-password", f"--snapshot={snapshot}"]
    command += [f"--lock-wait-timeout={_LOCK_WAIT}s", f"--file={file}"]
    # Comments are left out: that on an extension may only be restored by a superuser.
    command += ["--no-comments", *(f"--exclude-schema={sql.Identifier(name).as_string()}" for name in others)]
    run(command, environment(url), "The backup failed", watching=lambda: report(file.stat().st_size))
    report(file.stat().st_size)


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """One transaction. Raises DatabaseUnavailable."""
    try:
        with psycopg.connect(libpq_url(url), connect_timeout=5, application_name="mediagate backup") as connection:
            yield connection
    except psycopg.OperationalError as error:
        if isinstance(error, psycopg.errors.LockNotAvailable):
            raise
        raise DatabaseUnavailable from error
