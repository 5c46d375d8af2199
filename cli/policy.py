"""`mediagate policy`: a library's policies, what they would decide, and why a decision is what it is."""

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from activities.policies import differences, put_policy, set_mode
from activities.policy_orders import MOST_SHADOWED, shadow_report
from cli import policy_runs
from cli.bank_access import by, in_library, library_of, with_database
from cli.local_stack import adopt_local_stack
from cli.output import Json, Mark, mark, print_json, print_line, print_table
from cli.policy_reports import changed_rows, print_comparison
from cli.policy_runs import Library, Number, tried
from db.session import Database, Transaction
from db.tables import Library as LibraryRow
from db.tables import LibraryPolicy
from mediagate.errors import InvalidRequest, NotFound
from mediagate.moderation import documents
from mediagate.moderation.explain import Card, card_text, explain
from mediagate.moderation.policy_runs import MOST_DRY_RUN, PolicyMode
from mediagate.moderation.policy_text import MAX_BYTES
from mediagate.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="Policies: what vendors' findings lead to (docs/how-a-decision-is-made.md, docs/runbooks/policies.md).\n\n"
    "A policy is stored as a draft, tried (`dry-run`), set beside the live one (`activate --mode shadow`), made live, "
    "and held against what is decided already (`run`).",
)

MARKS: dict[PolicyMode, Mark] = {PolicyMode.LIVE: "ok", PolicyMode.SHADOW: "warn"}
FILE = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="YAML or JSON.")]
Last = Annotated[int, typer.Option(min=1, max=MOST_DRY_RUN, help="Decided items to look at, the newest.")]


@app.command()
def validate(
    file: FILE,
    any_vendor: Annotated[bool, typer.Option("--any-vendor", help="Do not ask whether the vendors are here.")] = False,
    as_json: Json = False,
) -> None:
    """Check a policy document: every error and warning, with path and line. Needs no service.

    Exit code 1 if it is not valid.

    Examples:

      mediagate policy validate strict.yaml

      mediagate policy validate strict.yaml --any-vendor --json
    """
    adopt_local_stack()
    checked = documents.check(_text(file), vendors=None if any_vendor else Settings().vendor_names)
    if as_json:
        print_json({"valid": checked.policy is not None, "problems": [p.model_dump() for p in checked.problems]})
    else:
        for problem in checked.problems:
            print_line(f"{'warning' if problem.warning else 'error'}: {problem}")
        print_line(f"{file}: {'valid' if checked.policy else 'not valid'}.")
    raise typer.Exit(0 if checked.policy else 1)


@app.command()
def put(
    file: FILE,
    library: Library,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: Json = False,
) -> None:
    """Store a document as the library's next draft. It decides nothing before it is activated.

    Example: `mediagate policy put strict.yaml --library photos`
    """
    text = _text(file)

    async def act(db: Database) -> tuple[LibraryPolicy, list[str]]:
        stored = await put_policy(db, library, text, by=by(), note=note, vendors=Settings().vendor_names)
        async with db.transaction() as tx:
            live = (await tx.policies.active(await library_of(tx, library))).live
        return stored, list(differences(live, stored.policy))

    stored, diff = with_database(act)
    if as_json:
        print_json({**_facts(stored), "diff": diff})
        return
    print_line(f"{stored.version} is stored as a draft. Different from what decides now:")
    _print_diff(diff)
    print_line(f"Next: `mediagate policy dry-run {stored.number} --library {library}`.")


@app.command("list")
def list_(
    library: Library,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """List a library's policies, newest first.

    Example: `mediagate policy list --library photos`
    """

    async def act(tx: Transaction, owner: LibraryRow) -> list[LibraryPolicy]:
        return list(await tx.policies.page(owner.id, after=None, limit=limit))

    found = in_library(library, act)
    if as_json:
        print_json([_facts(row) for row in found])
        return
    cells = [
        (mark(MARKS[row.mode]) if row.mode in MARKS else "", row.number, row.version, row.mode, *_origin(row))
        for row in found
    ]
    print_table(["", "number", "version", "mode", "digest", "by", "made (UTC)", "note"], cells)


@app.command()
def show(number: Number, library: Library, as_json: Json = False) -> None:
    """Show a policy: the text as it was sent, what is different from the live one, and who changed its mode.

    Example: `mediagate policy show 3 --library photos`
    """

    async def act(tx: Transaction, owner: LibraryRow) -> dict[str, Any]:
        row = await tx.policies.numbered(owner.id, number)
        live = (await tx.policies.active(owner)).live
        changes = [c.model_dump(exclude={"id", "policy_id", "library_id"}) for c in await tx.policies.changes(row.id)]
        facts = {**_facts(row), "document": row.document, "source": row.source}
        return {**facts, "diff": list(differences(live, row.policy)), "changes": changes}

    found = in_library(library, act)
    if as_json:
        print_json(found)
        return
    print_line(f"{found['version']} is {found['mode']}, digest {found['digest']}")
    print_line(found["source"])
    print_line(f"Different from what decides now:{'' if found['diff'] else ' nothing.'}")
    _print_diff(found["diff"])
    rows = [(f"{c['at']:%F %T}", c["from_mode"] or "-", c["to_mode"], c["by"], c["note"]) for c in found["changes"]]
    print_table(["at (UTC)", "from", "to", "by", "note"], rows)


@app.command()
def activate(
    number: Number,
    library: Library,
    mode: Annotated[PolicyMode, typer.Option(help="live, shadow, retired, or draft.")] = PolicyMode.LIVE,
    note: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would change is shown.")] = False,
    as_json: Json = False,
) -> None:
    """Bring a policy into a mode; what was live, or the shadow, before is retired. It decides from that moment on.

    Examples:

      mediagate policy activate 3 --library photos --mode shadow --yes

      mediagate policy activate 3 --library photos --note "as agreed on 3 May" --yes
    """

    async def act(db: Database) -> tuple[LibraryPolicy, list[str]]:
        if yes:
            vendors = Settings().vendor_names
            row, told = await set_mode(db, library, number, mode, by=by(), note=note, vendors=vendors)
            return row, list(told)
        async with db.transaction() as tx:
            owner = await library_of(tx, library)
            row = await tx.policies.numbered(owner.id, number)
            return row, list(differences((await tx.policies.active(owner)).live, row.policy))

    row, diff = with_database(act)
    if as_json:
        print_json({"done": yes, **_facts(row), "diff": diff})
        return
    _print_diff(diff)
    if yes:
        print_line(f"{row.version} is {row.mode.value}.")
    else:
        print_line(f"{row.version} is {row.mode.value} and would become {mode.value}. Nothing changed; add --yes.")


@app.command("dry-run")
def dry_run_(number: Number, library: Library, last: Last = 1000, as_json: Json = False) -> None:
    """What a policy would make of the last decided items: counts, reasons, people, and which would change. Reads only.

    Example: `mediagate policy dry-run 3 --library photos --last 1000`
    """

    version, comparison, changed = tried(library, number, last=last)
    if as_json:
        facts = {"version": version, "comparison": comparison.model_dump(), "changed": changed_rows(changed)}
        print_json(facts)
        return
    print_comparison(comparison, f"{version} against what stands")
    rows = changed_rows(changed)
    cells = [(r["media_id"], r["from"], r["decided_by"], r["to"], r["reason"], r["left"]) for r in rows[:20]]
    if cells:
        print_table(["media id", "was", "by", "would be", "because", "left alone"], cells)
    if len(rows) > len(cells):
        print_line(f"The first {len(cells)} of {len(rows)} are listed; --json has all.")


@app.command("shadow-report")
def shadow_report_(
    number: Number,
    library: Library,
    last: Annotated[int, typer.Option(min=1, max=MOST_SHADOWED, help="Decisions to look at, the newest.")] = 1000,
    examples: Annotated[int, typer.Option(min=0, max=200, help="Differing ones to show.")] = 10,
    as_json: Json = False,
) -> None:
    """What a policy decided as a shadow, against the live one and against people. Reads only.

    Example: `mediagate policy shadow-report 3 --library photos`
    """

    async def act(db: Database) -> tuple[str, Any]:
        async with db.transaction() as tx:
            row = await tx.policies.numbered((await library_of(tx, library)).id, number)
        return row.version, await shadow_report(db, row, last=last, examples=examples)

    version, report = with_database(act)
    rows = [
        {**one.row.model_dump(mode="json", exclude={"id", "policy_id"}), "person": one.person}
        for one in report.examples
    ]
    if as_json:
        print_json({"version": version, "comparison": report.comparison.model_dump(), "examples": rows})
        return
    print_comparison(report.comparison, f"{version} as a shadow of what decided")
    if rows:
        cells = [(r["media_id"], r["live_verdict"], r["verdict"], r["rule"], r["person"] or "") for r in rows]
        print_table(["media id", "live", "shadow", "because", "a person"], cells)


@app.command("explain")
def explain_(
    media_id: Annotated[UUID, typer.Argument(metavar="MEDIA_ID", help="The id of an item.")], as_json: Json = False
) -> None:
    """Why an item's decision is what it is: every finding, its weight, and the thresholds next to it. Reads only.

    Example: `mediagate policy explain 60eb2214-5c82-41b9-9094-6a12a18383b1`
    """

    async def act(db: Database) -> Card:
        async with db.transaction() as tx:
            standing = await tx.decisions.latest(media_id)
        if standing is None:
            raise NotFound("There is no decided item with this id.")
        return explain(standing.decision)

    card = with_database(act)
    if as_json:
        print_json(card.model_dump(mode="json"))
    else:
        print_line(card_text(card).rstrip())


for name, command in policy_runs.COMMANDS.items():
    app.command(name)(command)


def _text(file: Path) -> str:
    if file.stat().st_size > MAX_BYTES:
        raise InvalidRequest(f"{file} has more than {MAX_BYTES // 1024} KiB: that is no policy.")
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{file} cannot be read as UTF-8 text: {error}.") from error


def _facts(row: LibraryPolicy) -> dict[str, Any]:
    facts = row.model_dump(mode="json", exclude={"id", "library_id", "document", "source"})
    return {**facts, "version": row.version}


def _origin(row: LibraryPolicy) -> tuple[str, ...]:
    return row.digest[:12], row.created_by, f"{row.created_at:%F %T}", row.note


def _print_diff(diff: list[str]) -> None:
    for line in diff:
        print_line(f"  {line}")
