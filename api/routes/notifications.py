"""What the admins of a library are told, in the application."""

from fastapi import APIRouter

from api.deps import GateDep, Reader, library_for
from api.models import NotificationPage, NotificationRead
from api.pages import Limit, decode, encode

router = APIRouter(tags=["notifications"])


@router.get("/libraries/{slug}/notifications")
async def list_notifications(
    slug: str, gate: GateDep, caller: Reader, cursor: str | None = None, limit: Limit = 50
) -> NotificationPage:
    """A library's notifications, newest first."""
    library = await library_for(gate, caller, slug)
    async with gate.db.transaction() as tx:
        rows = await tx.notifications.page(library.id, after=decode(cursor), limit=limit + 1)
    page = rows[:limit]
    more = encode(page[-1].created_at, page[-1].id) if len(rows) > limit else None
    return NotificationPage(items=[NotificationRead.model_validate(row.model_dump()) for row in page], next_cursor=more)
