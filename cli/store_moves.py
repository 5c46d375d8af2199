"""What `mediagate stores` does: the plan of a copy or a move, and the run that does it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rich.filesize import decimal

from activities.store_moving import placed
from cli.local_stack import adopt_local_stack
from cli.output import console
from db.repositories.audit import Actor
from db.session import Database
from mediagate import wiring
from mediagate.errors import Conflict, InvalidRequest
from mediagate.settings import Settings
from mediagate.storage import keys
from mediagate.storage.mirroring import merged
from mediagate.storage.placement import Placement
from workflows import store_client
from workflows.client import Flows
from workflows.store_messages import StoreAct, StoreMoveInput, StoreMoveProgress

LOOK_EVERY = 0.5


@dataclass(frozen=True)
class Plan:
    """What would be done, by what the stores list; bytes are compared only when it is done."""

    library: str
    act: StoreAct
    store: str
    home: str
    beside: str | None
    objects: int
    """In the library's store; of `clear`: that would be deleted."""
    bytes: int
    there: int
    """Of these, with the same size in the other store already."""


async def make_plan(act: StoreAct, library: str, store: str) -> Plan:
    """What there is to do.

    Raises:
        NotFound, InvalidRequest, Conflict: it cannot be done.
    """
    async with opened() as (settings, db):
        addresses = wiring.store_addresses(settings)
        placement = await placed(db, library)
        _check(act, library, store, placement, [*addresses])
        stores = wiring.open_stores(settings)
        try:
            folder, home = f"{keys.library_folder(library)}/", stores[placement.home]
            if act is StoreAct.CLEAR:
                sizes = [stat.size async for stat in stores[store].list(folder)]
                return Plan(library, act, store, placement.home, None, len(sizes), sum(sizes), 0)
            objects = total = there = 0
            async for found in merged(home.list(folder), stores[store].list(folder)):
                if present := found.get(0):
                    objects, total = objects + 1, total + present.size
                    there += 1 in found and found[1].size == present.size
            return Plan(library, act, store, placement.home, placement.beside, objects, total, there)
        finally:
            for one in stores.values():
                one.close()


def _check(act: StoreAct, library: str, store: str, placement: Placement, known: list[str]) -> None:
    for name in (store, *placement.sides):
        if name not in known:
            raise InvalidRequest(f"MEDIAGATE_STORES describes no store {name!r} here; there are {', '.join(known)}.")
    if act is StoreAct.CLEAR and store in placement.sides:
        raise Conflict(f"The library {library!r} lives in the store {store!r}.")
    if act is StoreAct.COPY and store == placement.home:
        raise Conflict(f"The library {library!r} is in the store {store!r} already.")
    if act is not StoreAct.CLEAR and placement.beside not in (None, store) and placement.home != store:
        raise Conflict(f"The library {library!r} is on its way to the store {placement.beside!r}.")


async def carry_out(
    flows: Flows, db: Database, job: StoreMoveInput, *, detach: bool, quiet: bool
) -> StoreMoveProgress | None:
    """Start the run, or join it, and tell how far it is until its end; None if nobody waits for that.

    Raises:
        Conflict: it was refused, failed or was cancelled.
    """
    async with db.transaction() as tx:
        await tx.audit.note(
            f"store.{job.act.value}",
            f"library:{job.library}",
            Actor(job.actor, job.via),
            library=job.library,
            reason=job.reason,
            data={"store": job.store},
        )
    handle = await store_client.start(flows, job)
    if detach:
        return None
    end = asyncio.create_task(store_client.result(handle))
    with console(stderr=True).status("starting") as shown:
        while not (await asyncio.wait([end], timeout=LOOK_EVERY))[0]:
            if not quiet and (so_far := await store_client.progress(handle)):
                shown.update(told(so_far))
    return end.result()


def told(progress: StoreMoveProgress) -> str:
    """How far it is, for people."""
    done = progress.done
    parts = [f"{done.looked_at} objects compared, {done.copied} copied ({decimal(done.copied_bytes)})"]
    parts += [f"{done.removed} removed that are gone"] if done.removed else []
    parts += [f"{done.cleared} cleared from {progress.source}"] if done.cleared else []
    return f"{progress.stage.value}: {', '.join(parts)}."


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[Settings, Database]]:
    """The deployment."""
    adopt_local_stack()
    settings = Settings()
    db = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        yield settings, db
    finally:
        await db.close()
