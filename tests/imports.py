"""Imports in tests: a source of the library's own, objects in it, an import with small steps, and what became of it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from activities.import_orders import ImportWorld, begin_import, import_input, new_import
from db.repositories.audit import Actor
from db.tables import Import, ImportItem, Library, Media, now
from mediagate.media.imports import ImportItemState, ManifestItem
from mediagate.settings import ImportSource
from mediagate.storage import keys
from tests.workflows import runs
from tests.world import GateWith, World
from workflows.import_client import start_import
from workflows.import_messages import ImportProgress
from workflows.names import import_id

SOURCE = "archive"
ADA = Actor("ada", "api:test")
SOON = timedelta(milliseconds=100)


def importing(gate_with: GateWith, library: Library, **more: Any) -> AbstractAsyncContextManager[World]:
    """A world whose library may import from a folder of its own."""
    source = ImportSource(libraries=(library.slug,), prefix=folder(library))
    return gate_with(import_sources={SOURCE: source}, **more)


def folder(library: Library) -> str:
    """Where the library's source begins."""
    return f"{keys.IMPORTS}{library.slug}/"


async def stocked(world: World, *objects: tuple[str, bytes], content_type: str = "image/jpeg") -> list[str]:
    """Objects in the source, by their names in the folder; their keys."""
    for name, data in objects:
        await world.store.put(folder(world.library) + name, data, content_type=content_type)
    return [folder(world.library) + name for name, _ in objects]


def junk(count: int, *, name: str = "junk") -> list[tuple[str, bytes]]:
    """So many objects that are refused at the first look: their uploads end soon, and need no vendor."""
    return [(f"{name}-{number:03}.jpg", f"no picture {number}".encode()) for number in range(count)]


def orders(world: World) -> ImportWorld:
    """What orders to imports work with."""
    return ImportWorld(world.settings, world.db, world.store, world.flows)


def planned(world: World, *, listed: bool = True, at_once: int | None = None) -> Import:
    """A row that is not stored yet. `listed`: of all in the folder; else a manifest says of what."""
    prefix = folder(world.library) if listed else None
    return new_import(world.settings, world.library, uuid4(), source=SOURCE, prefix=prefix, at_once=at_once)


async def begun(
    world: World, *, manifest: Sequence[ManifestItem] | None = None, at_once: int | None = None, **job: Any
) -> Import:
    """An import that runs in steps as `job` says; short ones by default."""
    one = planned(world, listed=not manifest, at_once=at_once)
    one.started_at = now()  # this helper starts it
    async with world.db.transaction() as tx:
        one = await tx.imports.begin(one)
    if manifest:
        lines = "\n".join(item.model_dump_json() for item in manifest)
        key = keys.manifest(world.library.slug, str(one.id))
        await world.store.put(key, lines.encode(), content_type="application/jsonl")
    small = {"look_again": SOON, **job}
    await start_import(world.flows, import_input(one, world.library).model_copy(update=small))
    return one


async def began(world: World, **plan: Any) -> Import:
    """An import that runs as the API would start it."""
    return await begin_import(orders(world), world.library, planned(world, **plan), None, ADA)


async def row(world: World, one: Import) -> Import:
    """The row, as it is now."""
    async with world.db.transaction() as tx:
        return await tx.imports.get(one.id)


async def ended(world: World, one: Import) -> Import:
    """The row of an import whose run has ended; it tells the same as the run."""
    handle = world.client.get_workflow_handle(import_id(str(one.id), one.round), result_type=ImportProgress)
    progress = await handle.result()
    found = await row(world, one)
    assert (found.state, found.counts, found.detail) == (progress.state, progress.counts, progress.detail)
    assert found.ended_at
    return found


async def reached(world: World, one: Import, state: ImportItemState, count: int) -> None:
    """Return when so many objects, or more, are in that state."""

    async def there() -> bool:
        async with world.db.transaction() as tx:
            return len(await tx.imports.in_state(one.id, state)) >= count

    await runs.until(there)


async def items(world: World, one: Import) -> dict[str, tuple[ImportItem, Media | None]]:
    """The objects by their names in the folder, with the items that they became."""
    async with world.db.transaction() as tx:
        found = await tx.imports.items(one.id, limit=10_000)
    return {item.key.removeprefix(folder(world.library)): (item, media) for item, media in found}


def widest(media: Sequence[Media]) -> int:
    """How many uploads were under way at the same time, at most: from acceptance to filing."""
    moments = [(one.accepted_at, 1) for one in media] + [(one.filed_at or now(), -1) for one in media]
    most = open_ = 0
    for _, change in sorted(moments, key=lambda moment: (moment[0] or now(), moment[1])):
        open_ += change
        most = max(most, open_)
    return most


def media_ids(found: dict[str, tuple[ImportItem, Media | None]]) -> set[UUID]:
    """Of the items that there are."""
    return {media.id for _, media in found.values() if media}
