"""Evidence of restrictions: what is sealed, opening it with a reason, who did, and legal holds."""

from collections.abc import AsyncIterator
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from activities.evidence_access import open_evidence, place_hold, release_hold
from api.deps import Admin, Caller, EvidenceReader, Gate, GateDep, library_for, media_for
from api.evidence_models import (
    EvidenceAccessPage,
    EvidenceAccessRead,
    EvidenceOpen,
    EvidencePage,
    EvidenceRead,
    HoldChange,
    HoldRead,
)
from api.pages import Limit, decode, encode
from api.routes.files import SANDBOX
from db.repositories.audit import Actor
from db.tables import EvidenceRecord, LegalHold
from mediagate.errors import EvidenceKeyMissing, NotFound
from mediagate.evidence.bundle import Opening, read_record

router = APIRouter(tags=["evidence"])

_CLOSED = {**SANDBOX, "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store"}
_BUNDLE = {
    "application/x-tar": {"schema": {"type": "string", "format": "binary"}},
    "application/json": {"schema": {"type": "object"}},
}


@router.get("/libraries/{slug}/evidence")
async def list_evidence(
    slug: str, gate: GateDep, caller: EvidenceReader, cursor: str | None = None, limit: Limit = 50
) -> EvidencePage:
    """What is sealed of a library's items, newest first: the records, nothing of what is in them."""
    library = await library_for(gate, caller, slug)
    async with gate.db.transaction() as tx:
        rows = await tx.evidence.page(library.id, after=decode(cursor), limit=limit + 1)
        held = await tx.evidence.held([row.media_id for row in rows])
    page = rows[:limit]
    more = encode(page[-1].sealed_at, page[-1].id) if len(rows) > limit else None
    items = [EvidenceRead.model_validate({**row.model_dump(), "legal_hold": row.media_id in held}) for row in page]
    return EvidencePage(items=items, next_cursor=more)


@router.post(
    "/evidence/{evidence_id}/open",
    response_class=Response,
    responses={200: {"content": _BUNDLE, "description": "the tar archive, or its record"}},
)
async def open_sealed(
    evidence_id: UUID, body: EvidenceOpen, request: Request, gate: GateDep, caller: EvidenceReader
) -> Response:
    """Open evidence: the archive with original and raw events, or (`what`: `record`) only the JSON record in it.

    Who opened it, when and why is on record before the first byte is given out. It needs no `Idempotency-Key` and takes
    no notice of one: every opening counts.
    """
    record = await _evidence_for(gate, caller, evidence_id)
    if gate.vault is None:
        raise EvidenceKeyMissing
    plaintext = await open_evidence(
        gate.db,
        gate.vault,
        record,
        body.what,
        _actor(caller),
        reason=body.reason,
        tracking_id=request.state.tracking_id,
    )
    if body.what is Opening.RECORD:
        return JSONResponse(await read_record(plaintext), headers=_CLOSED)
    first = await anext(plaintext)  # what cannot be opened at all is a problem document, not half an archive
    headers = {
        **_CLOSED,
        "Content-Disposition": f'attachment; filename="evidence-{record.seq}.tar"',
        "Content-Length": str(record.size),
    }
    return StreamingResponse(_all(first, plaintext), media_type="application/x-tar", headers=headers)


@router.get("/evidence/{evidence_id}/accesses")
async def list_accesses(
    evidence_id: UUID, gate: GateDep, caller: EvidenceReader, cursor: str | None = None, limit: Limit = 50
) -> EvidenceAccessPage:
    """Who opened it, when and why, newest first."""
    record = await _evidence_for(gate, caller, evidence_id)
    async with gate.db.transaction() as tx:
        rows = await tx.evidence.accesses(record.id, after=decode(cursor), limit=limit + 1)
    page = rows[:limit]
    more = encode(page[-1].at, page[-1].id) if len(rows) > limit else None
    return EvidenceAccessPage(
        items=[EvidenceAccessRead.model_validate(row.model_dump()) for row in page], next_cursor=more
    )


@router.put("/media/{media_id}/legal-hold")
async def put_on_hold(media_id: UUID, body: HoldChange, gate: GateDep, caller: Admin) -> HoldRead:
    """Let nothing of an item be deleted, its evidence included; a hold that is on it already stands."""
    await media_for(gate, caller, media_id)
    return _hold(await place_hold(gate.db, gate.vault, media_id, _actor(caller), reason=body.reason))


@router.delete("/media/{media_id}/legal-hold")
async def release_from_hold(media_id: UUID, body: HoldChange, gate: GateDep, caller: Admin) -> HoldRead:
    """End the hold. Evidence stays as long as its own retention says."""
    await media_for(gate, caller, media_id)
    return _hold(await release_hold(gate.db, gate.vault, media_id, _actor(caller), reason=body.reason))


async def _evidence_for(gate: Gate, caller: Caller, evidence_id: UUID) -> EvidenceRecord:
    """Another tenant's is as unknown as one that does not exist. Raises NotFound."""
    async with gate.db.transaction() as tx:
        record = await tx.evidence.get(evidence_id)
    if record is None or not caller.may_see(record.library_id):
        raise NotFound("There is no evidence with this id.")
    return record


def _actor(caller: Caller) -> Actor:
    return Actor(caller.name, f"api:{caller.key_id}")


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _hold(hold: LegalHold) -> HoldRead:
    return HoldRead.model_validate(hold.model_dump())
