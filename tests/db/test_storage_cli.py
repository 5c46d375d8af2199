"""`mediagate storage` and `mediagate schedules`, as the programs print what is in the database."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from cli import storage
from db.session import Database
from db.tables import FindingKind, FindingState, Library, Media, Scrub, StorageChange, now
from devstack.environment import applied
from mediagate.media.values import Status
from mediagate.settings import Settings


@pytest.fixture
def at_home(services: dict[str, str], stack_settings: Settings, tmp_path: Path) -> Iterator[None]:
    """The environment of somebody who operates this test's deployment."""
    own = {
        "MEDIAGATE_DATABASE_URL": stack_settings.database_url.get_secret_value(),
        "MEDIAGATE_STATE_DIR": str(tmp_path),
    }
    with applied({**services, **own}):
        yield


async def run(*arguments: str, code: int = 0) -> Result:
    """One command on a loop of its own, as the program runs it."""
    result = await asyncio.to_thread(CliRunner().invoke, storage.app, [*arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


async def printed(*arguments: str, code: int = 0) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((await run(*arguments, "--json", code=code)).output)
    return document


@pytest.mark.usefixtures("at_home")
class TestCommands:
    async def test_stats(self, db: Database, library: Library) -> None:
        change = StorageChange(library_id=library.id, status="approved", kind="master", objects=3, bytes=4_000_000)
        async with db.transaction() as tx:
            tx.session.add(change)
        shown = await printed("stats", "--library", library.slug)
        assert shown["held"] == [{"status": "approved", "kind": "master", "objects": 3, "bytes": 4_000_000}]
        table = (await run("stats", "--library", library.slug)).output
        assert "4.0 MB" in table
        assert "approved" in table
        async with db.transaction() as tx:
            await tx.storage.recount(library.id)
        assert (await run("stats", "--library", "nobody", code=1)).exception

    async def test_a_clean_up_is_only_shown(self, db: Database, library: Library) -> None:
        old = now() - timedelta(days=9)
        media = Media(library_id=library.id, filename="a.jpg", content_type="image/jpeg", declared_bytes=9)
        media.sqlmodel_update({"status": Status.REJECTED, "created_at": old, "updated_at": old, "bytes": 9})
        async with db.transaction() as tx:
            row = await tx.access.library(library.slug)
            assert row
            row.settings = {"retention": {"rejected": 5}}
            tx.media.add(media)
        shown = await printed("cleanup", "--library", library.slug)
        assert [(one["step"], one["why"]) for one in shown["due"]] == [("trash", "rejected for more than 5 days")]
        table = (await run("cleanup", "--library", library.slug)).output
        assert "to the trash" in table
        assert "Nothing changed; add --yes" in table
        async with db.transaction() as tx:
            assert (await tx.media.get(media.id)).status is Status.REJECTED

    async def test_scrubs_and_findings(self, db: Database, library: Library) -> None:
        scrub, key = Scrub(started_by="ada", missing=1), f"{library.slug}/{uuid4()}"
        async with db.transaction() as tx:
            await tx.scrubs.begin(scrub)
            await tx.scrubs.find(
                scrub.id, key, {"kind": FindingKind.MISSING, "part": "master", "library": library.slug}
            )
        listed = await printed("scrubs", "--limit", "200")
        assert str(scrub.id) in {one["id"] for one in listed["scrubs"]}
        assert "missing" in (await run("scrubs")).output
        found = await printed("findings", "--kind", "missing", code=1)
        assert key in {one["key"] for one in found["findings"]}
        assert key in (await run("findings", code=1)).output
        async with db.transaction() as tx:
            await tx.scrubs.settle_others(uuid4(), library.slug)
        async with db.transaction() as tx:
            assert key not in {one.key for one in await tx.scrubs.findings(state=FindingState.OPEN, limit=1000)}
