"""The tables. Times are UTC with time zone, digests lower-case hex SHA-256, sizes bytes.

The schema is built by the migrations alone; a test holds these classes against it.
"""

from db.tables.access import ApiKey, IdempotentRequest, Library
from db.tables.columns import now
from db.tables.media import PHASH_BANDS, Batch, Fingerprint, Media, MediaEvent, MediaVariant, Notification
from db.tables.moderation import InboxEvent, InboxState, MediaDecision

__all__ = [
    "PHASH_BANDS",
    "ApiKey",
    "Batch",
    "Fingerprint",
    "IdempotentRequest",
    "InboxEvent",
    "InboxState",
    "Library",
    "Media",
    "MediaDecision",
    "MediaEvent",
    "MediaVariant",
    "Notification",
    "now",
]
