"""Hash banks: what is known to be bad, or good, and what it hit."""

from collections.abc import Iterable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import ValidationError

from activities.bank_lists import of_item, take_in, written_csv, written_threat_exchange
from api.bank_models import (
    NAME,
    BankCreate,
    BankPage,
    BankPatch,
    BankRead,
    EntriesAdded,
    EntryCreate,
    EntryPage,
    EntryRead,
    LineSkipped,
    ListImported,
    MatchPage,
    MatchRead,
)
from api.deps import Admin, Caller, Gate, GateDep, Reader, Reviewer, library_for, media_for
from api.idempotency import once
from api.pages import Limit, decode, encode
from db.session import Transaction
from db.tables import Bank, BankEntry, Library
from mediagate.access import api_keys
from mediagate.access.api_keys import Scope
from mediagate.errors import InvalidRequest, NotAllowed, NotFound, UnsupportedType
from mediagate.media.values import MIB
from mediagate.moderation.banks import BankRules, EntryState, KnownHash, known_hash
from mediagate.moderation.hash_lists import Line, read_csv, read_threat_exchange

router = APIRouter(tags=["banks"])

MOST_LIST = 32 * MIB
MOST_ENTRIES = 100_000
"""Of one request."""

_BANKS = "/libraries/{slug}/banks"
_LIST = {"text/csv": {"schema": {"type": "string"}}, "application/json": {"schema": {}}}
Name = Annotated[str, Path(pattern=NAME)]


@router.get(_BANKS)
async def list_banks(slug: str, gate: GateDep, caller: Reader) -> BankPage:
    """The banks that look at a library's items: its own, and those for every library."""
    library = await library_for(gate, caller, slug)
    async with gate.db.transaction() as tx:
        banks = await tx.banks.seen_from(library.id)
    return BankPage(items=[_bank(bank) for bank in banks])


@router.post(_BANKS, response_model=BankRead, status_code=201)
async def create_bank(slug: str, body: BankCreate, request: Request, gate: GateDep, caller: Admin) -> JSONResponse:
    """A new bank, empty. A good bank approves without a vendor's word, so it had better be small and watched."""
    library = await library_for(gate, caller, slug)

    async def act() -> BankRead:
        if body.everywhere and caller.library_id is not None:
            raise NotAllowed("A bank for every library needs a key for all libraries.")
        rules = body.model_dump(include=set(BankRules.model_fields)) | {"distance": body.reach}
        owner = None if body.everywhere else library.id
        bank = Bank(**rules, name=body.name, library_id=owner, created_by=caller.name)
        async with gate.db.transaction() as tx:
            await tx.banks.add(bank)
        return _bank(bank)

    return await once(request, gate, caller, await request.body(), act, status=201)


@router.get(f"{_BANKS}/{{name}}")
async def read_bank(slug: str, name: Name, gate: GateDep, caller: Reader) -> BankRead:
    """A bank's rules."""
    library = await library_for(gate, caller, slug)
    async with gate.db.transaction() as tx:
        return _bank(await tx.banks.named(library.id, name))


@router.patch(f"{_BANKS}/{{name}}")
async def change_bank(slug: str, name: Name, body: BankPatch, gate: GateDep, caller: Admin) -> BankRead:
    """Change a bank's rules by a JSON merge patch (RFC 7396); they hold for uploads that are looked at from now on."""
    library = await library_for(gate, caller, slug)
    async with gate.db.transaction() as tx:
        bank = await _own(tx, caller, library, name)
        patch = body.model_dump(exclude_unset=True)
        try:
            rules = BankRules.model_validate({**bank.rules.model_dump(), **patch})
        except ValidationError as error:
            raise InvalidRequest("; ".join(f"{_where(e['loc'])}{e['msg']}" for e in error.errors()) + ".") from error
        bank.sqlmodel_update(rules.model_dump() | {"distance": rules.reach})
        return _bank(bank)


@router.get(f"{_BANKS}/{{name}}/entries")
async def list_entries(
    slug: str,
    name: Name,
    gate: GateDep,
    caller: Reviewer,
    state: EntryState | None = None,
    cursor: str | None = None,
    limit: Limit = 50,
) -> EntryPage:
    """A bank's entries, newest first; `state=quarantined` are those that wait for a person."""
    library = await library_for(gate, caller, slug)
    after = decode(cursor)
    async with gate.db.transaction() as tx:
        bank = await tx.banks.named(library.id, name)
        rows = await tx.banks.entries(bank.id, state=state, after=after, limit=limit + 1)
    page = rows[:limit]
    more = encode(page[-1].added_at, page[-1].id) if len(rows) > limit else None
    return EntryPage(items=[_entry(row) for row in page], next_cursor=more)


@router.post(f"{_BANKS}/{{name}}/entries", response_model=EntriesAdded, status_code=201)
async def add_entries(
    slug: str, name: Name, body: EntryCreate, request: Request, gate: GateDep, caller: Reviewer
) -> JSONResponse:
    """Add an item's file and, if it has one, its fingerprint; with scope admin also a hash by itself.

    What is there already stays as it is, except that what was removed is active again.
    """
    library = await library_for(gate, caller, slug)

    async def act() -> EntriesAdded:
        entries = await _wanted(gate, caller, library, body)
        async with gate.db.transaction() as tx:
            bank = await _own(tx, caller, library, name)
            rows = await tx.banks.restore(bank.id, entries, by=caller.name)
            return EntriesAdded(items=[_entry(row) for row in rows])

    return await once(request, gate, caller, await request.body(), act, status=201)


@router.post(f"{_BANKS}/{{name}}/entries/{{entry_id}}/release")
async def release_entry(slug: str, name: Name, entry_id: UUID, gate: GateDep, caller: Admin) -> EntryRead:
    """Let an entry that was held back act again. Its hits so far do not count towards the flood limit any more."""
    library = await library_for(gate, caller, slug)
    async with gate.db.transaction() as tx:
        bank = await _own(tx, caller, library, name)
        return _entry(await tx.banks.release(bank.id, entry_id, by=caller.name))


@router.delete(f"{_BANKS}/{{name}}/entries/{{entry_id}}")
async def remove_entry(slug: str, name: Name, entry_id: UUID, gate: GateDep, caller: Admin) -> EntryRead:
    """Let an entry hit nothing any more; importing its list again does not bring it back, adding it does."""
    library = await library_for(gate, caller, slug)
    async with gate.db.transaction() as tx:
        bank = await _own(tx, caller, library, name)
        return _entry(await tx.banks.remove(bank.id, entry_id, by=caller.name))


@router.get(f"{_BANKS}/{{name}}/matches")
async def list_matches(
    slug: str, name: Name, gate: GateDep, caller: Reviewer, cursor: str | None = None, limit: Limit = 50
) -> MatchPage:
    """What a bank hit in this library, newest first."""
    library = await library_for(gate, caller, slug)
    after = decode(cursor)
    async with gate.db.transaction() as tx:
        bank = await tx.banks.named(library.id, name)
        rows = await tx.banks.matches(bank.id, library.id, after=after, limit=limit + 1)
    page = rows[:limit]
    more = encode(page[-1][0].at, page[-1][0].id) if len(rows) > limit else None
    items = [MatchRead(**match.model_dump(), kind=entry.kind, value=entry.value) for match, entry in page]
    return MatchPage(items=items, next_cursor=more)


@router.post(
    f"{_BANKS}/{{name}}/import",
    response_model=ListImported,
    openapi_extra={"requestBody": {"required": True, "content": _LIST}},
)
async def import_list(slug: str, name: Name, request: Request, gate: GateDep, caller: Admin) -> JSONResponse:
    """Take in a list of at most 100,000 entries: CSV, or JSON in the form of ThreatExchange, as Content-Type says.

    Lines that are no entries are left out and told with their reason. A list that was taken in before adds nothing.
    """
    library = await library_for(gate, caller, slug)
    body = await request.body()

    async def act() -> ListImported:
        async with gate.db.transaction() as tx:
            bank = await _own(tx, caller, library, name)
        lines = _lines(request.headers.get("content-type", ""), body, bank)
        report = await take_in(gate.db, bank, lines, by=caller.name, most=MOST_ENTRIES)
        skipped = [LineSkipped(line=line.number, why=line.why) for line in report.skipped]
        return ListImported(added=report.added, known=report.known, skipped=skipped, skipped_count=report.skipped_count)

    return await once(request, gate, caller, body, act, status=200)


@router.get(
    f"{_BANKS}/{{name}}/export",
    response_class=StreamingResponse,
    responses={200: {"content": _LIST, "description": "the list"}},
)
async def export_list(
    slug: str,
    name: Name,
    gate: GateDep,
    caller: Admin,
    format: Literal["csv", "json"] = "csv",  # noqa: A002
) -> StreamingResponse:
    """A bank's active entries, as a file that `import` takes."""
    library = await library_for(gate, caller, slug)
    async with gate.db.transaction() as tx:
        bank = await _own(tx, caller, library, name)
    made, media_type = (
        (written_csv(gate.db, bank), "text/csv; charset=utf-8")
        if format == "csv"
        else (written_threat_exchange(gate.db, bank), "application/json")
    )
    shown = f'attachment; filename="{bank.name}.{format}"'
    return StreamingResponse(made, media_type=media_type, headers={"Content-Disposition": shown})


async def _own(tx: Transaction, caller: Caller, library: Library, name: str) -> Bank:
    """The bank, for whoever may change it.

    Raises:
        NotFound: there is none.
        NotAllowed: it is for every library, and the key is not.
    """
    bank = await tx.banks.named(library.id, name)
    if bank.library_id is None and caller.library_id is not None:
        raise NotAllowed("This bank is for every library: changing or exporting it needs a key for all libraries.")
    return bank


async def _wanted(gate: Gate, caller: Caller, library: Library, body: EntryCreate) -> list[KnownHash]:
    try:
        if body.media_id and not (body.kind or body.value):
            media, owner = await media_for(gate, caller, body.media_id)
            if owner.id != library.id:
                raise NotFound("There is no such item in this library.")
            async with gate.db.transaction() as tx:
                return await of_item(tx, media, body.note)
        if body.media_id or body.kind is None or body.value is None:
            raise InvalidRequest("Send either media_id, or kind and value.")
        if not api_keys.allows(caller.scopes, Scope.ADMIN):
            raise NotAllowed(f"A hash by itself needs the scope {Scope.ADMIN.value}; add an item by its media_id.")
        return [known_hash(body.kind, body.value, body.note, "by hand")]
    except ValueError as error:
        raise InvalidRequest(f"Not added: {error}.") from error


def _lines(content_type: str, body: bytes, bank: Bank) -> Iterable[Line]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in _LIST:
        raise UnsupportedType(f"Send the list as {' or '.join(_LIST)}.")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The list is not UTF-8: byte {error.start} does not fit.") from error
    return read_csv(text.split("\n")) if kind == "text/csv" else read_threat_exchange(text, bank.polarity)


def _where(location: Iterable[object]) -> str:
    name = ".".join(str(part) for part in location)
    return f"{name}: " if name else ""


def _bank(bank: Bank) -> BankRead:
    return BankRead.model_validate({**bank.model_dump(), "everywhere": bank.library_id is None})


def _entry(row: BankEntry) -> EntryRead:
    return EntryRead.model_validate(row.model_dump())
