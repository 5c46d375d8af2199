"""Schema migrations: Alembic, called from the CLI, the local stack and the tests alike."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from db.session import sqlalchemy_url
from mediagate.errors import Conflict, DatabaseUnavailable

_LOCK = 0x6D656469  # "medi": two deploys at once take turns


@dataclass(frozen=True)
class Revision:
    """A migration, and whether this database has it."""

    id: str
    title: str
    applied: bool


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema up to a revision; does nothing where it is there already.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Bring the schema down to a revision (`-1`: one step, `base`: empty). Data of what goes is lost."""
    _run(url, lambda config: command.downgrade(config, revision))


def revisions() -> frozenset[str]:
    """The revisions that this release knows."""
    return frozenset(revision.revision for revision in ScriptDirectory.from_config(_config()).walk_revisions())


def status(url: str) -> list[Revision]:
    """Every migration, oldest first.

    Raises:
        DatabaseUnavailable: the database does not answer.
        Conflict: a newer release has migrated it.
    """
    script = ScriptDirectory.from_config(_config())
    engine = create_engine(sqlalchemy_url(url), connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        raise DatabaseUnavailable from error
    finally:
        engine.dispose()
    if current and current not in revisions():
        raise Conflict(
            f"The database is at revision {current}, which this release does not know: a newer one has migrated it."
        )
    applied = {r.revision for r in script.iterate_revisions(current, "base")} if current else set()
    every = [Revision(r.revision, r.doc, r.revision in applied) for r in script.walk_revisions()]
    return every[::-1]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _run(url: str, action: Callable[[Config], None]) -> None:
    config = _config()
    engine = create_engine(sqlalchemy_url(url), connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
            connection.commit()
            config.attributes["connection"] = connection
            action(config)
            connection.commit()
    except OperationalError as error:
        raise DatabaseUnavailable from error
    finally:
        engine.dispose()
