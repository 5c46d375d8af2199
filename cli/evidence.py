"""`mediagate evidence`: what is sealed, opening it, whether it is intact, legal holds, and the rotation of keys."""

from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from activities.evidence_access import open_evidence, place_hold, release_hold
from activities.evidence_audit import Audit, Rewrap, rewrap, verify
from cli.actor import By, acting
from cli.evidence_access import needed, record_of, with_vault, write_new
from cli.output import Json, mark, print_error, print_json, print_line, print_table
from db.session import Database
from db.tables import EvidenceRecord, LegalHold
from mediagate.errors import MediagateError, NotFound
from mediagate.evidence.bundle import Opening
from mediagate.vault import Vault

CANNOT_TELL = 3
"""Exit code of `verify` where a part that it needs is away."""

app = typer.Typer(
    no_args_is_help=True,
    help="Evidence of rejected, quarantined and withdrawn items: sealed, locked, chained (docs/runbooks/evidence.md)."
    "\n\nNeeds MEDIAGATE_EVIDENCE_KEYS.",
)

EvidenceId = Annotated[UUID, typer.Argument(help="The id of the evidence.")]
MediaId = Annotated[UUID, typer.Argument(help="The media id.")]


def _given(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter("it may not be empty")
    return text.strip()


Reason = Annotated[str, typer.Option(callback=_given, help="Why; it is kept.")]


@app.command("list")
def list_(
    library: Annotated[str, typer.Argument(help="Name of the library.")],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List a library's evidence.

    Example: `mediagate evidence list photos`
    """

    async def act(db: Database, _: Vault | None) -> list[EvidenceRecord]:
        async with db.transaction() as tx:
            found = await tx.access.library(library)
            if found is None:
                raise NotFound("There is no library with this name.")
            return list(await tx.evidence.page(found.id, after=None, limit=limit))

    rows = with_vault(act)
    if as_json:
        print_json([_plain(row) for row in rows])
        return
    cells = [(row.id, row.seq, row.media_id, row.round, row.verdict, row.reason, _day(row.sealed_at)) for row in rows]
    print_table(["id", "seq", "media id", "round", "verdict", "reason", "sealed"], cells)


@app.command()
def show(evidence_id: EvidenceId, as_json: Json = False) -> None:
    """Show one record; nothing is opened.

    Example: `mediagate evidence show 60eb2214-5c82-41b9-9094-6a12a18383b1`
    """

    async def act(db: Database, _: Vault | None) -> tuple[EvidenceRecord, LegalHold | None]:
        record = await record_of(db, evidence_id)
        async with db.transaction() as tx:
            return record, await tx.evidence.hold(record.media_id)

    record, hold = with_vault(act)
    shown = _plain(record) | {"legal_hold": f"{hold.placed_by}: {hold.reason}" if hold else None}
    if as_json:
        print_json(shown)
    else:
        print_table(["", ""], [(name, value if value is not None else "none") for name, value in shown.items()])


@app.command("open")
def open_(
    evidence_id: EvidenceId,
    reason: Reason,
    out: Annotated[Path, typer.Option(help="File to write the tar archive to; it may not exist.")],
    by: By = None,
    as_json: Json = False,
) -> None:
    """Open evidence: a tar archive with the record, raw events and the original. The opening is on record before.

    Example: `mediagate evidence open 60eb2214-5c82-41b9-9094-6a12a18383b1 --reason "case 4711" --out case.tar`
    """
    if out.exists():
        raise typer.BadParameter(f"{out} exists already", param_hint="--out")

    async def act(db: Database, vault: Vault | None) -> EvidenceRecord:
        record = await record_of(db, evidence_id)
        opened = await open_evidence(db, needed(vault), record, Opening.BUNDLE, acting(by), reason=reason)
        await write_new(opened, out)
        return record

    record = with_vault(act)
    if as_json:
        print_json({"id": str(record.id), "file": str(out), "bytes": record.size, "sha256": record.sha256})
    else:
        print_line(f"{out}: {record.size} bytes, SHA-256 {record.sha256}.")


@app.command("verify")
def verify_(
    deep: Annotated[bool, typer.Option("--deep", help="Open every object as well; needs every key.")] = False,
    as_json: Json = False,
) -> None:
    """Follow the chains from their first record to their checkpoints, and compare every object and its lock.

    Exit code 0: intact; 1: something is not as it was, the first of it is named first; 3: it cannot be told.

    Examples:

      mediagate evidence verify

      mediagate evidence verify --deep --json
    """

    async def act(db: Database, vault: Vault | None) -> Audit:
        return await verify(db, needed(vault), deep=deep)

    try:
        audit = with_vault(act)
    except MediagateError as error:
        print_error(error.code, error.message, as_json=as_json)
        raise typer.Exit(CANNOT_TELL) from error
    _print_audit(audit, as_json=as_json)
    raise typer.Exit(1 if audit.breaks else 0)


@app.command()
def hold(media_id: MediaId, reason: Reason, by: By = None, as_json: Json = False) -> None:
    """Put an item on legal hold: nothing of it is deleted, its evidence included, until it is released.

    Example: `mediagate evidence hold 60eb2214-5c82-41b9-9094-6a12a18383b1 --reason "court order 12/26"`
    """

    async def act(db: Database, vault: Vault | None) -> LegalHold:
        return await place_hold(db, vault, media_id, acting(by), reason=reason)

    placed = with_vault(act)
    _print_hold(placed, f"On hold since {_day(placed.placed_at)}, by {placed.placed_by}: {placed.reason}", as_json)


@app.command()
def release(media_id: MediaId, reason: Reason, by: By = None, as_json: Json = False) -> None:
    """End an item's legal hold. Its evidence stays as long as its own retention says.

    Example: `mediagate evidence release 60eb2214-5c82-41b9-9094-6a12a18383b1 --reason "case closed"`
    """

    async def act(db: Database, vault: Vault | None) -> LegalHold:
        return await release_hold(db, vault, media_id, acting(by), reason=reason)

    _print_hold(with_vault(act), "Released.", as_json)


@app.command()
def accesses(
    evidence_id: EvidenceId,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List who opened evidence, when and why.

    Example: `mediagate evidence accesses 60eb2214-5c82-41b9-9094-6a12a18383b1`
    """

    async def act(db: Database, _: Vault | None) -> list[dict[str, object]]:
        await record_of(db, evidence_id)
        async with db.transaction() as tx:
            rows = await tx.evidence.accesses(evidence_id, after=None, limit=limit)
        return [row.model_dump(mode="json", exclude={"prev_hash"}) for row in rows]

    rows = with_vault(act)
    if as_json:
        print_json(rows)
        return
    names = ["at", "actor", "via", "what", "reason"]
    print_table(names, [[row[name] for name in names] for row in rows])


@app.command("rewrap")
def rewrap_(
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would be done is shown.")] = False,
    as_json: Json = False,
) -> None:
    """Wrap every data key under the first of MEDIAGATE_EVIDENCE_KEYS, after a new one was put there.

    Objects are not touched. Afterwards the older keys may be taken away. Exit code 1 if a data key could not be wrapped
    anew.

    Examples:

      mediagate evidence rewrap

      mediagate evidence rewrap --yes
    """

    async def act(db: Database, vault: Vault | None) -> Rewrap:
        return await rewrap(db, needed(vault), dry_run=not yes)

    done = with_vault(act)
    if as_json:
        print_json({"done": yes, **vars(done)})
    elif not yes:
        print_line(f"{done.stale} of {done.looked_at} data keys would be wrapped anew. Nothing changed; add --yes.")
    else:
        for seq, why in done.failed.items():
            print_line(f"record {seq}: {why}", style="red")
        print_line(f"{done.wrapped} of {done.looked_at} data keys were wrapped anew, {len(done.failed)} failed.")
    raise typer.Exit(1 if done.failed else 0)


def _plain(record: EvidenceRecord) -> dict[str, object]:
    dumped = record.model_dump(mode="json", exclude={"wrapped_key"})
    return {name: dumped[name] for name in EvidenceRecord.model_fields if name in dumped}


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _print_audit(audit: Audit, *, as_json: bool) -> None:
    if as_json:
        print_json({"intact": not audit.breaks, **vars(audit), "breaks": [vars(found) for found in audit.breaks]})
        return
    if audit.breaks:
        rows = [(mark("fail"), found.chain.value, found.seq, found.what) for found in audit.breaks]
        print_table(["", "chain", "record", "what is wrong"], rows)
    state = f"{len(audit.breaks)} broken" if audit.breaks else "intact"
    lapsed = f", {audit.lapsed} past their retention and gone" if audit.lapsed else ""
    print_line(f"{audit.records} records and {audit.accesses} accesses: {state}{lapsed}.")


def _print_hold(hold_: LegalHold, text: str, as_json: bool) -> None:
    if as_json:
        print_json(hold_.model_dump(mode="json"))
    else:
        print_line(text)
