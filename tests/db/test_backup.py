"""Backups of the database, made by the real programs and restored from them."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli import database_backups
from cli.postgres_programs import find_programs
from db import backup, dumps, migrate
from db.programs import Programs, environment
from mediagate.errors import BackupFailed, Conflict, InvalidRequest, NotFound, ObjectCorrupt
from mediagate.settings import Settings
from tests.evidence import copy_of, new_database


@pytest.fixture
def database(migrated: str) -> Iterator[str]:
    """A migrated database with a few rows."""
    with copy_of(migrated) as url:
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO library (id, slug, name, settings, created_at)"
                " SELECT gen_random_uuid(), 'lib-' || n, 'name', '{}', now() FROM generate_series(1, 25) n"
            )
        yield url


@pytest.fixture
def empty(stack_settings: Settings) -> Iterator[str]:
    with new_database(stack_settings.database_url.get_secret_value(), "") as url:
        yield url


@pytest.fixture(scope="module")
def programs(stack_settings: Settings) -> Programs:
    return find_programs(backup.look(stack_settings.database_url.get_secret_value()).major)


def libraries(url: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT slug FROM library ORDER BY slug").fetchall()


class TestDump:
    def test_says_what_is_in_it(self, database: str, programs: Programs, tmp_path: Path) -> None:
        archive, sizes = tmp_path / "deep" / "one.dump", list[int]()
        made = backup.dump(database, archive, programs, report=sizes.append)
        assert dumps.read_manifest(archive) == made
        assert made.tables["library"] == 25
        assert made.revision == migrate.status(database)[-1].id
        assert (archive.stat().st_size, dumps.sha256_of(archive)) == (made.size, made.sha256)
        assert sizes[-1] == made.size
        assert {file.stat().st_mode & 0o777 for file in archive.parent.iterdir()} == {0o600}

    def test_is_of_one_moment_with_what_is_read_beside_it(
        self, database: str, programs: Programs, tmp_path: Path
    ) -> None:
        seen = []

        def beside(connection: psycopg.Connection) -> None:
            with psycopg.connect(database) as other:
                other.execute("DELETE FROM library")
            seen.extend(connection.execute("SELECT slug FROM library").fetchall())

        made = backup.dump(database, tmp_path / "one.dump", programs, beside=beside)
        assert (len(seen), made.tables["library"], libraries(database)) == (25, 25, [])

    def test_a_dump_that_fails_leaves_nothing(self, database: str, programs: Programs, tmp_path: Path) -> None:
        broken = programs.model_copy(update={"pg_dump": Path(shutil.which("false") or "")})
        with pytest.raises(BackupFailed, match="ended with code 1"):
            backup.dump(database, tmp_path / "one.dump", broken)
        with pytest.raises(BackupFailed, match="No such file"):
            backup.dump(database, tmp_path / "one.dump", programs.model_copy(update={"pg_dump": Path("/nowhere/at")}))
        assert list(tmp_path.iterdir()) == []

    def test_replaces_no_file_and_makes_none_of_nothing(
        self, database: str, empty: str, programs: Programs, tmp_path: Path
    ) -> None:
        (tmp_path / "one.dump").touch()
        with pytest.raises(Conflict, match="already"):
            backup.dump(database, tmp_path / "one.dump", programs)
        with pytest.raises(Conflict, match="nothing to back up"):
            backup.dump(empty, tmp_path / "two.dump", programs)

    def test_the_password_is_in_the_environment_only(self) -> None:
        given = environment("postgresql://ann:s%C3%A9cret@127.0.0.1:5433/gate?sslmode=disable")
        assert {name: given[name] for name in ("PGUSER", "PGPASSWORD", "PGHOST", "PGPORT", "PGDATABASE")} == {
            "PGUSER": "ann",
            "PGPASSWORD": "sécret",
            "PGHOST": "127.0.0.1",
            "PGPORT": "5433",
            "PGDATABASE": "gate",
        }
        assert given["PGSSLMODE"] == "disable"


class TestRestore:
    def test_into_an_empty_database(self, database: str, empty: str, programs: Programs, tmp_path: Path) -> None:
        archive = tmp_path / "one.dump"
        backup.dump(database, archive, programs)
        backup.restore(empty, archive, programs)
        assert libraries(empty) == libraries(database)
        assert all(revision.applied for revision in migrate.status(empty))
        again = tmp_path / "two.dump"
        assert backup.dump(empty, again, programs).tables == dumps.read_manifest(archive).tables

    def test_in_place_of_what_is_there(self, database: str, programs: Programs, tmp_path: Path) -> None:
        archive = tmp_path / "one.dump"
        backup.dump(database, archive, programs)
        before = libraries(database)
        with psycopg.connect(database) as connection:
            connection.execute("DELETE FROM library")
            connection.execute("CREATE TABLE of_a_newer_release (n int)")
            connection.execute('CREATE SCHEMA "somebody else"')
        with pytest.raises(Conflict, match="not empty"):
            backup.restore(database, archive, programs)
        assert libraries(database) == []
        backup.restore(database, archive, programs, replace=True)
        assert libraries(database) == before
        assert "of_a_newer_release" not in backup.look(database).tables

    def test_not_while_somebody_works_with_it(self, database: str, programs: Programs, tmp_path: Path) -> None:
        archive = tmp_path / "one.dump"
        backup.dump(database, archive, programs)
        with (
            psycopg.connect(database, application_name="a worker"),
            pytest.raises(Conflict, match=r"a worker from 127\.0\.0\.1 \(1\)"),
        ):
            backup.restore(database, archive, programs, replace=True)

    @pytest.mark.parametrize(
        ("changes", "why"),
        [({"revision": "9999"}, "newer"), ({"server": "99.1"}, "older one")],
        ids=["of-a-newer-release", "of-a-newer-server"],
    )
    def test_what_this_place_cannot_have_is_refused(
        self, database: str, empty: str, programs: Programs, tmp_path: Path, changes: dict[str, str], why: str
    ) -> None:
        archive = tmp_path / "one.dump"
        made = backup.dump(database, archive, programs)
        dumps.manifest_path(archive).write_text(made.model_copy(update=changes).model_dump_json())
        with pytest.raises(Conflict, match=why):
            backup.restore(empty, archive, programs)
        assert backup.look(empty).tables == ()

    def test_a_damaged_backup_is_refused_before_anything_is_dropped(
        self, database: str, programs: Programs, tmp_path: Path
    ) -> None:
        archive = tmp_path / "one.dump"
        made = backup.dump(database, archive, programs)
        whole = archive.read_bytes()
        archive.write_bytes(whole[:-1])
        with pytest.raises(ObjectCorrupt, match="cut off"):
            backup.restore(database, archive, programs, replace=True)
        archive.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        with pytest.raises(ObjectCorrupt, match="altered"):
            backup.restore(database, archive, programs, replace=True)
        assert len(libraries(database)) == made.tables["library"]

    def test_what_is_no_backup_is_refused(self, tmp_path: Path) -> None:
        archive = tmp_path / "one.dump"
        with pytest.raises(NotFound):
            dumps.read_manifest(archive)
        archive.touch()
        with pytest.raises(NotFound, match=r"one\.dump\.json"):
            dumps.read_manifest(archive)
        dumps.manifest_path(archive).write_text("{}")
        with pytest.raises(InvalidRequest, match="not the manifest"):
            dumps.read_manifest(archive)

    def test_rows_that_are_not_there_are_noticed(
        self, database: str, empty: str, programs: Programs, tmp_path: Path
    ) -> None:
        archive = tmp_path / "one.dump"
        made = backup.dump(database, archive, programs)
        lying = made.model_copy(update={"tables": {**made.tables, "library": 26}})
        dumps.manifest_path(archive).write_text(lying.model_dump_json())
        with pytest.raises(ObjectCorrupt, match="library"):
            backup.restore(empty, archive, programs)


class TestBeforeMigrations:
    def settings(self, url: str, folder: Path, **more: object) -> Settings:
        return Settings.model_validate({"database_url": url, "backup_dir": folder, **more})

    def test_a_database_that_holds_something_is_backed_up(
        self, database: str, empty: str, programs: Programs, tmp_path: Path
    ) -> None:
        migrate.downgrade(database, "-1")
        archive = database_backups.migrate_with_backup(self.settings(database, tmp_path))
        assert archive
        assert all(revision.applied for revision in migrate.status(database))
        backup.restore(empty, archive, programs)
        assert [revision.applied for revision in migrate.status(empty)].count(False) == 1
        assert libraries(empty) == libraries(database)

    def test_an_empty_or_finished_one_is_not(self, database: str, empty: str, tmp_path: Path) -> None:
        assert database_backups.migrate_with_backup(self.settings(database, tmp_path)) is None
        assert database_backups.migrate_with_backup(self.settings(empty, tmp_path)) is None
        migrate.downgrade(empty, "-1")
        assert database_backups.migrate_with_backup(self.settings(empty, tmp_path), backed_up=False) is None
        assert all(revision.applied for revision in migrate.status(empty))
        assert list(tmp_path.iterdir()) == []

    def test_a_backup_that_fails_stops_the_migration(self, database: str, tmp_path: Path) -> None:
        migrate.downgrade(database, "-1")
        (tmp_path / "file").touch()
        with pytest.raises(OSError, match="file"):
            database_backups.migrate_with_backup(self.settings(database, tmp_path / "file" / "below"))
        assert not all(revision.applied for revision in migrate.status(database))

    def test_only_the_last_of_its_own_are_kept(self, database: str, tmp_path: Path) -> None:
        for number, name in enumerate(("mine.dump", "before-a.dump", "before-b.dump")):
            for file in (tmp_path / name, dumps.manifest_path(tmp_path / name)):
                file.touch()
                os.utime(file, (number, number))
        made = database_backups.before_change(self.settings(database, tmp_path, backup_keep=2), "before-c")
        assert {file.name for file in tmp_path.glob("*.dump")} == {"mine.dump", "before-b.dump", made.name}
        assert len(list(tmp_path.glob("*.json"))) == 3


class TestPrograms:
    def test_the_servers_own_version_is_taken_else_a_newer_one(self, programs: Programs) -> None:
        said = subprocess.run([programs.pg_dump, "--version"], capture_output=True, text=True, check=True).stdout
        assert f") {programs.major}" in said
        with pytest.raises(NotFound, match="postgresql-client-99"):
            find_programs(99)


def test_the_manifest_is_json_that_a_person_can_read(database: str, programs: Programs, tmp_path: Path) -> None:
    backup.dump(database, tmp_path / "one.dump", programs)
    text = (tmp_path / "one.dump.json").read_text()
    assert json.loads(text)["format"] == 1
    assert text.count("\n") > 20
