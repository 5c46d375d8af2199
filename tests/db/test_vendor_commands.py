"""`mediagate vendors` and `mediagate inbox` against a real database and a real Temporal service."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import typer
from typer.testing import CliRunner, Result

from cli import inbox, vendors
from db.session import Database
from db.tables import InboxEvent, InboxState, Library, now
from devstack.environment import applied
from mediagate.media.values import Status
from mediagate.settings import Settings
from mediagate.vendors.checks import CheckOutcome
from tests.db.test_repositories import added

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
def vendor() -> str:
    """A name that no other test has."""
    return f"v{uuid4().hex[:12]}"


@pytest.fixture
def command(services: dict[str, str], stack_settings: Settings, vendor: str, tmp_path: Path) -> Iterator[Command]:
    """Runs a command in a deployment whose own vendor is `vendor`; on a loop of its own, as the program does."""

    async def run(app: typer.Typer, *arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments])

    own = {
        "MEDIAGATE_DATABASE_URL": stack_settings.database_url.get_secret_value(),
        "MEDIAGATE_VENDOR_NAME": vendor,
        "MEDIAGATE_STATE_DIR": str(tmp_path),
    }
    with applied({**services, **own}):
        yield run


def printed(result: Result) -> Any:
    """The JSON document."""
    return json.loads(result.stdout)


async def dead_letter(db: Database, vendor: str, **fields: Any) -> str:
    """An event about nothing; its id in the inbox."""
    row = InboxEvent(vendor=vendor, event_id=uuid4().hex, media_id=uuid4(), body=b'{"a": 1}')
    said = {"event_id": row.event_id, "vendor": vendor}
    own = {"state": InboxState.UNMATCHED, "event": said, "headers": {"webhook-id": "m"}}
    row.sqlmodel_update(own | fields)
    async with db.transaction() as tx:
        await tx.inbox.store(row)
    return str(row.id)


class TestVendors:
    async def test_off_and_on(self, command: Command, vendor: str) -> None:
        assert (await command(vendors.app, "list")).exit_code == 0
        assert (await command(vendors.app, "open", vendor)).exit_code == 0
        listed = await command(vendors.app, "list", "--json")
        assert listed.exit_code == 1
        (one,) = printed(listed)
        assert (one["name"], one["state"], one["held_by"].endswith("(CLI)")) == (vendor, "open", True)
        assert "closes it" in (await command(vendors.app, "list")).stdout
        assert (await command(vendors.app, "close", vendor, "--json")).exit_code == 0
        assert printed(await command(vendors.app, "show", vendor, "--json"))["state"] == "closed"

    async def test_the_last_check(self, command: Command, vendor: str, db: Database) -> None:
        assert "never" in (await command(vendors.app, "list")).stdout
        at = datetime(2026, 11, 22, 10, 5, tzinfo=UTC)
        check = {"at": at, "outcome": CheckOutcome.FAILS, "failures": 2, "detail": "It is away."}
        async with db.transaction() as tx:
            (await tx.checks.of(vendor, lock=True)).sqlmodel_update(check)
        assert "fails (2 in a row), 11-22 10:05" in (await command(vendors.app, "list")).stdout
        shown = printed(await command(vendors.app, "show", vendor, "--json"))["check"]
        assert {name: shown[name] for name in check} == {**check, "at": "2026-11-22T10:05:00Z"}
        assert "It is away." in (await command(vendors.app, "show", vendor)).stdout

    async def test_usage(self, command: Command, vendor: str, db: Database, library: Library) -> None:
        async with db.transaction() as tx:
            await tx.vendors.count(vendor, library.id, calls=2, failures=1, cost_micros=2_500_000)
        (row,) = printed(await command(vendors.app, "usage", vendor, "--json"))
        usage = {"calls": 2, "failures": 1, "cached": 0, "cost_micros": 2_500_000}
        assert row == {"day": str(now().date()), "vendor": vendor, "library": library.slug, "usage": usage}
        text = (await command(vendors.app, "usage")).stdout
        assert library.slug in text
        assert "2.50 USD since" in text
        shown = (await command(vendors.app, "show", vendor)).stdout
        assert "today cost micros" in shown.replace("_", " ")

    @pytest.mark.parametrize("name", ["show", "open", "close", "usage"])
    async def test_an_unknown_one(self, command: Command, name: str) -> None:
        assert "no vendor of this name" in str((await command(vendors.app, name, "nobody")).exception)


class TestInbox:
    async def test_list_and_show(self, command: Command, vendor: str, db: Database) -> None:
        first = await dead_letter(db, vendor)
        late = await dead_letter(db, vendor, state=InboxState.LATE)
        assert [one["id"] for one in printed(await command(inbox.app, "list", "--vendor", vendor, "--json"))] == [first]
        found = printed(await command(inbox.app, "list", "--vendor", vendor, "--state", "late", "--json"))
        assert [one["id"] for one in found] == [late]
        assert first in (await command(inbox.app, "list", "--vendor", vendor)).stdout
        shown = printed(await command(inbox.app, "show", first, "--json"))
        assert (shown["body"], shown["headers"], shown["state"]) == ('{"a": 1}', {"webhook-id": "m"}, "unmatched")
        assert '{"a": 1}' in (await command(inbox.app, "show", first)).stdout

    async def test_all_are_only_counted_without_yes(self, command: Command, vendor: str, db: Database) -> None:
        for _ in range(2):
            await dead_letter(db, vendor)
        counted = await command(inbox.app, "redeliver", "--all", "--vendor", vendor, "--json")
        assert printed(counted) == {"done": False, "dead_letters": 2}
        assert "2 dead letters" in (await command(inbox.app, "redeliver", "--all", "--vendor", vendor)).stdout

    async def test_one_to_the_item_that_is_meant(
        self, command: Command, vendor: str, db: Database, library: Library
    ) -> None:
        letter = await dead_letter(db, vendor)
        media = await added(db, library, status=Status.APPROVED)
        done = await command(inbox.app, "redeliver", letter, "--media", str(media.id), "--json")
        assert done.exit_code == 0
        assert printed(done)["events"] == [{"id": letter, "state": "late", "media_id": str(media.id), "detail": ""}]

    async def test_all_of_them_and_what_became_of_each(
        self, command: Command, vendor: str, db: Database, library: Library
    ) -> None:
        media = await added(db, library, status=Status.APPROVED)
        known = await dead_letter(db, vendor, media_id=media.id)
        unknown = await dead_letter(db, vendor)
        done = await command(inbox.app, "redeliver", "--all", "--vendor", vendor, "--yes", "--json")
        assert done.exit_code == 1
        assert {one["id"]: one["state"] for one in printed(done)["events"]} == {known: "late", unknown: "unmatched"}

    async def test_one_that_cannot_be_delivered_is_named(self, command: Command, vendor: str, db: Database) -> None:
        ghost = str(UUID(int=1))
        done = await command(inbox.app, "redeliver", ghost, await dead_letter(db, vendor), "--json")
        assert done.exit_code == 1
        assert [one["state"] for one in printed(done)["events"]] == ["refused", "unmatched"]

    async def test_an_unknown_one(self, command: Command) -> None:
        assert "no event" in str((await command(inbox.app, "show", str(UUID(int=1)))).exception)
