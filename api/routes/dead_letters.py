"""Dead letters: events about nothing that is known here, to be looked at and delivered again.

They belong to no library, so they are for those who look after all of them.
"""

import base64
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from activities.inbox import redeliver
from api.deps import GateDep, Operator
from api.idempotency import once
from api.pages import Limit, decode, encode
from api.vendor_models import DeadLetterDetail, DeadLetterPage, DeadLetterRead, Redelivery
from db.tables import InboxEvent, InboxState
from mediagate.errors import InvalidWebhook, NotFound
from mediagate.moderation.findings import VendorEvent
from mediagate.vendors.generic_result import read_json

router = APIRouter(tags=["dead letters"])

Vendor = Annotated[str | None, Query(pattern="^[a-z][a-z0-9_-]{0,62}$")]


@router.get("/dead-letters")
async def list_dead_letters(
    gate: GateDep,
    caller: Operator,  # noqa: ARG001  # who may ask
    vendor: Vendor = None,
    cursor: str | None = None,
    limit: Limit = 50,
) -> DeadLetterPage:
    """Events about unknown items, newest first."""
    async with gate.db.transaction() as tx:
        rows = await tx.inbox.page(InboxState.UNMATCHED, vendor=vendor, after=decode(cursor), limit=limit + 1)
    page = rows[:limit]
    more = encode(page[-1].received_at, page[-1].id) if len(rows) > limit else None
    return DeadLetterPage(items=[_read(row) for row in page], next_cursor=more)


@router.get("/dead-letters/{letter_id}")
async def read_dead_letter(letter_id: UUID, gate: GateDep, caller: Operator) -> DeadLetterDetail:  # noqa: ARG001
    """One of them, with headers and body as they came; also after it was delivered."""
    async with gate.db.transaction() as tx:
        row = await tx.inbox.get(letter_id)
    if row is None:
        raise NotFound("There is no event with this id in the inbox.")
    return DeadLetterDetail(
        **_read(row).model_dump(),
        headers=row.headers,
        body_base64=base64.b64encode(row.body).decode(),
        body_json=_json(row.body),
        event=row.event,
    )


@router.post("/dead-letters/{letter_id}/redeliver", response_model=DeadLetterRead)
async def redeliver_dead_letter(
    letter_id: UUID, request: Request, gate: GateDep, caller: Operator, body: Redelivery | None = None
) -> JSONResponse:
    """Deliver the stored event again; `state` says what became of it, `stored` that its run is waited for."""
    wanted = body or Redelivery()

    async def act() -> DeadLetterRead:
        review = gate.settings.review_time
        row = await redeliver(gate.db, gate.flows, letter_id, by=caller.name, media_id=wanted.media_id, review=review)
        return _read(row)

    return await once(request, gate, caller, wanted.model_dump_json().encode(), act, status=200)


def _read(row: InboxEvent) -> DeadLetterRead:
    event = VendorEvent.model_validate(row.event)
    facts = event.model_dump(include={"reference", "verdict", "occurred_at"})
    return DeadLetterRead.model_validate(row.model_dump() | facts)


def _json(body: bytes) -> Any:
    try:
        return read_json(body)
    except InvalidWebhook:
        return None
