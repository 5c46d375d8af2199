"""`mediagate banks` as a person uses it, from a new bank to a released entry."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.banks import app
from db.session import Database
from db.tables import Library, now
from devstack.environment import applied
from mediagate.errors import Conflict, InvalidRequest, NotFound
from mediagate.settings import Settings
from tests.db.test_banks import digest, hit
from tests.db.test_repositories import added

Run = Callable[..., Awaitable[str]]


@pytest.fixture
def run(stack_settings: Settings, tmp_path: Path) -> Run:
    """Calls a command; its standard output. `code`: the exit code that it must have."""
    environment = {
        "MEDIAGATE_DATABASE_URL": stack_settings.database_url.get_secret_value(),
        "MEDIAGATE_STATE_DIR": str(tmp_path),
    }

    async def call(*arguments: object, code: int = 0) -> str:
        with applied(environment):
            result = await asyncio.to_thread(CliRunner().invoke, app, [str(one) for one in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    return call


async def shown(run: Run, *arguments: object, code: int = 0) -> Any:
    return json.loads(await run(*arguments, "--json", code=code))


class TestBanks:
    async def test_made_filled_and_listed(self, run: Run, library: Library, tmp_path: Path) -> None:
        slug, one = library.slug, digest()
        made = await shown(run, "create", slug, "leaks", "--category", "gore", "--action", "reject")
        assert (made["name"], made["distance"], made["everywhere"]) == ("leaks", 4, False)
        await run("create", slug, "ours", "--good")
        assert [bank["name"] for bank in await shown(run, "list", slug) if not bank["everywhere"]] == ["leaks", "ours"]
        assert "this library" in await run("list", slug)
        source = tmp_path / "list.csv"
        source.write_text(f"kind,value,note\nsha256,{one},=1\npdq,{one},\n")
        report = await shown(run, "import", slug, "leaks", source, code=1)
        assert (report["added"], report["known"], report["skipped_count"]) == (1, 0, 1)
        assert report["skipped"][0]["line"] == 3
        told = await run("import", slug, "leaks", source, code=1)
        assert "0 added, 1 known already, 1 lines left out." in told
        assert "line 3: pdq cannot be compared here" in told
        for form in ("csv", "json"):
            exported = tmp_path / f"copy.{form}"
            exported.write_text(await run("export", slug, "leaks", "--format", form))
            assert (await shown(run, "import", slug, "leaks", exported))["known"] == 1

    async def test_an_entry_added_held_released_and_removed(self, run: Run, library: Library, db: Database) -> None:
        slug, one = library.slug, digest()
        await run("create", slug, "leaks", "--category", "gore", "--flood-limit", "1")
        media = [await added(db, library, sha256=one, accepted_at=now()) for _ in range(2)]
        (entry,) = await shown(run, "add", slug, "leaks", "--media", media[0].id, "--note", "reported")
        assert (entry["value"], entry["note"], entry["source"]) == (one, "reported", f"media {media[0].id}")
        assert entry["added_by"].startswith("cli:")
        for item in media:
            await hit(db, item)
        (held,) = (await shown(run, "show", slug, "leaks", "--state", "quarantined"))["entries"]
        assert held["id"] == entry["id"]
        assert [match["held"] for match in await shown(run, "matches", slug, "leaks")] == [True, False]
        assert "(held)" in await run("matches", slug, "leaks")
        assert (await shown(run, "release", slug, "leaks", entry["id"]))["state"] == "active"
        assert "Nothing was changed" in await run("remove", slug, "leaks", entry["id"])
        assert "active" in await run("show", slug, "leaks")
        assert (await shown(run, "remove", slug, "leaks", entry["id"], "--yes"))["state"] == "removed"
        (again,) = await shown(run, "add", slug, "leaks", "--sha256", one)
        assert (again["id"], again["state"]) == (entry["id"], "active")

    async def test_what_cannot_be_done_is_said(self, run: Run, library: Library, tmp_path: Path) -> None:
        slug = library.slug
        await run("create", slug, "leaks", "--category", "gore")
        with pytest.raises(NotFound, match="no library named nobody"):
            await run("list", "nobody")
        with pytest.raises(NotFound, match="no bank"):
            await run("show", slug, "other")
        with pytest.raises(Conflict, match="another name"):
            await run("create", slug, "leaks", "--category", "gore")
        with pytest.raises(InvalidRequest, match="a good bank approves"):
            await run("create", slug, "wrong", "--category", "gore", "--action", "approve")
        with pytest.raises(InvalidRequest, match="16 hexadecimal digits"):
            await run("add", slug, "leaks", "--phash", "xyz")
        await run("add", slug, "leaks", code=2)
        source = tmp_path / "list.csv"
        source.write_bytes(b"kind,value\nsha256,\xff\n")
        with pytest.raises(InvalidRequest, match="not UTF-8"):
            await run("import", slug, "leaks", source)
