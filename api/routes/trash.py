"""Throwing items away, and taking them out of the trash again."""

from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from activities.trash import take_out, throw_away
from api.deps import Admin, Caller, GateDep, media_for
from api.idempotency import once
from api.storage_models import RestoreCreate, RestoredRead, TrashedRead
from db.repositories.audit import Actor
from mediagate.errors import WorkflowsUnavailable
from mediagate.media.values import Status
from workflows.storage_client import start_trash
from workflows.storage_messages import TrashInput

router = APIRouter(tags=["media"])
log = structlog.get_logger()

Reason = Annotated[str, Query(max_length=500, description="kept on record")]


@router.delete("/media/{media_id}")
async def throw_media_away(
    media_id: UUID, request: Request, gate: GateDep, caller: Admin, reason: Reason = ""
) -> TrashedRead:
    """Put a decided item into the trash. Once this answers, no public URL of it opens; caches follow.

    It can be restored for as long as the deployment says, and is erased after that. Sent again, it answers the same.
    """
    _, library = await media_for(gate, caller, media_id)
    tracking_id = request.state.tracking_id
    item = await throw_away(
        gate.db,
        media_id,
        _actor(caller),
        keep=gate.settings.trash_time,
        purge=gate.settings.purge_url is not None,
        reason=reason,
        tracking_id=tracking_id,
    )
    if item.purge_owed:
        try:
            job = TrashInput(media_id=str(media_id), library=library.slug, tracking_id=tracking_id)
            await start_trash(gate.flows, job)
        except WorkflowsUnavailable as error:  # the row owes it, and the sweep pays
            log.warning("trash.purge_owed", media_id=str(media_id), error=error.code)
    return TrashedRead.model_validate({**item.model_dump(), "status": Status.TRASHED})


@router.post("/media/{media_id}/restore", response_model=RestoredRead)
async def restore_media(
    media_id: UUID, body: RestoreCreate, request: Request, gate: GateDep, caller: Admin
) -> JSONResponse:
    """Take an item out of the trash: it gets the status that it had before, and is public again if it was.

    If it was decided anew while it was in the trash, that decision holds.
    """
    await media_for(gate, caller, media_id)

    async def act() -> RestoredRead:
        media = await take_out(
            gate.db,
            gate.flows,
            media_id,
            _actor(caller),
            reason=body.reason,
            tracking_id=request.state.tracking_id,
        )
        return RestoredRead(media_id=media_id, status=media.status)

    return await once(request, gate, caller, await request.body(), act, status=200)


def _actor(caller: Caller) -> Actor:
    return Actor(caller.name, f"api:{caller.key_id}")
