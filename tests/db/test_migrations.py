"""The schema is built by the migrations alone: they go both ways and agree with the classes."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlmodel import SQLModel

from db import migrate
from db.session import sqlalchemy_url
from mediagate.errors import DatabaseUnavailable
from mediagate.settings import Settings


@pytest.fixture
def empty_database(stack_settings: Settings) -> Iterator[str]:
    """The URL of a database without a table."""
    url = stack_settings.database_url.get_secret_value()
    name = f"migrations_{uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        yield f"{url.rpartition('/')[0]}/{name}"
        connection.execute(f'DROP DATABASE "{name}"'.encode())


def tables(url: str) -> set[str]:
    """The tables of a database, without Alembic's own."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows} - {"alembic_version"}


class TestMigrations:
    def test_up_down_and_up_again(self, empty_database: str) -> None:
        every = set(SQLModel.metadata.tables)
        migrate.upgrade(empty_database)
        assert tables(empty_database) == every
        migrate.downgrade(empty_database, "base")
        assert tables(empty_database) == set()
        migrate.upgrade(empty_database)
        assert tables(empty_database) == every

    def test_each_step_goes_down_and_up(self, empty_database: str) -> None:
        migrate.upgrade(empty_database)
        for revision in migrate.status(empty_database)[::-1]:
            before = tables(empty_database)
            migrate.downgrade(empty_database, "-1")
            assert not next(r for r in migrate.status(empty_database) if r.id == revision.id).applied
            migrate.upgrade(empty_database, revision.id)
            assert tables(empty_database) == before
            migrate.downgrade(empty_database, "-1")
        assert tables(empty_database) == set()

    def test_an_upgrade_that_has_nothing_to_do_does_nothing(self, empty_database: str) -> None:
        for _ in range(2):
            migrate.upgrade(empty_database)
        assert all(revision.applied for revision in migrate.status(empty_database))

    def test_status_knows_what_is_missing(self, empty_database: str) -> None:
        assert {revision.applied for revision in migrate.status(empty_database)} == {False}

    def test_the_classes_match_the_schema(self, stack_settings: Settings) -> None:
        engine = create_engine(sqlalchemy_url(stack_settings.database_url.get_secret_value()))
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            differences = compare_metadata(context, SQLModel.metadata)
        engine.dispose()
        assert differences == []

    def test_a_database_that_is_away_is_named(self) -> None:
        with pytest.raises(DatabaseUnavailable):
            migrate.upgrade("postgresql://postgres@127.0.0.1:1/nothing")
        with pytest.raises(DatabaseUnavailable):
            migrate.status("postgresql://postgres@127.0.0.1:1/nothing")
