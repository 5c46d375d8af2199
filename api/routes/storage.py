"""How much is kept, and how much room is left."""

from fastapi import APIRouter

from api.deps import GateDep, Operator, Reader, library_for
from api.pages import Limit, decode, encode
from api.storage_models import LibraryStorage, LibraryTotal, SpaceRead, StoragePage, counted, shown

router = APIRouter(tags=["storage"])


@router.get("/libraries/{slug}/storage")
async def read_library_storage(slug: str, gate: GateDep, caller: Reader) -> LibraryStorage:
    """Objects and bytes of a library by status and kind, and its quota."""
    library = await library_for(gate, caller, slug)
    async with gate.db.transaction() as tx:
        held = await tx.storage.totals(library.id)
    objects, size, detail = shown(held)
    return LibraryStorage(
        library=slug,
        objects=objects,
        bytes=size,
        quota_bytes=gate.settings.limits(library.settings).total_bytes,
        quota_used=counted(held),
        held=detail,
    )


@router.get("/storage")
async def read_storage(
    gate: GateDep,
    caller: Operator,  # noqa: ARG001  (asked for its scope)
    cursor: str | None = None,
    limit: Limit = 50,
) -> StoragePage:
    """Objects and bytes of the whole deployment, and room on the disks of all processes and in the store."""
    async with gate.db.transaction() as tx:
        objects, size, detail = shown(await tx.storage.totals())
        spaces = [SpaceRead.model_validate(space.model_dump()) for space in await tx.storage.spaces()]
        rows = await tx.storage.libraries(after=decode(cursor), limit=limit + 1)
    page = rows[:limit]
    return StoragePage(
        objects=objects,
        bytes=size,
        held=detail,
        spaces=spaces,
        items=[LibraryTotal(library=row.library.slug, objects=row.objects, bytes=row.bytes) for row in page],
        next_cursor=encode(page[-1].library.created_at, page[-1].library.id) if len(rows) > limit else None,
    )
