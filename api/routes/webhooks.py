"""Webhooks in: verified over the raw bytes, stored, acknowledged, and only then passed on."""

from datetime import UTC, datetime
from uuid import UUID

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from activities.inbox import deliver
from api.deps import Gate, GateDep
from api.models import WebhookStored
from db.tables import InboxEvent, InboxState
from mediagate.errors import NotFound, Unavailable
from mediagate.moderation.findings import VendorEvent

log = structlog.get_logger()
router = APIRouter(tags=["webhooks"])

_KEPT_HEADERS = ("webhook-id", "webhook-timestamp", "content-type", "user-agent")


@router.post("/webhooks/moderation/{vendor}", response_model=WebhookStored)
async def receive_webhook(vendor: str, request: Request, gate: GateDep) -> JSONResponse:
    """Take a vendor's results, one or a batch: 200 stored (or known), 202 stored but about nothing known here."""
    if vendor not in gate.vendors:
        raise NotFound("There is no vendor of this name here.")
    body = await request.body()
    events = gate.vendors[vendor].parse_callback(
        request.headers, body, now=datetime.now(UTC), query=request.query_params
    )
    rows = [_row(event, body, request) for event in events]
    async with gate.db.transaction() as tx:
        fresh = [row for row in rows if await tx.inbox.store(row)]
    states = [await _pass_on(gate, row) for row in fresh]
    unmatched = sum(state is InboxState.UNMATCHED for state in states)
    answer = WebhookStored(stored=len(fresh), duplicates=len(rows) - len(fresh), unmatched=unmatched)
    return JSONResponse(answer.model_dump(), status_code=202 if unmatched else 200)


def _row(event: VendorEvent, body: bytes, request: Request) -> InboxEvent:
    return InboxEvent(
        vendor=event.vendor,
        event_id=event.event_id,
        media_id=_id_of(event.media_id),
        event=event.model_dump(mode="json"),
        body=body,
        headers={name: request.headers[name] for name in _KEPT_HEADERS if name in request.headers},
        tracking_id=request.state.tracking_id,
    )


def _id_of(media_id: str) -> UUID | None:
    """None if the event names no item, or none as we do: it may be found by the vendor's reference."""
    try:
        return UUID(media_id)
    except ValueError:
        return None


async def _pass_on(gate: Gate, row: InboxEvent) -> InboxState:
    """What is stored is safe: if the run cannot be reached now, the sweep reaches it later."""
    try:
        return await deliver(gate.db, gate.flows, row.id, review=gate.settings.review_time)
    except Unavailable as error:
        log.warning("webhook.delivery_owed", inbox_id=str(row.id), error=error.code)
        return InboxState.STORED
