"""`mediagate banks`: what is known to be bad, or good: making banks, filling them, and looking after their entries."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from pydantic import ValidationError

from activities.bank_lists import Report, of_item, take_in, written_csv, written_threat_exchange
from api.bank_models import BankCreate
from cli.bank_access import by, facts, in_library, library_of, plain, print_entries, whose, with_database
from cli.output import Json, print_json, print_line, print_table
from db.session import Database, Transaction
from db.tables import Bank, BankEntry, BankMatch, Library
from mediagate.errors import InvalidRequest, NotFound
from mediagate.media.values import Verdict
from mediagate.moderation.banks import BankRules, EntryKind, EntryState, KnownHash, Polarity, known_hash
from mediagate.moderation.hash_lists import Line, read_csv, read_threat_exchange

TOLD = 20
"""Left-out lines that are printed."""

app = typer.Typer(
    no_args_is_help=True,
    help="Hash banks: files and pictures that are known to be bad, or good (docs/runbooks/hash-banks.md).\n\n"
    "An entry that hits too often is held back, and asks for reviews only, until it is released or removed.",
)

LibraryName = Annotated[str, typer.Argument(metavar="LIBRARY", help="Name of the library.")]
BankName = Annotated[str, typer.Argument(metavar="BANK", help="Name of the bank, its own or one for every library.")]
EntryId = Annotated[UUID, typer.Argument(metavar="ENTRY", help="The id of the entry.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")]


class Form(StrEnum):
    """How a list is written."""

    CSV = "csv"
    JSON = "json"


@app.command("list")
def list_(library: LibraryName, as_json: Json = False) -> None:
    """List the banks that look at a library's items.

    Example: `mediagate banks list photos`
    """

    async def act(tx: Transaction, owner: Library) -> list[Bank]:
        return list(await tx.banks.seen_from(owner.id))

    banks = in_library(library, act)
    if as_json:
        print_json([facts(bank) for bank in banks])
        return
    cells = [(b.name, b.polarity, b.action, b.category, b.distance, b.flood_limit, whose(b), b.enabled) for b in banks]
    print_table(["bank", "", "action", "category", "distance", "hits/h", "for", "enabled"], cells)


@app.command()
def create(
    library: LibraryName,
    name: Annotated[str, typer.Argument(help="a-z, 0-9, _ and -.")],
    action: Annotated[Verdict, typer.Option(help="For a hit: quarantine, reject or review.")] = Verdict.REVIEW,
    category: Annotated[str, typer.Option(help="What its hits are findings of, e.g. gore.")] = "",
    good: Annotated[bool, typer.Option("--good", help="A bank of what needs no second look: it approves.")] = False,
    distance: Annotated[int | None, typer.Option(min=0, max=8, help="Bits in which pictures may differ.")] = None,
    flood_limit: Annotated[int, typer.Option(min=1, help="Hits of one entry per hour before it is held.")] = 100,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="For every library.")] = False,
    as_json: Json = False,
) -> None:
    """Make an empty bank.

    Examples:

      mediagate banks create photos leaks --category gore --action reject

      mediagate banks create photos ours --good
    """
    polarity, wanted = (Polarity.GOOD, Verdict.APPROVE) if good else (Polarity.BAD, action)
    try:
        asked = BankCreate(
            name=name,
            polarity=polarity,
            action=wanted,
            category=category,
            distance=distance,
            flood_limit=flood_limit,
            everywhere=everywhere,
        )
    except ValidationError as error:
        raise InvalidRequest("; ".join(f"{e['msg']}" for e in error.errors()) + ".") from error

    async def act(tx: Transaction, owner: Library) -> Bank:
        rules = asked.model_dump(include=set(BankRules.model_fields)) | {"distance": asked.reach}
        bank = Bank(**rules, name=name, library_id=None if everywhere else owner.id, created_by=by())
        await tx.banks.add(bank)
        return bank

    made = in_library(library, act)
    if as_json:
        print_json(facts(made))
    else:
        print_line(f"{made.name} is there, and empty. Next: `mediagate banks import {library} {made.name} FILE`.")


@app.command()
def show(
    library: LibraryName,
    name: BankName,
    state: Annotated[EntryState | None, typer.Option(help="Only entries in this state.")] = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """Show a bank's rules and entries; `--state quarantined` are those that wait for a person.

    Example: `mediagate banks show photos leaks --state quarantined`
    """

    async def act(tx: Transaction, owner: Library) -> tuple[Bank, list[BankEntry]]:
        bank = await tx.banks.named(owner.id, name)
        return bank, list(await tx.banks.entries(bank.id, state=state, after=None, limit=limit))

    bank, entries = in_library(library, act)
    if as_json:
        print_json({**facts(bank), "entries": [plain(entry) for entry in entries]})
        return
    print_line(
        f"{bank.name} ({bank.polarity.value}, for {whose(bank)}): {bank.action.value} {bank.category}, pictures within"
        f" {bank.distance} bits, {bank.flood_limit} hits per hour{'' if bank.enabled else '; not enabled'}."
    )
    print_entries(entries)


@app.command()
def add(
    library: LibraryName,
    name: BankName,
    media: Annotated[UUID | None, typer.Option(help="An item: its file and its picture.")] = None,
    sha256: Annotated[str | None, typer.Option(help="The SHA-256 of a file, 64 hexadecimal digits.")] = None,
    phash: Annotated[str | None, typer.Option(help="A fingerprint, 16 hexadecimal digits.")] = None,
    note: Annotated[str, typer.Option(help="Why; one line.")] = "",
    as_json: Json = False,
) -> None:
    """Add an item, or hashes by themselves; what was removed is active again.

    Examples:

      mediagate banks add photos leaks --media 60eb2214-5c82-41b9-9094-6a12a18383b1 --note "reported twice"

      mediagate banks add photos leaks --phash 9a3c51f708d26be4
    """
    given = {EntryKind.SHA256: sha256, EntryKind.PHASH: phash}
    if not (media or sha256 or phash):
        raise typer.BadParameter("Name an item by --media, or a hash by --sha256 or --phash.")

    async def act(tx: Transaction, owner: Library) -> list[BankEntry]:
        bank, entries = await tx.banks.named(owner.id, name), list[KnownHash]()
        try:
            if media:
                item = await tx.media.get(media)
                if item.library_id != owner.id:
                    raise NotFound("There is no such item in this library.")
                entries += await of_item(tx, item, note)
            entries += [known_hash(kind, value, note, "by hand") for kind, value in given.items() if value]
        except ValueError as error:
            raise InvalidRequest(f"Not added: {error}.") from error
        return list(await tx.banks.restore(bank.id, entries, by=by()))

    added = in_library(library, act)
    if as_json:
        print_json([plain(entry) for entry in added])
    else:
        print_entries(added)


@app.command()
def remove(
    library: LibraryName,
    name: BankName,
    entry: EntryId,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would be done is shown.")] = False,
    as_json: Json = False,
) -> None:
    """Let an entry hit nothing any more. Importing its list again does not bring it back; `add` does.

    Example: `mediagate banks remove photos leaks 7c0b8a52-6c1e-4e0e-9d07-0f5a4a2f8f6b --yes`
    """

    async def act(tx: Transaction, owner: Library) -> BankEntry:
        bank = await tx.banks.named(owner.id, name)
        return await (tx.banks.remove(bank.id, entry, by=by()) if yes else tx.banks.entry(bank.id, entry))

    found = in_library(library, act)
    if as_json:
        print_json(plain(found))
        return
    print_entries([found])
    if not yes:
        print_line("It would be removed. Nothing was changed; add --yes to do it.")


@app.command()
def release(library: LibraryName, name: BankName, entry: EntryId, as_json: Json = False) -> None:
    """Let an entry that was held back act again; its hits so far do not count any more.

    Look at what it hit first: `mediagate banks matches`.

    Example: `mediagate banks release photos leaks 7c0b8a52-6c1e-4e0e-9d07-0f5a4a2f8f6b`
    """

    async def act(tx: Transaction, owner: Library) -> BankEntry:
        return await tx.banks.release((await tx.banks.named(owner.id, name)).id, entry, by=by())

    released = in_library(library, act)
    if as_json:
        print_json(plain(released))
    else:
        print_entries([released])


@app.command()
def matches(library: LibraryName, name: BankName, limit: Limit = 20, as_json: Json = False) -> None:
    """List what a bank hit in a library.

    Example: `mediagate banks matches photos leaks --limit 100 --json`
    """

    async def act(tx: Transaction, owner: Library) -> list[tuple[BankMatch, BankEntry]]:
        bank = await tx.banks.named(owner.id, name)
        return list(await tx.banks.matches(bank.id, owner.id, after=None, limit=limit))

    rows = in_library(library, act)
    if as_json:
        print_json([{**match.model_dump(), "kind": entry.kind, "value": entry.value} for match, entry in rows])
        return
    cells = [(m.media_id, m.entry_id, e.kind, m.distance, f"{m.action}{' (held)' if m.held else ''}", f"{m.at:%F %T}")
             for m, e in rows]  # fmt: skip
    print_table(["media id", "entry", "kind", "bits", "action", "at (UTC)"], cells)


@app.command("import")
def import_(
    library: LibraryName,
    name: BankName,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, or JSON as ThreatExchange has it.")],
    form: Annotated[Form | None, typer.Option("--format", help="By default as the file's name ends.")] = None,
    as_json: Json = False,
) -> None:
    """Take in a list of any length; a list that was taken in before adds nothing. Exit code 1 if lines were left out.

    CSV has a header and the columns kind (sha256 or phash), value, and if wanted note and source. Of ThreatExchange's
    hashes only HASH_SHA256 can be compared here; others are left out with their line.

    Examples:

      mediagate banks import photos leaks list.csv

      mediagate banks import photos leaks page-1.json --json
    """
    asked = form or (Form.JSON if file.suffix.lower() == ".json" else Form.CSV)

    async def act(db: Database) -> Report:
        async with db.transaction() as tx:
            bank = await tx.banks.named((await library_of(tx, library)).id, name)
        try:
            with file.open(encoding="utf-8", newline="") as opened:
                lines: Iterable[Line] = (
                    read_csv(opened) if asked is Form.CSV else read_threat_exchange(opened.read(), bank.polarity)
                )
                return await take_in(db, bank, lines, by=by())
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"{file} is not UTF-8.") from error

    report = with_database(act)
    left_out = [{"line": line.number, "why": line.why} for line in report.skipped]
    if as_json:
        counts = {"added": report.added, "known": report.known, "skipped_count": report.skipped_count}
        print_json({**counts, "skipped": left_out})
    else:
        print_line(f"{report.added} added, {report.known} known already, {report.skipped_count} lines left out.")
        for line in left_out[:TOLD]:
            print_line(f"line {line['line']}: {line['why']}", style="yellow")
    raise typer.Exit(1 if report.skipped_count else 0)


@app.command()
def export(
    library: LibraryName,
    name: BankName,
    form: Annotated[Form, typer.Option("--format", help="csv, or json as ThreatExchange has it.")] = Form.CSV,
) -> None:
    """Write a bank's active entries to standard output, as `import` takes them.

    Example: `mediagate banks export photos leaks > leaks.csv`
    """

    async def act(db: Database) -> None:
        async with db.transaction() as tx:
            bank = await tx.banks.named((await library_of(tx, library)).id, name)
        async for piece in written_csv(db, bank) if form is Form.CSV else written_threat_exchange(db, bank):
            print(piece, end="")

    with_database(act)
