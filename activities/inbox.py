"""From the inbox into the run: what is stored reaches its workflow, or it is known why not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from activities.reconsidering import reconsider
from mediagate.errors import Conflict, NotFound
from mediagate.media.lifecycle import WORK
from mediagate.media.values import Status
from mediagate.moderation.findings import VendorEvent

if TYPE_CHECKING:
    from uuid import UUID

    from db.session import Database, Transaction
    from db.tables import InboxEvent, InboxState, Media
    from workflows.client import Flows

A_DAY = timedelta(days=1)


async def deliver(db: Database, flows: Flows, inbox_id: UUID, *, review: timedelta = A_DAY) -> InboxState:
    """Signal the run that a stored event is about. Idempotent: the run knows the event ids it has seen.

    `stored` means that the run does not exist yet; the sweep comes back to it. For an item that is decided the event is
    `late`: kept, and on the timeline; if everything known by now leads to another verdict, a new round is opened, in
    which a person may take `review` to decide. For an unknown item, or one that the vendor's reference does not lead
    to, it is `unmatched`: the dead letters.

    Raises:
        WorkflowsUnavailable, DatabaseUnavailable: the event stays stored.
    """
    from db.tables import InboxState  # SQLAlchemy: not for what only imports a workflow

    async with db.transaction() as tx:
        row = await tx.inbox.get(inbox_id)
        if row is None or row.state is not InboxState.STORED:
            return row.state if row else InboxState.UNMATCHED
        media = await _media_of(tx, row)
    event = VendorEvent.model_validate(row.event)
    if media is None:
        state = InboxState.UNMATCHED
    elif media.status not in WORK | {Status.AWAITING_UPLOAD, Status.FAILED}:
        state = InboxState.LATE  # the one place that sees a word about an item that is decided
    elif await flows.signal_moderation(str(media.id), event):
        state = InboxState.DELIVERED
    else:  # a failed run that is resumed finds the event in the inbox; one that is not started yet is waited for
        over = media.status is Status.FAILED or media.filed_at is not None
        state = InboxState.LATE if over else InboxState.STORED
    if state is InboxState.STORED:
        return state
    if media and state is InboxState.LATE and event.settles:
        await reconsider(db, flows, media.id, review=review)  # before it is settled: the sweep tries again
    async with db.transaction() as tx:
        await tx.inbox.settle(inbox_id, state)
        if media:
            await note(tx, media, row, state)
    return state


async def redeliver(
    db: Database, flows: Flows, inbox_id: UUID, *, by: str, media_id: UUID | None = None, review: timedelta = A_DAY
) -> InboxEvent:
    """Deliver a dead letter again, to another item if one is named; the event as it stands then. Idempotent.

    What is delivered or late already is left as it is.

    Raises:
        NotFound: there is no such event, or no such item.
        Conflict: it belongs to another item than is named now.
        WorkflowsUnavailable, DatabaseUnavailable: as for `deliver`; the sweep delivers what has an item by then.
    """
    from db.tables import InboxState

    async with db.transaction() as tx:
        row = await tx.inbox.get(inbox_id)
        if row is None:
            raise NotFound("There is no event with this id in the inbox.")
        target = await tx.media.find(media_id) if media_id else await _media_of(tx, row)
        if media_id and target is None:
            raise NotFound("There is no media item with this id.")
        if target and (row := await tx.inbox.address(inbox_id, target.id)):
            if media_id and row.media_id != media_id:
                raise Conflict(f"This event belongs to the item {row.media_id} already.")
            if row.state is InboxState.STORED:
                await tx.media.record(target.id, f"redelivered:{inbox_id}", "redelivered", {"by": by})
    await deliver(db, flows, inbox_id, review=review)
    async with db.transaction() as tx:
        found = await tx.inbox.get(inbox_id)
        assert found is not None
        return found


async def note(tx: Transaction, media: Media, row: InboxEvent, state: InboxState | None = None) -> None:
    """What a delivered event leaves behind: a line on the timeline, and the vendor's answer for others. Idempotent."""
    event = VendorEvent.model_validate({**row.event, "media_id": str(media.id)})
    facts = {
        "vendor": row.vendor,
        "verdict": event.verdict.value,
        "final": event.final,
        "state": (state or row.state).value,
    }
    await tx.media.record(media.id, f"webhook:{row.vendor}:{row.event_id}", "webhook", facts)
    await tx.vendors.answered(media.library_id, event)


async def _media_of(tx: Transaction, row: InboxEvent) -> Media | None:
    """The item that an event names, by its id or by the vendor's reference; that is noted on the event."""
    media_id = row.media_id or await tx.vendors.media_of(row.vendor, row.event.get("reference", ""))
    if media_id and not row.media_id:
        await tx.inbox.address(row.id, media_id)
    return await tx.media.find(media_id) if media_id else None
