"""The branches of imports, each driven through the real gate to its end."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from activities.import_orders import order_import
from mediagate.media.imports import ImportItemState
from mediagate.media.values import Status
from mediagate.settings import ImportSource
from mediagate.storage import keys
from tests.imports import ADA, SOURCE, begun, items, junk, media_ids, orders, reached, stocked
from tests.workflows import runs
from tests.world import World, picture
from workflows import policies
from workflows.import_client import start_import
from workflows.import_messages import ImportInput, ImportProgress
from workflows.names import import_id

IMPORTING: dict[str, Any] = {"import_sources": {SOURCE: ImportSource(libraries=("*",), prefix=keys.IMPORTS)}}
"""The world that they need."""


async def imported(world: World) -> str:
    """Two objects, listed one at a time, one upload at a time."""
    await stocked(world, *junk(2))
    return import_id(str((await begun(world, at_once=1, page=1)).id))


async def import_continued(world: World) -> str:
    """The history begins anew after each step: this is the last one."""
    await stocked(world, *junk(2))
    return import_id(str((await begun(world, at_once=1, stretch=1)).id))


async def import_ordered(world: World) -> str:
    """Paused, resumed and cancelled while an upload is under way."""
    await stocked(world, ("a.jpg", picture(seed=41)), *junk(1))
    one = await begun(world, at_once=1)
    await reached(world, one, ImportItemState.UNDER_WAY, 1)
    for act in ("pause", "resume", "cancel"):
        await order_import(orders(world), world.library, one.id, act, ADA)
    [media_id] = media_ids(await items(world, one))
    await runs.stage(world, str(media_id), Status.AWAITING_MODERATION)
    await world.webhook(world.event(str(media_id)))
    return import_id(str(one.id))


async def import_held(world: World) -> str:
    """Nothing can begin for days: it pauses itself, and nobody resumes it."""
    await stocked(world, *junk(1))
    await world.configure(limits={"daily_files": 0})
    almost = ImportProgress(held=policies.IMPORT_HELD - timedelta(minutes=15))
    return import_id(str((await begun(world, progress=almost)).id))


async def import_refused(world: World) -> str:
    """There is nothing to be imported."""
    return import_id(str((await begun(world)).id))


async def import_cancelled(world: World) -> str:
    """Cancelled by an operator."""
    await stocked(world, ("a.jpg", picture(seed=42)))
    one = await begun(world)
    await reached(world, one, ImportItemState.UNDER_WAY, 1)
    await world.client.get_workflow_handle(import_id(str(one.id))).cancel()
    return import_id(str(one.id))


async def import_failed(world: World) -> str:
    """Its row is gone."""
    job = ImportInput(import_id=str(uuid4()), library=world.library.slug)
    await start_import(world.flows, job)
    return import_id(job.import_id)
