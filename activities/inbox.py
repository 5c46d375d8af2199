"""From the inbox into the run: what is stored reaches its workflow, or it is known why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mediagate.media.lifecycle import WORK
from mediagate.media.values import Status
from mediagate.moderation.findings import VendorEvent

if TYPE_CHECKING:
    from uuid import UUID

    from db.session import Database
    from db.tables import InboxState
    from workflows.client import Flows


async def deliver(db: Database, flows: Flows, inbox_id: UUID) -> InboxState:
    """Signal the run that a stored event is about. Idempotent: the run knows the event ids it has seen.

    `stored` means that the run does not exist yet; the sweep comes back to it. For an item that is decided the event is
    `late`: kept, and on the timeline. For an unknown item it is `unmatched`: the dead letters.

    Raises:
        WorkflowsUnavailable, DatabaseUnavailable: the event stays stored.
    """
    from db.tables import InboxState  # SQLAlchemy: not for what only imports a workflow

    async with db.transaction() as tx:
        row = await tx.inbox.get(inbox_id)
        if row is None or row.state is not InboxState.STORED:
            return row.state if row else InboxState.UNMATCHED
        media = await tx.media.find(row.media_id) if row.media_id else None
    event = VendorEvent.model_validate(row.event)
    if media is None:
        state = InboxState.UNMATCHED
    elif media.status not in WORK | {Status.AWAITING_UPLOAD, Status.FAILED}:
        state = InboxState.LATE
    elif await flows.signal_moderation(str(media.id), event):
        state = InboxState.DELIVERED
    else:  # a failed run that is resumed finds the event in the inbox; one that is not started yet is waited for
        state = InboxState.LATE if media.status is Status.FAILED else InboxState.STORED
    if state is InboxState.STORED:
        return state
    async with db.transaction() as tx:
        await tx.inbox.settle(inbox_id, state)
        if media:
            key = f"webhook:{row.vendor}:{row.event_id}"
            facts = {"vendor": row.vendor, "verdict": event.verdict.value, "final": event.final, "state": state.value}
            await tx.media.record(media.id, key, "webhook", facts)
    return state
