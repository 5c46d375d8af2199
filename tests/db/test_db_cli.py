"""`mediagate db` as a person uses it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from cli.db import app
from cli.local_stack import is_local_database
from db import migrate
from devstack.environment import applied
from mediagate.errors import Conflict, NotAllowed
from mediagate.settings import Settings
from tests.evidence import copy_of, new_database

Run = Callable[..., Result]


@pytest.fixture
def database(migrated: str) -> Iterator[str]:
    """A migrated database with one library."""
    with copy_of(migrated) as url:
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO library (id, slug, name, settings, created_at)"
                " VALUES (gen_random_uuid(), 'photos', '', '{}', now())"
            )
        yield url


@pytest.fixture
def empty(stack_settings: Settings) -> Iterator[str]:
    with new_database(stack_settings.database_url.get_secret_value(), "") as url:
        yield url


@pytest.fixture
def run(database: str, tmp_path: Path) -> Run:
    """Calls a command on the database, or on another one; errors are raised as they are."""

    def call(*arguments: str, url: str = database, typed: str = "", **environment: str) -> Result:
        own = {"MEDIAGATE_STATE_DIR": str(tmp_path / "state"), "MEDIAGATE_DATABASE_URL": url, **environment}
        with applied(own):
            result = CliRunner().invoke(app, arguments, input=typed)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


def libraries(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM library").fetchone()
    return row[0] if row else 0


class TestBackupAndRestore:
    def test_from_one_database_into_another(self, run: Run, empty: str, tmp_path: Path) -> None:
        archive = tmp_path / "one.dump"
        made = json.loads(run("backup", str(archive), "--json").stdout)
        assert (made["file"], made["tables"]["library"]) == (str(archive), 1)
        planned = run("restore", str(archive), url=empty).stdout
        assert "is intact" in planned
        assert "Nothing was changed. Add --yes" in planned
        assert "was restored" in run("restore", str(archive), "--yes", url=empty).stdout
        assert libraries(empty) == 1

    def test_what_is_replaced_is_kept(self, run: Run, database: str, tmp_path: Path) -> None:
        archive = tmp_path / "one.dump"
        run("backup", str(archive))
        with psycopg.connect(database) as connection:
            connection.execute("DELETE FROM library")
        with pytest.raises(Conflict, match="--replace"):
            run("restore", str(archive), "--yes")
        assert "drop its" in run("restore", str(archive), "--replace").stdout
        assert libraries(database) == 0
        restored = json.loads(run("restore", str(archive), "--replace", "--yes", "--json").stdout)
        assert libraries(database) == 1
        run("restore", restored["kept"], "--replace", "--yes", "--no-backup")
        assert libraries(database) == 0

    def test_while_somebody_works_with_it_only_the_plan_is_told(self, run: Run, database: str, tmp_path: Path) -> None:
        archive = tmp_path / "one.dump"
        run("backup", str(archive))
        with psycopg.connect(database, application_name="worker"):
            assert "worker from" in run("restore", str(archive), "--replace").stdout
            with pytest.raises(Conflict, match="worker from"):
                run("restore", str(archive), "--replace", "--yes")
        assert list((tmp_path / "state").glob("backups/*")) == []

    def test_without_a_name_it_goes_into_the_folder(self, run: Run, tmp_path: Path) -> None:
        assert "There is no backup in" in run("status").stdout
        file = Path(json.loads(run("backup", "--json").stdout)["file"])
        assert file.parent == tmp_path / "state" / "backups"
        elsewhere = run("backup", "--json", MEDIAGATE_BACKUP_DIR=str(tmp_path / "other"))
        assert Path(json.loads(elsewhere.stdout)["file"]).parent == tmp_path / "other"
        assert "The last backup in" in run("status").stdout


class TestMigrations:
    def test_are_preceded_by_a_backup(self, run: Run, database: str, tmp_path: Path) -> None:
        said = run("downgrade", "-1", "--yes").stdout
        assert "before-downgrade-" in said
        assert run("status").exit_code == 1
        assert "before-head-" in run("upgrade").stdout
        assert "Backed up" not in run("upgrade").stdout
        assert run("status").exit_code == 0
        assert len(list((tmp_path / "state" / "backups").glob("before-*.dump"))) == 2

    def test_need_none_if_that_is_said(self, run: Run, tmp_path: Path) -> None:
        assert "Nothing was changed" in run("downgrade", "-1").stdout
        run("downgrade", "-1", "--yes", "--no-backup")
        assert "Backed up" not in run("upgrade", "--no-backup").stdout
        assert not (tmp_path / "state" / "backups").exists()

    def test_of_a_newer_release_are_named(self, run: Run, database: str) -> None:
        with psycopg.connect(database) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(Conflict, match="9999, which this release does not know"):
            run("status")


class TestReset:
    def test_is_refused_outside_development(self, run: Run, database: str) -> None:
        for environment in ("production", "staging"):
            with pytest.raises(NotAllowed, match="nothing was changed"):
                run("reset", "--yes", MEDIAGATE_ENVIRONMENT=environment)
        assert libraries(database) == 1

    def test_asks_for_the_name(self, run: Run, database: str) -> None:
        with pytest.raises(Conflict, match="not its name"):
            run("reset", typed="photos\n", MEDIAGATE_ENVIRONMENT="development")
        assert libraries(database) == 1
        run("reset", typed=f"{database.rpartition('/')[2]}\n", MEDIAGATE_ENVIRONMENT="development")
        assert libraries(database) == 0
        assert all(revision.applied for revision in migrate.status(database))

    def test_is_done_without_asking_if_that_is_said(self, run: Run, database: str) -> None:
        done = json.loads(run("reset", "--yes", "--json", MEDIAGATE_ENVIRONMENT="development").stdout)
        assert (done["reset"], libraries(database)) == (True, 0)

    def test_the_local_stacks_database_is_known_by_its_stack(self, database: str, tmp_path: Path) -> None:
        with applied({"MEDIAGATE_STATE_DIR": str(tmp_path)}):
            assert not is_local_database(database)
            (tmp_path / "stack.json").write_text(json.dumps({"database_url": database, "pids": {"postgres": 1}}))
            assert not is_local_database(database)  # nobody holds the folder: no stack runs
