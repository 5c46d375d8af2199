"""`mediagate audit`: who did what to the gate, whether the trail of it is intact, and giving it away."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from activities.audit_trail import Trail, export_trail, verify_export, verify_trail
from cli.actor import By, acting
from cli.evidence_access import with_vault, write_new
from cli.output import Json, mark, print_error, print_json, print_line, print_table
from db.session import Database
from db.tables import AuditRecord
from mediagate.errors import InvalidRequest, MediagateError
from mediagate.vault import Vault

CANNOT_TELL = 3
LONGEST_LINE = 16 * 1024 * 1024
"""Bytes of a line that is read of an export; none that was written is nearly as long."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Who did what to the gate: append-only, hash-chained (docs/runbooks/audit.md).\n\n"
    "Exit codes: 0 done, or intact; 1 failed, or something is not as it was; 2 wrong usage; 3 (`verify`) it cannot be "
    "told, because a part is away.",
)


@app.command("list")
def list_(
    subject: Annotated[str | None, typer.Option(help="Only what was done to this, as `run:media-…`.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this kind of act, as `run.reset`.")] = None,
    library: Annotated[str | None, typer.Option(help="Only what concerns this library.")] = None,
    before: Annotated[int | None, typer.Option(min=1, help="Only records with a lower number: the next page.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List acts, newest first.

    Examples:

      mediagate audit list --action run.retry

      mediagate audit list --subject run:media-3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b --json
    """

    async def act(db: Database, _: Vault | None) -> list[AuditRecord]:
        async with db.transaction() as tx:
            page = tx.audit.page(library=library, subject=subject, action=action, before=before, limit=limit + 1)
            return list(await page)

    found = with_vault(act)
    rows, following = found[:limit], found[limit - 1].seq if len(found) > limit else None
    if as_json:
        print_json({"items": [_plain(row) for row in rows], "next_cursor": following})
        return
    cells = [(row.seq, f"{row.at:%Y-%m-%d %H:%M:%S}", row.actor, row.via, row.action, row.subject) for row in rows]
    told = [(*cell, row.reason, row.data if row.data != "{}" else "") for cell, row in zip(cells, rows, strict=True)]
    print_table(["no", "at (UTC)", "actor", "via", "action", "subject", "reason", "data"], told)
    if following:
        print_line(f"There are more: --before {following}.")


@app.command()
def verify(
    file: Annotated[Path | None, typer.Option(help="An export, in place of the database; needs nothing else.")] = None,
    as_json: Json = False,
) -> None:
    """Follow the chain from its first record to its last, and to its checkpoints if there is a vault.

    If it is intact, its end is noted as a checkpoint: from then on nobody can cut it off before that unseen. Without a
    vault (MEDIAGATE_EVIDENCE_KEYS) only changes inside the chain show.

    Examples:

      mediagate audit verify

      mediagate audit verify --file audit.jsonl --json
    """

    async def act(db: Database, vault: Vault | None) -> tuple[Trail, bool]:
        return await verify_trail(db, vault), vault is not None

    try:
        trail, checkpoints = (_verified_file(file), False) if file else with_vault(act)
    except InvalidRequest:
        raise
    except MediagateError as error:
        print_error(error.code, error.message, as_json=as_json)
        raise typer.Exit(CANNOT_TELL) from error
    _print(trail, checkpoints=checkpoints, as_json=as_json)
    raise typer.Exit(1 if trail.breaks else 0)


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="File to write; it may not exist.")],
    after: Annotated[int, typer.Option(min=0, help="Only records behind this number; 0 for all.")] = 0,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Write the trail to a file: JSON lines with their hashes behind a head line, to be verified without the gate.

    The format is that of activities/audit_trail.py. The export is on record itself.

    Examples:

      mediagate audit export --out audit.jsonl

      mediagate audit export --after 12000 --out audit-november.jsonl
    """

    async def act(db: Database, _: Vault | None) -> None:
        async with db.transaction() as tx:
            await tx.audit.note("audit.exported", "audit", acting(by), data={"after": after})
        await write_new(export_trail(db, after=after), out)

    if out.exists():
        raise typer.BadParameter(f"{out} exists already", param_hint="--out")
    with_vault(act)
    trail = _verified_file(out)
    _print(trail, checkpoints=False, as_json=as_json)
    raise typer.Exit(1 if trail.breaks else 0)


def _verified_file(path: Path) -> Trail:
    try:
        with path.open("rb") as file:
            return verify_export(iter(lambda: file.readline(LONGEST_LINE), b""))
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.") from error


def _print(trail: Trail, *, checkpoints: bool, as_json: bool) -> None:
    last = {"seq": trail.head.seq, "hash": trail.head.hash}
    if as_json:
        breaks = [{"seq": found.seq, "what": found.what} for found in trail.breaks]
        facts = {"intact": not breaks, "records": trail.records, "last": last, "breaks": breaks}
        print_json({**facts, "checkpoints": checkpoints})
        return
    if trail.breaks:
        print_table(["", "record", "what is wrong"], [(mark("fail"), found.seq, found.what) for found in trail.breaks])
    state = f"{len(trail.breaks)} broken" if trail.breaks else "intact"
    print_line(f"{trail.records} records: {state}. Record {trail.head.seq} has the hash {trail.head.hash}.")


def _plain(row: AuditRecord) -> dict[str, Any]:
    return {**row.model_dump(mode="json", exclude={"data", "prev_hash"}), "data": json.loads(row.data)}
