"""The tables. Times are UTC with time zone, digests lower-case hex SHA-256, sizes bytes.

The schema is built by the migrations alone; a test holds these classes against it.
"""

from db.tables.access import ApiKey, DailyUse, IdempotentRequest, Library
from db.tables.audit import AuditRecord
from db.tables.banks import Bank, BankEntry, BankMatch
from db.tables.columns import now
from db.tables.evidence import EvidenceAccess, EvidenceRecord, LegalHold
from db.tables.media import PHASH_BANDS, Batch, Fingerprint, Media, MediaEvent, MediaVariant, Notification
from db.tables.moderation import InboxEvent, InboxState, MediaDecision
from db.tables.policies import (
    LibraryPolicy,
    PolicyChange,
    PolicyRun,
    PolicyRunItem,
    ShadowDecision,
    VendorReliability,
)
from db.tables.vendors import VendorHealth, VendorResult, VendorSubmission, VendorUsage

__all__ = [
    "PHASH_BANDS",
    "ApiKey",
    "AuditRecord",
    "Bank",
    "BankEntry",
    "BankMatch",
    "Batch",
    "DailyUse",
    "EvidenceAccess",
    "EvidenceRecord",
    "Fingerprint",
    "IdempotentRequest",
    "InboxEvent",
    "InboxState",
    "LegalHold",
    "Library",
    "LibraryPolicy",
    "Media",
    "MediaDecision",
    "MediaEvent",
    "MediaVariant",
    "Notification",
    "PolicyChange",
    "PolicyRun",
    "PolicyRunItem",
    "ShadowDecision",
    "VendorHealth",
    "VendorReliability",
    "VendorResult",
    "VendorSubmission",
    "VendorUsage",
    "now",
]
