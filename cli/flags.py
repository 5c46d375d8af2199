"""`mediagate flags`: feature flags and kill switches."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from cli.actor import By, acting
from cli.bank_access import with_database
from cli.output import Json, mark, print_json, print_line, print_table
from db.flags import delete_flag, put_flag, read, stated, stated_one
from db.session import Database, Transaction
from db.tables import FeatureFlag
from mediagate.errors import InvalidRequest, NotFound
from mediagate.flags import BUILT_IN, Attribute, FlagKind, Value, document, flag_of
from mediagate.settings import Settings

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    help="Feature flags and kill switches (docs/runbooks/flags.md).\n\n"
    "A change is seen by every process within a second; none is restarted. Kill switches are on until somebody "
    "disables them.",
)

Name = Annotated[str, typer.Argument(help="Name of the flag, or of a kill switch.")]
Why = Annotated[str, typer.Option("--reason", help="Why; kept in the audit trail.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List every flag and kill switch. Reads only.

    Example: `mediagate flags list`
    """
    found = _in_transaction(stated)
    if as_json:
        print_json([_facts(row) for row in found])
        return
    print_table(["", "flag", "kind", "serves", "version", "by", "changed (UTC)", "description"], map(_row, found))


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show one flag: variants, rules, and who changed it. Reads only.

    Example: `mediagate flags show hash-banks`
    """
    found = _facts(_in_transaction(lambda tx: stated_one(tx, name)))
    if as_json:
        print_json(found)
        return
    rules = found.pop("rules")
    print_table(["", ""], [(key.replace("_", " "), value) for key, value in found.items()])
    for number, rule in enumerate(rules):
        print_line(f"rule {number}: {json.dumps(rule, ensure_ascii=False)}")


@app.command("set")
def set_(
    name: Name,
    file: Annotated[
        Path | None, typer.Option("--file", exists=True, dir_okay=False, help="JSON: all that the flag is to say.")
    ] = None,
    kind: Annotated[FlagKind | None, typer.Option(help="What it is for.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is about.")] = None,
    default: Annotated[str | None, typer.Option(help="Variant for those whom no rule matches.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="A rule as JSON; all of them, in their order.")] = None,
    percentage: Annotated[
        float | None, typer.Option(min=0, max=100, help="In place of rules: `on` for so many, `off` for the others.")
    ] = None,
    reason: Why = "",
    by: By = None,
    as_json: Json = False,
) -> None:
    """Make a flag, or change what is named of it.

    Examples:

      mediagate flags set new-gallery --description "the new gallery" --percentage 10

      mediagate flags set hash-banks --rule '{"conditions": [{"attribute": "library", "op": "eq", "value": "test"}],
      "variant": "off"}'
    """
    if percentage is not None and (rule is not None or default is not None):
        raise InvalidRequest("--percentage stands in place of --rule and --default: give one or the other.")
    given = _object(file.read_text(encoding="utf-8"), str(file)) if file else {}
    named: dict[str, Any] = {"kind": kind, "description": description, "default": default}
    if rule is not None:
        named["rules"] = [_object(text, "--rule") for text in rule]
    if percentage is not None:
        named |= {"default": "off", "rules": [{"percentage": percentage, "variant": "on"}]}
    changes = {key: value for key, value in named.items() if value is not None}
    _change(name, {**given, **changes}, new=True, whole=file is not None, reason=reason, by=by, as_json=as_json)


@app.command()
def enable(name: Name, reason: Why = "", by: By = None, as_json: Json = False) -> None:
    """Let a flag serve what it says, or a step be done again.

    Example: `mediagate flags enable renditions`
    """
    _change(name, {"enabled": True}, reason=reason, by=by, as_json=as_json)


@app.command()
def disable(name: Name, reason: Why = "", by: By = None, as_json: Json = False) -> None:
    """Let a flag serve its off variant, or leave a step out: the kill switch.

    Example: `mediagate flags disable renditions --reason "the workers are behind"`
    """
    _change(name, {"enabled": False}, reason=reason, by=by, as_json=as_json)


@app.command()
def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what would be done.")] = False,
    reason: Why = "",
    by: By = None,
    as_json: Json = False,
) -> None:
    """Delete a flag: code that asks for it takes its own default; a kill switch is on.

    Example: `mediagate flags delete new-gallery --yes`
    """

    async def act(db: Database) -> FeatureFlag:
        if yes:
            return await delete_flag(db, name, actor=acting(by), reason=reason)
        async with db.transaction() as tx:
            if (row := await tx.flags.get(name)) is None:
                raise NotFound(f"There is no flag {name!r} to delete.")
            return row

    row = with_database(act)
    if as_json:
        print_json({"deleted": yes, **_facts(row)})
    elif yes:
        print_line(f"{name} is deleted.")
    else:
        print_line(f"{name} (version {row.version}) would be deleted; `--yes` does it.")


@app.command()
def evaluate(
    name: Name,
    key: Annotated[str, typer.Option(help="Who is in a percentage: id of an item, a key, a person.")] = "",
    attribute: Annotated[list[str] | None, typer.Option(help="`name=value`; several are given one by one.")] = None,
    as_json: Json = False,
) -> None:
    """Say what a flag serves for somebody, and why. Reads only; not counted.

    Example: `mediagate flags evaluate new-gallery --key 7f3c… --attribute library=photos --attribute reputation=40`
    """
    known: dict[str, Value] = {Attribute.ENVIRONMENT: Settings().environment, **dict(map(_attribute, attribute or ()))}
    row = _in_transaction(lambda tx: stated_one(tx, name))
    found = read(row).evaluate(key, known)
    if as_json:
        print_json({"name": name, "version": row.version, **found._asdict()})
        return
    for number, why in enumerate(found.passed):
        print_line(f"rule {number}: {why}")
    which = f"rule {found.rule}" if found.rule is not None else found.reason.lower()
    print_line(f"{name} serves {found.variant} ({json.dumps(found.value)}): {which}.")


@app.command()
def stats(
    name: Annotated[str | None, typer.Argument(help="Only this flag.")] = None,
    days: Annotated[int, typer.Option(min=1, max=400, help="Of so many days (UTC).")] = 7,
    as_json: Json = False,
) -> None:
    """Show how often each variant was served, by day; processes report every minute. Reads only.

    Example: `mediagate flags stats hash-banks --days 30`
    """
    since = datetime.now(UTC).date() - timedelta(days=days - 1)

    async def act(tx: Transaction) -> list[dict[str, Any]]:
        return [row.model_dump() for row in await tx.flags.counts(since=since, flag=name)]

    found = _in_transaction(act)
    if as_json:
        print_json(found)
        return
    columns = ("day", "flag", "variant", "reason", "count")
    print_table(columns, [[row[column] for column in columns] for row in found])


def _change(
    name: str,
    changes: dict[str, Any],
    *,
    reason: str,
    by: str | None,
    as_json: bool,
    new: bool = False,
    whole: bool = False,
) -> None:
    """`new`: it need not be there; `whole`: what is not named becomes its default."""

    async def act(db: Database) -> FeatureFlag:
        async with db.transaction() as tx:
            row = await tx.flags.get(name)
            if row is None and not new:
                row = await stated_one(tx, name)
        before = read(row) if row and not whole else BUILT_IN.get(name)
        terms = {key: value for key, value in document(before).items() if key != "name"} if before else {}
        version = row.version if row else 0
        return await put_flag(db, flag_of(name, {**terms, **changes}), version=version, actor=acting(by), reason=reason)

    row = with_database(act)
    if as_json:
        print_json(_facts(row))
    else:
        print_line(f"{name}: {_serves(row)} (version {row.version}).")


def _in_transaction(act: Callable[[Transaction], Awaitable[T]]) -> T:
    async def with_transaction(db: Database) -> T:
        async with db.transaction() as tx:
            return await act(tx)

    return with_database(with_transaction)


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"{where}: this is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise InvalidRequest(f"{where}: a JSON object is expected.")
    return {key: value for key, value in found.items() if key != "name"}


def _attribute(text: str) -> tuple[Attribute, Value]:
    """`true`, `false` and whole numbers are those, everything else is text."""
    name, _, value = text.partition("=")
    if name not in list(Attribute):
        raise InvalidRequest(f"{name!r} is no attribute; there are {', '.join(Attribute)}.")
    if value in {"true", "false"}:
        return Attribute(name), value == "true"
    return Attribute(name), int(value) if value.lstrip("-").isdecimal() else value


def _facts(row: FeatureFlag) -> dict[str, Any]:
    facts = row.model_dump(exclude={"created_at"}) | {"built_in": row.name in BUILT_IN}
    return facts if row.version else facts | {"updated_at": None}


def _serves(row: FeatureFlag) -> str:
    if not row.enabled:
        return f"{row.off} for everybody"
    return f"{row.default}, but for {len(row.rules)} rules" if row.rules else f"{row.default} for everybody"


def _row(row: FeatureFlag) -> tuple[object, ...]:
    touched = (row.version, row.updated_by, f"{row.updated_at:%F %T}") if row.version else ("", "", "")
    state = mark("ok" if row.enabled and not row.rules else "warn" if row.enabled else "fail")
    return (state, row.name, row.kind, _serves(row), *touched, row.description)
