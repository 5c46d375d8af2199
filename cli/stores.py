"""`mediagate stores`: where libraries' objects are, whether the stores can do what is needed, and moving libraries."""

import asyncio
from typing import Annotated

import typer
from rich.filesize import decimal

from cli.actor import By, acting
from cli.local_stack import adopt_local_stack
from cli.output import Json, mark, print_json, print_line, print_table
from cli.runs.access import operations
from cli.store_moves import Plan, carry_out, make_plan, opened, told
from mediagate import wiring
from mediagate.errors import InvalidRequest
from mediagate.settings import Settings
from mediagate.storage.placement import DEFAULT
from mediagate.storage.s3_features import NEEDED, Feature, S3Probe, Tried
from workflows.client import Flows
from workflows.store_messages import StoreAct, StoreMoveInput, StoreMoveProgress

app = typer.Typer(
    no_args_is_help=True,
    help="Object stores: MEDIAGATE_S3_* is the one named `default`, MEDIAGATE_STORES describes further ones.\n\n"
    "A library is in the default store until it is moved. Uploads and reads go on meanwhile.",
)

Library = Annotated[str, typer.Argument(help="Name of the library.")]
To = Annotated[str, typer.Option("--to", metavar="STORE", help="Name of the store.")]
Detach = Annotated[bool, typer.Option("--detach", help="Start it and do not wait for its end.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would be done is shown.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the audit trail.")]


@app.command("list")
def list_stores(as_json: Json = False) -> None:
    """Every store, and how many libraries are in it.

    Example: `mediagate stores list`
    """

    async def read() -> list[dict[str, object]]:
        async with opened() as (settings, db):
            async with db.transaction() as tx:
                use = await tx.placements.use()
            addresses = wiring.store_addresses(settings)
            return [
                {
                    "name": name,
                    "url": address.url if address else None,
                    "bucket": address.bucket if address else None,
                    "libraries": use[name].libraries if name in use else 0,
                    "moving": list(use[name].moving) if name in use else [],
                }
                for name in dict.fromkeys([*addresses, *use])
                for address in [addresses.get(name)]
            ]

    stores = asyncio.run(read())
    if as_json:
        print_json({"stores": stores})
    else:
        rows = [
            (one["name"], one["url"] or "not described here", one["bucket"] or "", one["libraries"], _moving(one))
            for one in stores
        ]
        print_table(["store", "address", "bucket", "libraries", "on the move"], rows)
    raise typer.Exit(0 if all(one["url"] for one in stores) else 1)


def _moving(store: dict[str, object]) -> str:
    moving = store["moving"]
    return ", ".join(moving) if isinstance(moving, list) else ""


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="Name of a store; default: all of them.")] = None,
    as_json: Json = False,
) -> None:
    """Try out what the stores can do, each with an object of a few bytes that is deleted again.

    Exit code 1 if a store cannot be reached or lacks what the gate needs: copies, and POST policies in the default
    store unless MEDIAGATE_S3_PRESIGN is put.

    Example: `mediagate stores check archive`
    """
    adopt_local_stack()
    addresses = wiring.store_addresses(Settings())
    if name is not None and name not in addresses:
        raise InvalidRequest(f"MEDIAGATE_STORES describes no store {name!r}; there are {', '.join(addresses)}.")

    async def try_out() -> dict[str, list[Tried]]:
        found = dict[str, list[Tried]]()
        for store in [name] if name else addresses:
            probe = S3Probe(addresses[store])
            try:
                found[store] = await probe.tried()
            finally:
                probe.close()
        return found

    found = asyncio.run(try_out())
    posts = Settings().s3_presign == "post"
    needed = {store: NEEDED | ({Feature.POST_POLICY} if store == DEFAULT and posts else set()) for store in found}
    wrong = [one for store, tried in found.items() for one in tried if one.feature in needed[store] and not one.works]
    if as_json:
        print_json({"stores": {store: [one.model_dump() for one in tried] for store, tried in found.items()}})
    else:
        rows = [
            (store, *(_mark(one, needed=one.feature in needed[store]) for one in tried))
            for store, tried in found.items()
        ]
        print_table(["store", *(feature.value for feature in Feature)], rows)
        for one in wrong:
            print_line(f"{one.feature.value}: {one.detail or 'does not work'}", stderr=True)
    raise typer.Exit(1 if wrong else 0)


def _mark(tried: Tried, *, needed: bool) -> object:
    if tried.works is None:
        return "not tried"
    if tried.works:
        return mark("ok")
    return mark("fail") if needed else "no"


@app.command()
def copy(
    library: Library,
    to: To,
    reason: Reason = "",
    detach: Detach = False,
    yes: Yes = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Bring a library's objects to another store as well; the library stays where it is.

    Every object is read back and compared. Again, it brings what came since, and takes away there what is gone. Before
    the move of a large library it shortens the time for which each write goes to both stores.

    Example: `mediagate stores copy photos --to archive --yes`
    """
    _do(StoreAct.COPY, library, to, reason=reason, detach=detach, yes=yes, by=by, as_json=as_json)


@app.command()
def move(
    library: Library,
    to: To,
    reason: Reason = "",
    detach: Detach = False,
    yes: Yes = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Have a library live in another store: copy, compare, hand over, clear the old place.

    Uploads and reads go on. Stopping this command does not stop the move; as long as it copies,
    `mediagate runs cancel store-move-<library> --yes` calls it off. A move that was interrupted is given again, and
    goes on.

    Examples:

      mediagate stores move photos --to archive

      mediagate stores move photos --to archive --yes --reason "cheaper"
    """
    _do(StoreAct.MOVE, library, to, reason=reason, detach=detach, yes=yes, by=by, as_json=as_json)


@app.command()
def clear(
    library: Library,
    store: Annotated[str, typer.Option("--in", metavar="STORE", help="Name of the store.")],
    reason: Reason = "",
    detach: Detach = False,
    yes: Yes = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Delete a library's copies in a store in which it does not live.

    Example: `mediagate stores clear photos --in archive --yes`
    """
    _do(StoreAct.CLEAR, library, store, reason=reason, detach=detach, yes=yes, by=by, as_json=as_json)


def _do(
    act: StoreAct, library: str, store: str, *, reason: str, detach: bool, yes: bool, by: str | None, as_json: bool
) -> None:
    actor = acting(by)
    plan = asyncio.run(make_plan(act, library, store))
    if not yes:
        if as_json:
            print_json({"done": False, **plan.__dict__})
        else:
            _print_plan(plan)
        return
    job = StoreMoveInput(library=library, act=act, store=store, actor=actor.name, via=actor.via, reason=reason)

    async def do() -> StoreMoveProgress | None:
        flows = Flows((await operations()).client)
        async with opened() as (_, db):
            return await carry_out(flows, db, job, detach=detach, quiet=as_json)

    result = asyncio.run(do())
    if as_json:
        print_json({"done": result is not None, **(result or plan).__dict__})
    elif result is None:
        print_line(f"Started. `mediagate runs show store-move-{library}` tells how far it is.")
    else:
        print_line(told(result))


def _print_plan(plan: Plan) -> None:
    if plan.act is StoreAct.CLEAR:
        print_line(f"{plan.objects} objects ({decimal(plan.bytes)}) in {plan.store} would be deleted.")
    elif plan.home == plan.store and plan.beside is None:
        print_line(f"The library is in {plan.store} already.")
        return
    else:
        print_line(
            f"{plan.objects} objects ({decimal(plan.bytes)}) in {plan.home} would be brought to {plan.store} and"
            f" compared; {plan.there} seem to be there already."
        )
        if plan.act is StoreAct.MOVE:
            print_line(f"Then the library would live in {plan.store}, and its objects in {plan.home} be deleted.")
    print_line("Nothing was changed; add --yes to do it.")
