"""The tables. Times are UTC with time zone, digests lower-case hex SHA-256, sizes bytes.

The schema is built by the migrations alone; a test holds these classes against it.
"""

from db.tables.access import ApiKey, DailyUse, IdempotentRequest, Library
from db.tables.audit import AuditRecord
from db.tables.banks import Bank, BankEntry, BankMatch
from db.tables.checks import VendorCheck
from db.tables.columns import now
from db.tables.evidence import EvidenceAccess, EvidenceRecord, LegalHold
from db.tables.flags import FeatureFlag, FlagCount
from db.tables.imports import Import, ImportItem
from db.tables.logs import LogLine
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
from db.tables.storage import (
    FindingKind,
    FindingState,
    ObjectRemoval,
    Scrub,
    ScrubFinding,
    ScrubState,
    StorageChange,
    StorageSpace,
    StorageUsage,
    StoredKind,
    TrashedItem,
)
from db.tables.stores import LibraryPlacement
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
    "FeatureFlag",
    "FindingKind",
    "FindingState",
    "Fingerprint",
    "FlagCount",
    "IdempotentRequest",
    "Import",
    "ImportItem",
    "InboxEvent",
    "InboxState",
    "LegalHold",
    "Library",
    "LibraryPlacement",
    "LibraryPolicy",
    "LogLine",
    "Media",
    "MediaDecision",
    "MediaEvent",
    "MediaVariant",
    "Notification",
    "ObjectRemoval",
    "PolicyChange",
    "PolicyRun",
    "PolicyRunItem",
    "Scrub",
    "ScrubFinding",
    "ScrubState",
    "ShadowDecision",
    "StorageChange",
    "StorageSpace",
    "StorageUsage",
    "StoredKind",
    "TrashedItem",
    "VendorCheck",
    "VendorHealth",
    "VendorReliability",
    "VendorResult",
    "VendorSubmission",
    "VendorUsage",
    "now",
]
