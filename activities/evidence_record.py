"""What is sealed of a restriction beside the original, and how a record leads back to its object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from db.tables import EvidenceRecord, InboxEvent, Library, Media
from mediagate.errors import Conflict
from mediagate.evidence.bundle import ORIGINAL
from mediagate.evidence.keys import WrappedKey
from mediagate.evidence.sealing import Context
from mediagate.vault import SealedObject

if TYPE_CHECKING:
    from db.session import Transaction

FORMAT = "mediagate-evidence/1"

_NOT_SEALED = {"upload_token", "run_id", "batch_id", "started_at", "expires_at", "vendor_reference"}
"""Of no use to whoever looks into a case, or a secret."""


@dataclass(frozen=True)
class Facts:
    """Everything about a restriction but the original's bytes."""

    media: Media
    verdict: str
    reason: str
    record: dict[str, Any]
    bodies: dict[str, bytes]


async def facts_of(tx: Transaction, media_id: UUID, round_: int) -> Facts:
    """Read them.

    Raises:
        Conflict: that round was not decided, or the item has no original.
    """
    media, library = await tx.media.with_library(media_id)
    decision = await tx.decisions.final(media_id, round_=round_)
    if decision is None or not (media.master_key and media.sha256):
        raise Conflict("There is nothing to seal: the round is not decided, or the item was never accepted.")
    events = await tx.inbox.of_media(media_id)
    bodies = {f"inbox/{event.id}": event.body for event in events}
    record = {
        "format": FORMAT,
        "round": round_,
        "media": _media(media, library),
        "original": {"file": ORIGINAL, "sha256": media.sha256, "bytes": media.bytes},
        "decisions": [row.model_dump(mode="json") for row in await tx.decisions.of_media(media_id)],
        "inbox": [_event(event) for event in events],
        "timeline": [row.model_dump(mode="json") for row in await tx.media.timeline(media_id)],
    }
    return Facts(media, decision.verdict, _code(decision.reasons), record, bodies)


def context_of(media_id: UUID, round_: int) -> Context:
    """What a sealed object and its wrapped data key are bound to."""
    return {"media_id": str(media_id), "round": str(round_), "what": "bundle"}


def sealed_object(record: EvidenceRecord) -> SealedObject:
    """The object that a record is about."""
    return SealedObject(
        record.object_key,
        record.object_version,
        record.size,
        record.sha256,
        record.sealed_sha256,
        WrappedKey(record.key_id, record.wrapped_key),
    )


def _media(media: Media, library: Library) -> dict[str, Any]:
    return {**media.model_dump(mode="json", exclude=_NOT_SEALED), "library": library.slug}


def _event(event: InboxEvent) -> dict[str, Any]:
    return {**event.model_dump(mode="json", exclude={"body"}), "body": {"file": f"inbox/{event.id}"}}


def _code(reasons: list[dict[str, Any]]) -> str:
    return str(reasons[0].get("code", "")) if reasons else ""
