"""`mediagate inbox`: events of vendors that reached no run, and delivering them again."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from getpass import getuser
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from activities.inbox import redeliver as deliver_again
from cli.local_stack import adopt_local_stack
from cli.output import Json, print_json, print_line, print_table
from cli.runs.access import operations
from db.session import Database
from db.tables import InboxEvent, InboxState
from mediagate.errors import CallerError, NotFound
from mediagate.settings import Settings
from workflows.client import Flows

T = TypeVar("T")

PAGE = 200

app = typer.Typer(
    no_args_is_help=True,
    help="Events of vendors that reached no run: dead letters (`unmatched`: about nothing that is known here), late "
    "ones (the item was decided), and stored ones (the run is waited for; the sweep delivers them).",
)

State = Annotated[InboxState, typer.Option(help="unmatched, late or stored.")]
Vendor = Annotated[str | None, typer.Option(help="Of this vendor only.")]


@app.command("list")
def list_(
    state: State = InboxState.UNMATCHED,
    vendor: Vendor = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Events at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List events that reached no run, newest first. Reads only.

    Examples:

      mediagate inbox list

      mediagate inbox list --state late --vendor hive --json
    """
    if state is InboxState.DELIVERED:
        raise typer.BadParameter("delivered events are on the timelines of their items")
    rows = _with_database(lambda db: _page(db, state, vendor, limit))
    if as_json:
        print_json([_facts(row) for row in rows])
        return
    print_table(
        ["id", "received", "vendor", "verdict", "about", "event id"],
        [
            (
                row.id,
                f"{row.received_at:%Y-%m-%d %H:%M:%S}",
                row.vendor,
                row.event.get("verdict"),
                _about(row),
                row.event_id,
            )
            for row in rows
        ],
    )


@app.command()
def show(event: Annotated[UUID, typer.Argument(help="Id of the event in the inbox.")], as_json: Json = False) -> None:
    """Show one event: what was understood, and headers and body as the vendor sent them. Reads only.

    Example: `mediagate inbox show 60eb2214-5c82-41b9-9094-6a12a18383b1`
    """
    row = _with_database(lambda db: _get(db, event))
    body = row.body.decode(errors="backslashreplace")
    if as_json:
        print_json({**_facts(row), "headers": row.headers, "body": body, "event": row.event})
        return
    print_table(["", ""], [*_facts(row).items(), *row.headers.items()])
    print_line(json.dumps(row.event, ensure_ascii=False, indent=2))
    print_line(body)


@app.command()
def redeliver(
    events: Annotated[list[UUID] | None, typer.Argument(help="Ids of events in the inbox.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    vendor: Vendor = None,
    media: Annotated[UUID | None, typer.Option(help="The item they are about, if the vendor named another.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --all: do it; without this, only count them.")] = False,
    as_json: Json = False,
) -> None:
    """Deliver stored events again, as they were understood when they came. Those that were delivered stay as they are.

    Exit code 1 if one is a dead letter still, or could not be delivered.

    Examples:

      mediagate inbox redeliver 60eb2214-5c82-41b9-9094-6a12a18383b1 --media 5f0c…

      mediagate inbox redeliver --all --vendor hive --yes
    """
    if bool(events) == all_ or (media and len(events or ()) != 1):
        raise typer.BadParameter("name events, or --all; --media goes with one event")
    if all_ and not yes:
        count = len(_with_database(lambda db: _every(db, vendor)))
        if as_json:
            print_json({"done": False, "dead_letters": count})
        else:
            print_line(f"{count} dead letters would be delivered again. Nothing was changed; add --yes to do it.")
        return
    outcomes = _with_database(lambda db: _redeliver(db, events, vendor, media))
    if as_json:
        print_json({"done": True, "events": outcomes})
    else:
        print_table(["id", "state", "about"], [(one["id"], one["state"], one["media_id"] or "") for one in outcomes])
    failed = any(one["state"] in {InboxState.UNMATCHED, "refused"} for one in outcomes)
    raise typer.Exit(1 if failed else 0)


async def _redeliver(
    db: Database, events: list[UUID] | None, vendor: str | None, media_id: UUID | None
) -> list[dict[str, Any]]:
    flows, review = Flows((await operations()).client), Settings().review_time
    outcomes = []
    for event in events or await _every(db, vendor):
        try:
            row = await deliver_again(db, flows, event, by=f"{getuser()} (CLI)", media_id=media_id, review=review)
        except CallerError as error:  # this one; those behind it need not be
            outcomes.append({"id": event, "state": "refused", "media_id": None, "detail": error.message})
        else:
            outcomes.append({"id": event, "state": row.state, "media_id": row.media_id, "detail": ""})
    return outcomes


async def _every(db: Database, vendor: str | None) -> list[UUID]:
    """All dead letters there are now."""
    found: list[UUID] = []
    after = None
    while True:
        async with db.transaction() as tx:
            page = await tx.inbox.page(InboxState.UNMATCHED, vendor=vendor, after=after, limit=PAGE)
        if not page:
            return found
        found += [row.id for row in page]
        after = (page[-1].received_at, page[-1].id)


async def _page(db: Database, state: InboxState, vendor: str | None, limit: int) -> list[InboxEvent]:
    async with db.transaction() as tx:
        return [*await tx.inbox.page(state, vendor=vendor, limit=limit)]


async def _get(db: Database, inbox_id: UUID) -> InboxEvent:
    async with db.transaction() as tx:
        row = await tx.inbox.get(inbox_id)
    if row is None:
        raise NotFound("There is no event with this id in the inbox.")
    return row


def _with_database(action: Callable[[Database], Awaitable[T]]) -> T:
    adopt_local_stack()
    settings = Settings()

    async def act() -> T:
        db = Database(settings.database_url.get_secret_value(), pool_size=1)
        try:
            return await action(db)
        finally:
            await db.close()

    return asyncio.run(act())


def _about(row: InboxEvent) -> str:
    return str(row.media_id or "") or f"reference {row.event.get('reference') or 'none'}"


def _facts(row: InboxEvent) -> dict[str, Any]:
    return {
        **row.model_dump(include={"id", "vendor", "event_id", "state", "media_id", "tracking_id"}),
        "reference": row.event.get("reference", ""),
        "verdict": row.event.get("verdict", ""),
        "received_at": row.received_at,
        "settled_at": row.settled_at,
    }
