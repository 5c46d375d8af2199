"""What the gate's own detectors say of an item, before any vendor is asked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mediagate import metrics
from mediagate.flags import Switch

if TYPE_CHECKING:
    from activities.switches import Steps
    from db.repositories.banks import Recorded
    from db.session import Transaction
    from db.tables import Library, Media
    from mediagate.moderation.findings import VendorEvent


async def in_banks(tx: Transaction, media: Media, library: Library, phash: int | None) -> list[VendorEvent]:
    """What hash banks know of the file and the picture. The caller holds the item's lock.

    The event id is the same each time. `phash`: as `mediagate.imaging.hashing`.
    """
    from db.committed import once_committed
    from mediagate.moderation.banks import Hit, event_of

    recorded = await tx.banks.hit(media, await tx.banks.agreeing(library.id, sha256=media.sha256 or "", phash=phash))
    for one in recorded:
        if one.new:
            hit = partial(metrics.BANK_HITS.add, kind=one.entry.kind.value, polarity=one.bank.polarity.value)
            once_committed(tx.session, hit)
        if one.newly_held:
            await _tell_of_flood(tx, media, library, one)
    hits = [
        Hit(
            entry_id=str(entry.id),
            bank=bank.name,
            category=bank.category,
            kind=entry.kind,
            distance=match.distance,
            action=match.action,
            held=match.held,
            at=match.at,
        )
        for match, entry, bank, *_ in recorded
    ]
    event = event_of(str(media.id), hits)
    return [event] if event else []


async def _tell_of_flood(tx: Transaction, media: Media, library: Library, one: Recorded) -> None:
    """Once for each time that the entry is held back; the sweep mails it."""
    from db.tables import Notification
    from mediagate.notify.render import MailKind, render

    entry, bank = one.entry, one.bank
    command = f"mediagate banks release {library.slug} {bank.name} {entry.id}"
    facts = {
        "title": f"An entry of the hash bank {bank.name} hits too often",
        "detail": f"More than {bank.flood_limit} items in an hour agree with {entry.kind.value} {entry.value}.",
        "library": library.slug,
        "media_id": str(media.id),
        "filename": media.filename,
    }
    subject, body = render(MailKind.SYSTEM_ALERT, facts)
    body += f"It asks for reviews only until somebody looks: `{command}`, or `remove` in its place.\n"
    await tx.notifications.put(
        Notification(
            library_id=library.id,
            media_id=media.id,
            key=f"{entry.id}:bank_entry_flood:{entry.floods}",
            kind="bank_entry_flood",
            subject=subject,
            body=body,
            tracking_id=media.tracking_id,
        )
    )


async def in_texts(media: Media, library: Library, steps: Steps) -> list[VendorEvent]:
    """What the library's rules find in the words that came with the file; the event id is the same each time.

    Short links are followed for 3 s at most: not inside a transaction.
    """
    written = {
        "caption": media.caption,
        "title": media.title,
        "alt_text": media.alt_text,
        "tags": "\n".join(media.tags),
    }
    texts = {name: text for name, text in written.items() if text.strip()}
    if not texts or not steps.may(Switch.TEXT_RULES):
        return []
    from mediagate.text.events import event
    from mediagate.text.examining import examine

    policy = library.texts
    if policy.expand_links and not steps.may(Switch.LINK_EXPANSION):
        policy = policy.model_copy(update={"expand_links": False})
    found = await examine(texts, policy, language=media.language)
    said = event(str(media.id), texts, found, policy, at=media.accepted_at or media.created_at)
    return [said] if said else []
