"""`mediagate schedules`: what runs by itself, and when."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, TypeVar

import typer

from cli.actor import By, acting
from cli.output import Json, print_json, print_line, print_table
from cli.runs.access import operations
from db.repositories.audit import Actor
from db.session import Database
from mediagate.errors import NotFound
from mediagate.settings import Settings
from workflows.client import Flows
from workflows.schedules import Order, Standing, give, plans, standing

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    help="What runs by itself: the sweep every minute, checks of vendors every five, scrub and retention every night,"
    " the digest every morning. Workers make the schedules when they start, by MEDIAGATE_SCRUB, MEDIAGATE_NIGHTLY_HOUR,"
    " MEDIAGATE_DIGEST, MEDIAGATE_DIGEST_HOUR and MEDIAGATE_VENDOR_HEALTH_EVERY.",
)

Name = Annotated[str, typer.Argument(help="sweep, scrub, retention, digest or vendor-health.")]
Reason = Annotated[str, typer.Option(help="Kept with the schedule and on record.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List every schedule: when it runs next, when it ran last, whether it is paused. Times are UTC.

    Example: `mediagate schedules list --json | jq '.schedules[] | select(.paused)'`
    """
    found = asyncio.run(_with(lambda flows, _: every(flows, Settings())))
    if as_json:
        print_json({"schedules": [asdict(one) for one in found]})
        return
    rows = [(one.name, _state(one), _when(one.last), _when(one.next), one.note or one.what) for one in found]
    print_table(["schedule", "state", "last run", "next run", ""], rows)


@app.command()
def trigger(name: Name, by: By = None, reason: Reason = "", as_json: Json = False) -> None:
    """Run one now, unless it is running. A scrub or a clean-up with choices: `mediagate storage scrub|cleanup`.

    Example: `mediagate schedules trigger retention --by ada`
    """
    _order(name, Order.TRIGGER, by, reason, as_json)


@app.command()
def pause(name: Name, by: By = None, reason: Reason = "", as_json: Json = False) -> None:
    """Let one run no more until it is unpaused; what runs goes on. Without the sweep, lost starts and mails stay lost.

    Example: `mediagate schedules pause scrub --reason "store is being moved"`
    """
    _order(name, Order.PAUSE, by, reason, as_json)


@app.command()
def unpause(name: Name, by: By = None, reason: Reason = "", as_json: Json = False) -> None:
    """Let one run again.

    Example: `mediagate schedules unpause scrub`
    """
    _order(name, Order.UNPAUSE, by, reason, as_json)


async def every(flows: Flows, settings: Settings) -> list[Standing]:
    """How all stand; one that no worker has made yet has no times."""
    return [
        await standing(flows, plan) or Standing(plan.name, "not made yet: start a worker") for plan in plans(settings)
    ]


async def order(flows: Flows, db: Database, name: str, what: Order, who: Actor, reason: str) -> None:
    """Give an order and put it on record.

    Raises:
        NotFound: there is no such schedule.
        WorkflowsUnavailable: the service did not answer in time.
    """
    note = " ".join(f"{what.value} by {who}: {reason}".split()).removesuffix(":")
    try:
        await give(flows, name, what, note=note)
    except NotFound as error:
        raise NotFound(f"There is no schedule {name!r}; see `mediagate schedules list`.") from error
    async with db.transaction() as tx:
        await tx.audit.note(f"schedule.{what.value}", f"schedule:{name}", who, reason=reason)


def _order(name: str, what: Order, by: str | None, reason: str, as_json: bool) -> None:
    asyncio.run(_with(lambda flows, db: order(flows, db, name, what, acting(by), reason)))
    if as_json:
        print_json({"schedule": name, "order": what.value})
    else:
        print_line(f"{name}: {what.value} done.")


async def _with(act: Callable[[Flows, Database], Awaitable[T]]) -> T:
    flows = Flows((await operations()).client)
    db = Database(Settings().database_url.get_secret_value(), pool_size=1)
    try:
        return await act(flows, db)
    finally:
        await db.close()


def _state(one: Standing) -> str:
    return "paused" if one.paused else "running" if one.running else "waiting"


def _when(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "–"
