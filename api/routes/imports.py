"""Imports of many objects: begun from a manifest or a prefix, looked at, paused, resumed, cancelled, tried again."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from activities.import_orders import (
    ImportWorld,
    begin_import,
    new_import,
    of_library,
    order_import,
    retry_import,
    source_for,
)
from api.deps import Admin, Caller, Gate, GateDep, Reader, library_for
from api.idempotency import identity, once
from api.import_models import (
    AtOnce,
    ImportCreate,
    ImportItemPage,
    ImportItemRead,
    ImportPage,
    ImportRead,
    SourceName,
)
from api.manifests import CSV, JSON_LINES, TYPES, read_manifest
from api.models import UploadTexts
from api.pages import Limit, decode, decode_place, encode, encode_place
from db.repositories.audit import Actor
from db.repositories.imports import ItemWithMedia
from db.tables import Import, Library
from mediagate.errors import InvalidRequest
from mediagate.media.imports import ENDED, ImportItemState, ManifestItem
from mediagate.media.values import Status
from workflows.names import import_id as workflow_id

router = APIRouter(prefix="/libraries/{slug}/imports", tags=["imports"])

Order = Annotated[str, Path(pattern="^(pause|resume|cancel|retry)$")]
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": ImportCreate.model_json_schema()},
            JSON_LINES[0]: {"schema": {"type": "string", "description": "a JSON object per line: `ManifestLine`"}},
            CSV: {"schema": {"type": "string", "description": "columns as the fields of `ManifestLine`"}},
        },
    }
}


@router.post("", response_model=ImportRead, status_code=202, openapi_extra=_BODY)
async def create_import(
    slug: str,
    request: Request,
    gate: GateDep,
    caller: Admin,
    source: Annotated[SourceName | None, Query(description="with a manifest: where its objects are")] = None,
    at_once: Annotated[AtOnce, Query(description="with a manifest: uploads under way at a time")] = None,
) -> JSONResponse:
    """Import objects of a source: those that a manifest names, or all below a prefix (as JSON).

    Each becomes an item as an upload does. `Idempotency-Key`: sent again, nothing is imported twice.
    """
    library = await library_for(gate, caller, slug)
    body = await request.body()
    fingerprint = f"{request.url.query}\n".encode() + body
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def act() -> ImportRead:
        if kind in TYPES:
            if source is None:
                raise InvalidRequest("source: name where the manifest's objects are.")
            asked = ImportCreate(source=source, at_once=at_once)
            place = source_for(gate.settings, library.slug, source)
            manifest: list[ManifestItem] | None = await asyncio.to_thread(
                read_manifest, body, kind, place, gate.settings
            )
        else:
            asked, manifest = _asked(body), None
        import_id = identity(request, caller, fingerprint)
        one = _new(gate, library, asked, request, import_id, listed=manifest is None)
        begun = await begin_import(_world(gate), library, one, manifest, _actor(caller))
        return await _shown(gate, begun)

    return await once(request, gate, caller, fingerprint, act, status=202)


@router.get("")
async def list_imports(
    slug: str, gate: GateDep, caller: Reader, cursor: str | None = None, limit: Limit = 50
) -> ImportPage:
    """A library's imports, newest first."""
    library = await library_for(gate, caller, slug)
    after = decode(cursor)
    async with gate.db.transaction() as tx:
        rows = await tx.imports.page(library.id, after=after, limit=limit + 1)
    page = rows[:limit]
    more = encode(page[-1].created_at, page[-1].id) if len(rows) > limit else None
    return ImportPage(items=[_read(row) for row in page], next_cursor=more)


@router.get("/{import_id}")
async def read_import(slug: str, import_id: UUID, gate: GateDep, caller: Reader) -> ImportRead:
    """How far an import is, or what it did."""
    library = await library_for(gate, caller, slug)
    return await _shown(gate, await of_library(gate.db, library, import_id))


@router.get("/{import_id}/items")
async def list_import_items(
    slug: str,
    import_id: UUID,
    gate: GateDep,
    caller: Reader,
    state: ImportItemState | None = None,
    cursor: str | None = None,
    limit: Limit = 50,
) -> ImportItemPage:
    """Its objects, in the order of the manifest or of the listing, and what became of each."""
    library = await library_for(gate, caller, slug)
    after = decode_place(cursor)
    one = await of_library(gate.db, library, import_id)
    async with gate.db.transaction() as tx:
        rows = await tx.imports.items(one.id, state=state, after=after, limit=limit + 1)
    page = rows[:limit]
    more = encode_place(page[-1].item.id or 0) if len(rows) > limit else None
    return ImportItemPage(items=[read_item(row) for row in page], next_cursor=more)


@router.post("/{import_id}/{order}", response_model=ImportRead)
async def order_to_import(
    slug: str, import_id: UUID, order: Order, request: Request, gate: GateDep, caller: Admin
) -> JSONResponse:
    """Pause an import, let it go on, cancel it (what is under way ends), or try again what failed."""
    library = await library_for(gate, caller, slug)

    async def act() -> ImportRead:
        world, actor = _world(gate), _actor(caller)
        if order == "retry":
            return await _shown(gate, await retry_import(world, library, import_id, actor))
        return await _shown(gate, await order_import(world, library, import_id, order, actor))

    return await once(request, gate, caller, await request.body(), act, status=200)


def read_item(row: ItemWithMedia) -> ImportItemRead:
    """An object as people see it; why it failed goes before the reason of the item that it became."""
    item, media = row
    return ImportItemRead(
        key=item.key,
        line=item.line,
        filename=item.filename,
        state=ImportItemState.WAITING if item.state is ImportItemState.TAKEN else item.state,
        media_id=media.id if media else None,
        status=media.status if media else None,
        reason=item.reason or (media.reason if media else ""),
        detail=item.detail or (media.detail if media else ""),
    )


def facts(one: Import, outcomes: dict[Status, int] | None = None) -> dict[str, Any]:
    """An import as people see it."""
    counts = one.counts
    rate = (counts.imported + counts.failed) / one.worked if one.worked and counts.ended else None
    left = (counts.waiting + counts.under_way) / rate if rate and one.state not in ENDED else None
    return {
        **one.model_dump(exclude={"library_id", "texts", "worked"}),
        "total": counts.total,
        "outcomes": outcomes or {},
        "per_second": rate and round(rate, 3),
        "seconds_left": left and round(left, 1),
        "workflow_id": workflow_id(str(one.id), one.round),
    }


def _asked(body: bytes) -> ImportCreate:
    try:
        return ImportCreate.model_validate_json(body)
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in error.errors())
        raise InvalidRequest(f"{where}.") from error


def _new(
    gate: Gate, library: Library, asked: ImportCreate, request: Request, import_id: UUID, *, listed: bool
) -> Import:
    prefix = asked.prefix if listed else None
    one = new_import(gate.settings, library, import_id, source=asked.source, prefix=prefix, at_once=asked.at_once)
    one.texts = asked.model_dump(include=set(UploadTexts.model_fields), exclude_defaults=True)
    one.tracking_id = request.state.tracking_id
    return one


async def _shown(gate: Gate, one: Import) -> ImportRead:
    async with gate.db.transaction() as tx:
        outcomes = await tx.media.batch_counts(one.id)
    return _read(one, outcomes)


def _read(one: Import, outcomes: dict[Status, int] | None = None) -> ImportRead:
    return ImportRead.model_validate(facts(one, outcomes))


def _world(gate: Gate) -> ImportWorld:
    return ImportWorld(gate.settings, gate.db, gate.store, gate.flows)


def _actor(caller: Caller) -> Actor:
    return Actor(caller.name, f"api:{caller.key_id}")
