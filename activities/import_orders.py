"""What people ask of imports: begin one, pause, resume or cancel it, try what failed again; for the API and the CLI."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import structlog

from activities.acceptance import SOONEST
from activities.import_items import put_back
from mediagate.errors import Conflict, InvalidRequest, NotFound, QuotaExceeded, Unavailable
from mediagate.media.imports import ENDED, ImportItemState, ImportState, ManifestItem, checked_prefix
from mediagate.storage import keys
from workflows.import_client import order_import as order_run
from workflows.import_client import start_import
from workflows.import_messages import ImportInput, ImportOrder, ImportProgress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from db.repositories.audit import Actor
    from db.session import Database
    from db.tables import Import, Library
    from mediagate.settings import ImportSource, Settings
    from mediagate.storage.store import ObjectStore
    from workflows.client import Flows

log = structlog.get_logger()

MOST_OPEN = 5
"""Imports of one library that have not ended."""


class ImportWorld(NamedTuple):
    """What orders to imports work with."""

    settings: Settings
    db: Database
    store: ObjectStore
    flows: Flows


def source_for(settings: Settings, library: str, name: str) -> ImportSource:
    """The import source of that name. One that is not for this library is as unknown as one that does not exist.

    Raises:
        NotFound: there is none.
    """
    found = settings.import_sources.get(name)
    if found is None or not found.serves(library):
        raise NotFound(f"There is no import source named {name!r} for this library; MEDIAGATE_IMPORT_SOURCES has them.")
    return found


def new_import(
    settings: Settings, library: Library, import_id: UUID, *, source: str, prefix: str | None, at_once: int | None
) -> Import:
    """The row of an import, not stored yet. `prefix`: None for a manifest.

    Raises:
        NotFound: there is no such source for this library.
        InvalidRequest: the prefix is not below that of the source, or `at_once` is more than the settings allow.
    """
    from db.tables import Import

    place, most = source_for(settings, library.slug, source), settings.import_at_once
    if at_once and at_once > most:
        raise InvalidRequest(f"at_once: at most {most} uploads of an import are under way here.")
    try:
        prefix = None if prefix is None else checked_prefix(prefix, place.prefix)
    except ValueError as error:
        raise InvalidRequest(f"prefix: {error}.") from error
    return Import(
        id=import_id, library_id=library.id, source=source, prefix=prefix, at_once=at_once or most, created_by=""
    )


async def begin_import(
    world: ImportWorld, library: Library, one: Import, manifest: Sequence[ManifestItem] | None, actor: Actor
) -> Import:
    """Begin an import: its row, its manifest if it has one, its workflow, in this order. Idempotent by the row's id.

    A start that fails is still owed: the sweep pays it.

    Raises:
        QuotaExceeded: the library has too many imports that have not ended.
        StorageUnavailable: the manifest could not be kept; send it again.
    """
    one.created_by = actor.name
    async with world.db.transaction() as tx:
        await tx.access.library(library.slug, lock=True)
        known = await tx.imports.find(one.id)
        if known is None:
            if await tx.imports.open_count(library.id) >= MOST_OPEN:
                message = f"This library has {MOST_OPEN} imports that have not ended; let one end, or cancel it."
                raise QuotaExceeded(message, retry_after=SOONEST)
            one = await tx.imports.begin(one)
            facts = {"source": one.source, "prefix": one.prefix, "objects": None if manifest is None else len(manifest)}
            await tx.audit.note(
                "import.begin",
                f"import:{one.id}",
                actor,
                library=library.slug,
                tracking_id=one.tracking_id,
                data=facts,
            )
    one = known or one
    if manifest is not None and one.started_at is None and one.ended_at is None:
        lines = "\n".join(item.model_dump_json(exclude_defaults=True) for item in manifest)
        key = keys.manifest(library.slug, str(one.id))
        await world.store.put(key, lines.encode(), content_type="application/jsonl")
    return await _start_or_owe(world, one, library)


async def order_import(world: ImportWorld, library: Library, import_id: UUID, act: str, actor: Actor) -> Import:
    """`pause`, `resume` or `cancel` an import; its row as it stands then.

    Raises:
        NotFound: there is no such import in this library.
        Conflict: it is not at a point where that is possible.
        WorkflowsUnavailable: no answer in time; look at the import again.
    """
    one = await of_library(world.db, library, import_id)
    if one.ended_at:
        raise Conflict(f"The import has ended already: it is {one.state.value}.")
    try:
        await order_run(world.flows, str(one.id), one.round, act, ImportOrder(actor=actor.name, via=actor.via))
    except NotFound as error:
        if act != "cancel":
            raise Conflict("The import has not been started yet, or has ended just now; look at it again.") from error
        await _end_without_run(world, library, import_id, actor)
    return await of_library(world.db, library, import_id)


async def retry_import(world: ImportWorld, library: Library, import_id: UUID, actor: Actor) -> Import:
    """Try the objects that failed again; an import that has ended begins another round for them.

    Raises:
        NotFound: there is no such import in this library.
        Conflict: nothing failed, or it is being cancelled.
    """
    await of_library(world.db, library, import_id)
    async with world.db.transaction() as tx:
        one = await tx.imports.get(import_id, lock=True)
        if one.state is ImportState.CANCELLING:
            raise Conflict("The import is being cancelled; wait until it has ended.")
        if not (await tx.imports.counts(one.id)).failed:
            raise Conflict("No object of this import has failed.")
        again = {"reason": "", "detail": "", "attempts": 0}
        await tx.imports.move_items(one.id, [ImportItemState.FAILED], ImportItemState.WAITING, **again)
        if one.state in ENDED:
            one.state, one.detail, one.ended_at, one.started_at = ImportState.IMPORTING, "", None, None
            one.round += 1
        failed = one.failed
        await tx.imports.recount(one)
        await tx.audit.note("import.retry", f"import:{one.id}", actor, library=library.slug, data={"objects": failed})
    return await _start_or_owe(world, one, library)


async def start_owed_imports(world: ImportWorld, before: datetime, limit: int) -> int:
    """Start the workflows of imports that were left without one; how many. Idempotent."""
    async with world.db.transaction() as tx:
        owed = await tx.imports.owed_a_start(before, limit)
    rows = [await _start_or_owe(world, one, library) for one, library in owed]
    return sum(one.started_at is not None for one in rows)


async def of_library(db: Database, library: Library, import_id: UUID) -> Import:
    """The import. Another library's is as unknown as one that does not exist. Raises NotFound."""
    async with db.transaction() as tx:
        one = await tx.imports.get(import_id)
    if one.library_id != library.id:
        raise NotFound("There is no import with this id.")
    return one


async def _start_or_owe(world: ImportWorld, one: Import, library: Library) -> Import:
    """Start its workflow now if the service answers; else the row owes it and the sweep pays."""
    try:
        while one.started_at is None and one.ended_at is None:
            started = await start_import(world.flows, import_input(one, library))
            async with world.db.transaction() as tx:
                # A round whose run has ended while the row says otherwise is of a time before a restore.
                await (tx.imports.mark_started if started else tx.imports.next_round)(one.id, one.round)
            one = await of_library(world.db, library, one.id)
    except Unavailable as error:
        log.warning("import.start_owed", import_id=str(one.id), error=error.code)
    return one


def import_input(one: Import, library: Library) -> ImportInput:
    """How its workflow is started, as the row stands."""
    listing = one.state is ImportState.LISTING
    return ImportInput(
        import_id=str(one.id),
        library=library.slug,
        round=one.round,
        at_once=one.at_once,
        progress=ImportProgress(
            state=ImportState.LISTING if listing else ImportState.IMPORTING,
            counts=one.counts,
            worked=timedelta(seconds=one.worked),
        ),
    )


async def _end_without_run(world: ImportWorld, library: Library, import_id: UUID, actor: Actor) -> None:
    """A row whose workflow was never started, or was terminated, would never end."""
    from db.tables import now

    async with world.db.transaction() as tx:
        one = await tx.imports.get(import_id, lock=True)
        one.state = ImportState.CANCELLING  # from here on no belated step begins anything
        taken = await tx.imports.in_state(one.id, ImportItemState.TAKEN)
    for item in taken:
        await put_back(world.db, world.store, library, item, ImportItemState.WAITING)
    await world.store.delete(keys.manifest(library.slug, str(import_id)))
    async with world.db.transaction() as tx:
        one = await tx.imports.get(import_id, lock=True)
        if one.ended_at is None:
            await tx.imports.settle(one.id, limit=one.at_once)
            await tx.imports.move_items(one.id, [ImportItemState.WAITING], ImportItemState.CANCELLED)
            await tx.imports.recount(one)
            one.state, one.detail, one.ended_at = ImportState.CANCELLED, f"cancelled by {actor.name}", now()
            await tx.audit.note("import.cancel", f"import:{one.id}", actor, library=library.slug)
