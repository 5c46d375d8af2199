"""`mediagate preflight`: what would stop this release, looked at before anything is changed."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import ValidationError
from rich.filesize import decimal

from cli.local_stack import adopt_local_stack
from cli.output import Json, mark, print_json, print_table
from mediagate.errors import MediagateError
from mediagate.settings import Settings

if TYPE_CHECKING:
    from temporalio.client import Client

    from db.backup import Server

OLDEST_POSTGRES = 15
TIMEOUT = 20
"""Seconds for one check."""
LEAST_FREE = 256 * 1024 * 1024
"""Bytes that the state folder and the folder for temporary files must have left."""
NOT_OURS = frozenset({"MEDIAGATE_API_KEY"})
"""Variables of commands that are no settings."""


class Wrong(Exception):
    """A check does not pass; the message says what was found."""


class Doubtful(Exception):
    """A check passes, and somebody should know this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to, and what to do about it."""

    name: str
    result: Literal["ok", "warn", "fail"]
    detail: str
    advice: str = ""


@dataclass(slots=True)
class Place:
    """Where the release is to run, and what checks found out about it."""

    settings: Settings
    most_waiting: int
    server: "Server | None" = None
    client: "Client | None" = None
    pending: list[str] = field(default_factory=list)


def preflight(
    most_waiting: Annotated[
        int | None,
        typer.Option(min=0, help="Most work that may wait in the queues; default: half MEDIAGATE_MAX_BACKLOG."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Look whether everything is there and fit for this release: run it with the release's own image, before a deploy.

    Settings and secrets, database, schema and what a backup needs, object store, Temporal service, backlog, disk. It
    changes nothing. Exit code 1 if anything fails; warnings do not count.

    Examples:

      mediagate preflight

      mediagate preflight --most-waiting 100 --json | jq '.checks[] | select(.result != "ok")'
    """
    findings = asyncio.run(examine(most_waiting))
    failed = any(finding.result == "fail" for finding in findings)
    if as_json:
        print_json({"ok": not failed, "checks": [asdict(finding) for finding in findings]})
    else:
        rows = [(mark(one.result), one.name, one.detail, one.advice) for one in findings]
        print_table(("", "Check", "Finding", "What to do"), rows)
    raise typer.Exit(1 if failed else 0)


async def examine(most_waiting: int | None = None) -> list[Finding]:
    """Every check, in order; with unreadable settings, only that."""
    try:
        adopt_local_stack()
        settings = Settings()
    except ValidationError as error:
        return [Finding("settings", "fail", _unreadable(error), "Mend these variables (docs/configuration.md).")]
    place = Place(settings, settings.max_backlog // 2 if most_waiting is None else most_waiting)
    return [await _finding(place, *check) for check in CHECKS]


async def _finding(place: Place, name: str, check: Callable[[Place], Awaitable[str]], advice: str) -> Finding:
    try:
        return Finding(name, "ok", await asyncio.wait_for(check(place), TIMEOUT))
    except Doubtful as found:
        return Finding(name, "warn", str(found), advice)
    except (Wrong, MediagateError, RuntimeError, OSError) as found:
        return Finding(name, "fail", str(found) or type(found).__name__, advice)


def _unreadable(error: ValidationError) -> str:
    """Without the values: some are secrets."""
    wrong = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"MEDIAGATE_{'.'.join(map(str, one['loc'])).upper()}: {one['msg']}" for one in wrong)


async def _settings(place: Place) -> str:
    known = {f"MEDIAGATE_{name.upper()}" for name in Settings.model_fields} | NOT_OURS
    unknown = sorted(name for name in os.environ if name.startswith("MEDIAGATE_") and name not in known)
    if unknown:
        raise Doubtful(f"{', '.join(unknown)}: no such setting; it is not read.")
    return f"{place.settings.environment}, {place.settings.public_url}"


async def _secrets(place: Place) -> str:
    settings = place.settings
    try:
        settings.require_secrets()
    except ValueError as error:
        raise Wrong(str(error)) from error
    default = Settings.model_fields["s3_secret_key"].get_default()
    if settings.environment == "production" and settings.s3_secret_key == default:
        raise Wrong("MEDIAGATE_S3_SECRET_KEY is the one of local stacks, which everybody knows.")
    if not settings.evidence_keys:
        raise Doubtful("MEDIAGATE_EVIDENCE_KEYS is not set: nothing is sealed.")
    return "all that a serving process needs"


async def _database(place: Place) -> str:
    from db import backup

    place.server = server = await asyncio.to_thread(backup.look, place.settings.database_url.get_secret_value())
    if server.major < OLDEST_POSTGRES:
        raise Wrong(f"PostgreSQL {server.version}; {OLDEST_POSTGRES} is the oldest that is supported.")
    return f"{server.database}, PostgreSQL {server.version}"


async def _schema(place: Place) -> str:
    from db import migrate

    revisions = await asyncio.to_thread(migrate.status, place.settings.database_url.get_secret_value())
    place.pending = [one.id for one in revisions if not one.applied]
    if not place.pending:
        return f"up to date, {revisions[-1].id}"
    applied = len(revisions) - len(place.pending)
    return (
        f"{len(place.pending)} migrations to come: {', '.join(place.pending)}" if applied else "empty; it will be made"
    )


async def _backup(place: Place) -> str:
    from cli.database_backups import backup_dir
    from cli.postgres_programs import find_programs

    server = place.server
    if server is None or server.revision is None or not place.pending:
        return "none is needed"
    programs = await asyncio.to_thread(find_programs, server.major)
    folder = backup_dir(place.settings)
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    size, free = await asyncio.to_thread(_database_size, place.settings), shutil.disk_usage(folder).free
    if free < size:
        raise Wrong(f"{folder} has {decimal(free)} left, and the database has {decimal(size)}.")
    return f"{programs.pg_dump} into {folder}, which has {decimal(free)} left for at most {decimal(size)}"


def _database_size(settings: Settings) -> int:
    import psycopg

    from db.programs import libpq_url

    with psycopg.connect(libpq_url(settings.database_url.get_secret_value()), connect_timeout=5) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


async def _store(place: Place) -> str:
    from mediagate import wiring

    store = wiring.open_store(place.settings)
    try:
        await store.ready()
    except MediagateError as error:
        if place.server and place.server.revision is None:
            raise Doubtful(f"{error} In a new deployment, `mediagate setup` makes it.") from error
        raise
    finally:
        store.close()
    return f"{place.settings.s3_bucket} at {place.settings.s3_url}"


async def _temporal(place: Place) -> str:
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
    from temporalio.service import RPCError

    from mediagate import temporal

    client = await temporal.connect()
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError as error:
        raise Wrong(f"The namespace {client.namespace}: {error}") from error
    place.client = client
    return f"{client.namespace} at {client.service_client.config.target_host}"


async def _backlog(place: Place) -> str:
    from workflows.client import Flows
    from workflows.names import Role

    if place.client is None:
        raise Wrong("Unknown: the Temporal service did not answer.")
    flows = Flows(place.client)
    waiting = {role: (await flows.backlog(role))[0] for role in Role if role is not Role.FLOW}
    said = ", ".join(f"{role.value} {count}" for role, count in waiting.items())
    if sum(waiting.values()) > place.most_waiting:
        raise Wrong(f"{said}: more than {place.most_waiting} wait.")
    return said


async def _disk(place: Place) -> str:
    folders = {place.settings.state_dir, Path(tempfile.gettempdir())}
    free = {folder: shutil.disk_usage(_existing(folder)).free for folder in folders}
    if full := sorted(str(folder) for folder, left in free.items() if left < LEAST_FREE):
        raise Wrong(f"{', '.join(full)}: less than {decimal(LEAST_FREE)} left.")
    return ", ".join(f"{folder} {decimal(left)}" for folder, left in sorted(free.items()))


def _existing(folder: Path) -> Path:
    """The folder, else the one in which it would be made."""
    candidates: Iterable[Path] = (folder, *folder.absolute().parents)
    return next(path for path in candidates if path.exists())


CHECKS: tuple[tuple[str, Callable[[Place], Awaitable[str]], str], ...] = (
    ("settings", _settings, "Correct its name (docs/configuration.md), or take it away."),
    ("secrets", _secrets, "See docs/deploy.md, secrets."),
    ("database", _database, "Is MEDIAGATE_DATABASE_URL right, and is the server up?"),
    ("schema", _schema, "Deploy the release that has migrated it, or a newer one."),
    ("backup", _backup, "Make room in MEDIAGATE_BACKUP_DIR, or install postgresql-client."),
    ("object store", _store, "Are MEDIAGATE_S3_* right, and is the store up?"),
    ("temporal", _temporal, "Are TEMPORAL_* right, and is there that namespace (docs/deploy.md, Temporal)?"),
    ("backlog", _backlog, "Wait until it is worked off, or allow more: --most-waiting."),
    ("disk", _disk, "Make room there."),
)
"""Name, check, and what to do where it does not pass. Later ones use what earlier ones found out."""
