"""A vendor's word about content that it saw before: what is kept, under which key, and how it is said anew. Pure."""

import hashlib
import json
from collections.abc import Sequence

from mediagate.moderation.findings import VendorEvent

CACHED_FROM = "cached_from"
"""Key in `raw` of a word that was said about another item; its value is that item's id."""

_NO_ANSWER = frozenset({"unreadable", "error"})
"""Labels of final words that say nothing about the content."""


def content_digest(pictures: Sequence[str], caption: str | None) -> str:
    """The identity of what a vendor looks at; empty if a picture has no digest.

    Args:
        pictures: SHA-256 of the moderation copy and of each further frame, in their order.
        caption: None for a vendor that looks at pictures only.
    """
    if not pictures or not all(pictures):
        return ""
    return hashlib.sha256(json.dumps([list(pictures), caption]).encode()).hexdigest()


def model_version(configured: str, heard: str) -> str:
    """The model behind an answer: what we are configured to ask for, and what the vendor says that it is.

    Either may be unknown. Both count where both are known: `latest` is asked for before and after it changes.
    Empty: nobody knows, so nobody would notice a change, and nothing is kept.
    """
    return "@".join(part for part in (configured, heard) if part)


def may_be_kept(event: VendorEvent) -> bool:
    """True for a final word of the vendor itself about what it saw."""
    return event.settles and CACHED_FROM not in event.raw and not _NO_ANSWER.intersection(event.labels)


def said_of(media_id: str, event: VendorEvent) -> VendorEvent:
    """The word as if it had been said about another item with the same content; the event id is the same each time."""
    return event.model_copy(
        update={
            "event_id": f"{media_id}:{CACHED_FROM}:{event.media_id}:{event.event_id}",
            "media_id": media_id,
            "workflow_id": "",
            "reference": "",
            "raw": {**event.raw, CACHED_FROM: event.media_id},
        }
    )
