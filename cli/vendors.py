"""`mediagate vendors`: how moderation vendors do, what they cost, and the switch."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from getpass import getuser
from typing import Annotated, Any, TypeVar

import typer

from activities.vendor_calls import switch
from cli.local_stack import adopt_local_stack
from cli.output import Json, Mark, mark, print_json, print_line, print_table
from db.repositories.vendors import DailyUsage
from db.session import Database
from db.tables import now
from mediagate import wiring
from mediagate.errors import NotFound
from mediagate.settings import Settings
from mediagate.vendors.breaker import BreakerState
from mediagate.vendors.checks import CheckOutcome

T = TypeVar("T")

MARKS: dict[BreakerState, Mark] = {
    BreakerState.CLOSED: "ok",
    BreakerState.HALF_OPEN: "warn",
    BreakerState.OPEN: "fail",
}

app = typer.Typer(
    no_args_is_help=True,
    help="Moderation vendors: circuit breakers, calls and costs.\n\n"
    "The vendors are those of MEDIAGATE_VENDOR_NAME and MEDIAGATE_VENDORS.",
)

Name = Annotated[str, typer.Argument(help="Name of the vendor.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the vendors with the state of their circuit breakers and their calls of today (UTC). Reads only.

    Exit code 1 if calls of one are not let through.

    Example: `mediagate vendors list`
    """
    found = _with_database(_states)
    if as_json:
        print_json(found)
    else:
        print_table(
            ["", "vendor", "kind", "state", "until", "last check (UTC)", "calls", "failed", "cached", "cost today"],
            [_row(one) for one in found],
        )
    raise typer.Exit(1 if any(one["state"] == BreakerState.OPEN for one in found) else 0)


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show one vendor: breaker, last error, what it takes and costs, and its calls. Reads only.

    Example: `mediagate vendors show hive`
    """
    found = next(one for one in _with_database(_states) if one["name"] == _known(name))
    if as_json:
        print_json(found)
        return
    nested = (*SPANS, "check")
    facts = {**found, **{f"{of} {key}": value for of in nested for key, value in found[of].items()}}
    print_table(["", ""], [(key.replace("_", " "), value) for key, value in facts.items() if key not in nested])


@app.command()
def close(name: Name, as_json: Json = False) -> None:
    """Let calls through again, at once: after its failures, or after `open`.

    Example: `mediagate vendors close hive`
    """
    _switch(name, BreakerState.CLOSED, as_json)


@app.command("open")
def open_(name: Name, as_json: Json = False) -> None:
    """Switch a vendor off: no call is let through until `close`. Its uploads wait, then others or persons decide.

    What is under way at the vendor stays so, and its webhooks are taken.

    Example: `mediagate vendors open hive`
    """
    _switch(name, BreakerState.OPEN, as_json)


@app.command()
def usage(
    name: Annotated[str | None, typer.Argument(help="Name of the vendor; none: all of them.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="Days back, today included.")] = 30,
    as_json: Json = False,
) -> None:
    """Calls, failures, cached answers and costs by day (UTC) and library, the latest day first. Reads only.

    Examples:

      mediagate vendors usage

      mediagate vendors usage hive --days 7 --json
    """
    names = [_known(name)] if name else [*_settings().vendor_names]
    since = now().date() - timedelta(days=days - 1)
    rows = _with_database(lambda db, _: _daily(db, names, since))
    if as_json:
        print_json([{**row._asdict(), "usage": row.usage._asdict()} for row in rows])
        return
    shown = [(row.day, row.vendor, row.library, *row.usage[:3], _dollars(row.usage.cost_micros)) for row in rows]
    print_table(["day", "vendor", "library", "calls", "failed", "cached", "cost"], shown)
    print_line(f"{_dollars(sum(row.usage.cost_micros for row in rows))} since {since}.")


SPANS = ("today", "this_month")


async def _states(db: Database, settings: Settings) -> list[dict[str, Any]]:
    """What is known of every vendor, as JSON."""
    names, today = settings.vendor_names, now().date()
    async with wiring.open_vendors(settings) as vendors, db.transaction() as tx:
        spans = {
            span: await tx.vendors.usage(names, since=since)
            for span, since in zip(SPANS, (today, today.replace(day=1)), strict=True)
        }
        return [
            {
                "name": name,
                "kind": settings.kind_of(name),
                **(await tx.vendors.health(name)).model_dump(mode="json", exclude={"vendor", "turn"}),
                "check": (await tx.checks.of(name)).model_dump(mode="json", exclude={"vendor"}),
                "calls_per_second": settings.vendor(name).calls_per_second,
                **{span: counted[name]._asdict() for span, counted in spans.items()},
                "capabilities": vendors[name].capabilities.model_dump(mode="json"),
            }
            for name in names
        ]


async def _daily(db: Database, names: list[str], since: date) -> list[DailyUsage]:
    async with db.transaction() as tx:
        return [*await tx.vendors.daily_usage(names, since=since)]


def _switch(name: str, wanted: BreakerState, as_json: bool) -> None:
    _known(name)
    _with_database(lambda db, _: switch(db, name, wanted, by=f"{getuser()} (CLI)"))
    if as_json:
        print_json({"name": name, "state": wanted})
    elif wanted is BreakerState.OPEN:
        print_line(f"{name} is switched off. `mediagate vendors close {name}` switches it on.")
    else:
        print_line(f"Calls of {name} are let through.")


def _known(name: str) -> str:
    known = _settings().vendor_names
    if name not in known:
        raise NotFound(f"There is no vendor of this name here: known are {', '.join(known)}.")
    return name


def _settings() -> Settings:
    adopt_local_stack()
    return Settings()


def _with_database(action: Callable[[Database, Settings], Awaitable[T]]) -> T:
    settings = _settings()

    async def act() -> T:
        db = Database(settings.database_url.get_secret_value(), pool_size=1)
        try:
            return await action(db, settings)
        finally:
            await db.close()

    return asyncio.run(act())


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    state, today = BreakerState(one["state"]), one["today"]
    until = f"{one['held_by']} closes it" if one["held_by"] else one["until"] or ""
    counted = (today["calls"], today["failures"], today["cached"])
    cost = _dollars(today["cost_micros"])
    return (mark(MARKS[state]), one["name"], one["kind"], state, until, _checked(one["check"]), *counted, cost)


def _checked(check: dict[str, Any]) -> str:
    """What the last check brought, and when."""
    if not check["at"]:
        return "never"
    outcome = CheckOutcome(check["outcome"])
    times = f" ({check['failures']} in a row)" if outcome is CheckOutcome.FAILS else ""
    return f"{outcome.value.replace('_', ' ')}{times}, {datetime.fromisoformat(check['at']):%m-%d %H:%M}"


def _dollars(micros: int) -> str:
    return f"{micros / 1_000_000:.2f} USD"
