"""`mediagate preflight` against the session's services, and against services that are not as they should be."""

from collections.abc import AsyncIterator
from uuid import uuid4

import psycopg
import pytest

from cli.preflight import Finding, examine
from db import migrate
from devstack.environment import applied
from mediagate.settings import Settings

SECRETS = {
    "MEDIAGATE_DELIVERY_SECRETS": "x" * 32,
    "MEDIAGATE_VENDOR_WEBHOOK_SECRETS": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


@pytest.fixture
def variables(services: dict[str, str], stack_settings: Settings) -> dict[str, str]:
    """Of a deployment on this session's services."""
    url = stack_settings.database_url.get_secret_value()
    own = {"MEDIAGATE_DATABASE_URL": url, "MEDIAGATE_S3_BUCKET": stack_settings.s3_bucket, **SECRETS}
    return {**services, "MEDIAGATE_STATE_DIR": str(stack_settings.state_dir), **own}


@pytest.fixture
async def empty_database(stack_settings: Settings) -> AsyncIterator[str]:
    """URL of a database of its own without a schema."""
    base = stack_settings.database_url.get_secret_value()
    name = f"preflight_{uuid4().hex[:8]}"
    async with await psycopg.AsyncConnection.connect(base, autocommit=True) as connection:
        await connection.execute(f'CREATE DATABASE "{name}"')
        yield f"{base.rpartition('/')[0]}/{name}"
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


async def look(variables: dict[str, str], most_waiting: int | None = None, /, **changed: str) -> dict[str, Finding]:
    """The findings by name."""
    with applied({**variables, **changed}):
        return {finding.name: finding for finding in await examine(most_waiting)}


class TestPreflight:
    async def test_a_deployment_that_is_fit(self, variables: dict[str, str]) -> None:
        found = await look(variables)
        assert [one for one in found.values() if one.result == "fail"] == []
        assert found["schema"].detail.startswith("up to date")
        assert found["backup"].detail == "none is needed"

    async def test_migrations_to_come_need_a_backup(self, variables: dict[str, str], empty_database: str) -> None:
        first, *others = [one.id for one in migrate.status(empty_database)]
        migrate.upgrade(empty_database, first)
        found = await look(variables, MEDIAGATE_DATABASE_URL=empty_database)
        assert found["schema"].detail == f"{len(others)} migrations to come: {', '.join(others)}"
        assert "pg_dump into" in found["backup"].detail

    async def test_a_schema_of_a_newer_release(self, variables: dict[str, str], empty_database: str) -> None:
        migrate.upgrade(empty_database)
        async with await psycopg.AsyncConnection.connect(empty_database, autocommit=True) as connection:
            await connection.execute("UPDATE alembic_version SET version_num = '9999'")
        found = await look(variables, MEDIAGATE_DATABASE_URL=empty_database)
        assert found["schema"].result == "fail"
        assert "9999" in found["schema"].detail

    async def test_a_bucket_that_is_missing(self, variables: dict[str, str], empty_database: str) -> None:
        found = await look(variables, MEDIAGATE_S3_BUCKET="nowhere")
        assert found["object store"].result == "fail"
        new = await look(variables, MEDIAGATE_S3_BUCKET="nowhere", MEDIAGATE_DATABASE_URL=empty_database)
        assert (new["object store"].result, new["schema"].detail) == ("warn", "empty; it will be made")

    async def test_a_namespace_that_is_missing(self, variables: dict[str, str]) -> None:
        found = await look(variables, TEMPORAL_NAMESPACE="nowhere")
        assert (found["temporal"].result, found["backlog"].result) == ("fail", "fail")
        assert "nowhere" in found["temporal"].detail

    async def test_too_much_that_waits(self, variables: dict[str, str]) -> None:
        found = await look(variables, -1)  # as if one more were waiting than may
        assert found["backlog"].result == "fail"
        assert found["backlog"].detail.startswith("io ")

    async def test_a_variable_that_nothing_reads(self, variables: dict[str, str]) -> None:
        found = await look(variables, MEDIAGATE_SHUTDOWN_GRACES="30")
        assert found["settings"] == Finding(
            "settings", "warn", "MEDIAGATE_SHUTDOWN_GRACES: no such setting; it is not read.", found["settings"].advice
        )

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("MEDIAGATE_DELIVERY_SECRETS", "", "MEDIAGATE_DELIVERY_SECRETS is not set"),
            ("MEDIAGATE_S3_SECRET_KEY", "mediagate-local", "which everybody knows"),
        ],
        ids=["missing", "default"],
    )
    async def test_a_secret_that_is_none(self, variables: dict[str, str], name: str, value: str, said: str) -> None:
        found = await look(variables, **{"MEDIAGATE_ENVIRONMENT": "production", name: value})
        assert found["secrets"].result == "fail"
        assert said in found["secrets"].detail

    async def test_settings_that_cannot_be_read_are_named_without_their_values(self, variables: dict[str, str]) -> None:
        found = await look(variables, MEDIAGATE_API_PORT="hunter2")
        assert found.keys() == {"settings"}
        assert "MEDIAGATE_API_PORT" in found["settings"].detail
        assert "hunter2" not in found["settings"].detail
