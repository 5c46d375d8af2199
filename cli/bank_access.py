"""How the commands of `mediagate banks` reach the database, and how they show what is there."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from cli.local_stack import adopt_local_stack
from cli.output import mark, print_table
from db.session import Database, Transaction
from db.tables import Bank, BankEntry, Library
from mediagate.errors import NotFound
from mediagate.moderation.banks import EntryState
from mediagate.settings import Settings

T = TypeVar("T")


def in_library(slug: str, act: Callable[[Transaction, Library], Awaitable[T]]) -> T:
    """One transaction about one library."""

    async def with_transaction(db: Database) -> T:
        async with db.transaction() as tx:
            return await act(tx, await library_of(tx, slug))

    return with_database(with_transaction)


def with_database(act: Callable[[Database], Awaitable[T]]) -> T:
    """With the database of the environment, or of the running local stack."""
    adopt_local_stack()
    settings = Settings()

    async def connected() -> T:
        db = Database(settings.database_url.get_secret_value(), pool_size=1)
        try:
            return await act(db)
        finally:
            await db.close()

    return asyncio.run(connected())


async def library_of(tx: Transaction, slug: str) -> Library:
    """The library of that name. Raises NotFound."""
    found = await tx.access.library(slug)
    if found is None:
        raise NotFound(f"There is no library named {slug}.")
    return found


def by() -> str:
    """Who is at the terminal, for rows that say who did it."""
    return f"cli:{getpass.getuser()}"


def whose(bank: Bank) -> str:
    """Whose items it looks at."""
    return "every library" if bank.library_id is None else "this library"


def facts(bank: Bank) -> dict[str, Any]:
    """A bank for `--json`."""
    return {**bank.model_dump(exclude={"id", "library_id"}), "everywhere": bank.library_id is None}


def plain(entry: BankEntry) -> dict[str, Any]:
    """An entry for `--json`."""
    return entry.model_dump(exclude={"bank_id", "phash"})


def print_entries(entries: Iterable[BankEntry]) -> None:
    """A table of entries."""
    marks = {EntryState.ACTIVE: mark("ok"), EntryState.QUARANTINED: mark("warn"), EntryState.REMOVED: mark("fail")}
    print_table(
        ["", "entry", "state", "kind", "value", "note", "source", "added (UTC)"],
        [(marks[e.state], e.id, e.state, e.kind, e.value, e.note, e.source, f"{e.added_at:%F %T}") for e in entries],
    )
