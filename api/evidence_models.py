"""What goes over the wire about sealed evidence and legal holds; fields are only ever added."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from api.models import Text
from mediagate.evidence.bundle import Opening
from mediagate.media.values import Verdict

Why = Annotated[Text, Field(min_length=1, max_length=2000, pattern=r"\S", description="why; it is kept")]


class EvidenceRead(BaseModel):
    """The record of one restriction's evidence; `mediagate.evidence.chain` says what `hash` is made of."""

    id: UUID
    seq: int
    media_id: UUID
    library_id: UUID
    round: int
    verdict: Verdict
    reason: str
    object_key: str
    object_version: str
    size: int = Field(description="bytes of what is sealed")
    sha256: str = Field(description="of what is sealed")
    sealed_sha256: str = Field(description="of the sealed object")
    key_id: str
    sealed_at: datetime
    retain_until: datetime
    prev_hash: str
    hash: str
    legal_hold: bool = False


class EvidencePage(BaseModel):
    """A page of records, newest first."""

    items: list[EvidenceRead]
    next_cursor: str | None


class EvidenceOpen(BaseModel):
    """Open evidence."""

    reason: Why
    what: Opening = Field(Opening.BUNDLE, description="bundle: the tar archive; record: only the JSON record in it")


class EvidenceAccessRead(BaseModel):
    """Who opened it, when and why."""

    id: UUID
    seq: int
    evidence_id: UUID
    what: Opening
    actor: str
    via: str
    reason: str
    tracking_id: str
    at: datetime
    prev_hash: str
    hash: str


class EvidenceAccessPage(BaseModel):
    """A page of accesses, newest first."""

    items: list[EvidenceAccessRead]
    next_cursor: str | None


class HoldChange(BaseModel):
    """Put an item on legal hold, or release it."""

    reason: Why


class HoldRead(BaseModel):
    """A legal hold; released if `released_at` is set."""

    id: UUID
    media_id: UUID
    reason: str
    placed_by: str
    placed_at: datetime
    released_by: str
    release_reason: str
    released_at: datetime | None
