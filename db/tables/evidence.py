"""What was sealed of restricted items, who opened it, and what must not be deleted.

`evidence` and `evidence_access` are chains: `mediagate.evidence.chain` says how. The database refuses to change or
delete their rows, but for the wrapped data keys, which are wrapped anew when keys are rotated.
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

from db.tables.columns import created_column, enum_column, library_column, media_column, time_column
from mediagate.evidence.bundle import Opening
from mediagate.evidence.chain import FIELDS, Chain, Link


class EvidenceRecord(SQLModel, table=True):
    """One restriction and where its evidence is sealed."""

    __tablename__ = "evidence"
    chain: ClassVar[Chain] = Chain.RECORDS

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    seq: int = Field(default=0, sa_type=BigInteger)
    media_id: UUID = media_column()
    library_id: UUID = library_column()
    round: int
    """That of the decision."""
    verdict: str
    reason: str
    object_key: str
    object_version: str
    size: int = Field(sa_type=BigInteger)
    """Bytes of the plaintext."""
    sha256: str
    """Of the plaintext."""
    sealed_sha256: str
    """Of the object in the store."""
    key_id: str
    wrapped_key: bytes = Field(sa_type=LargeBinary)
    sealed_at: datetime = created_column()
    retain_until: datetime = time_column(nullable=False)
    prev_hash: str = ""
    hash: str = ""

    __table_args__ = (
        Index("uq_evidence_seq", "seq", unique=True),
        Index("uq_evidence_round", "media_id", "round", unique=True),
        Index("ix_evidence_page", "library_id", text("sealed_at DESC"), text("id DESC")),
    )

    @property
    def link(self) -> Link:
        """Its place in the chain."""
        return Link(self.seq, self.hash)

    @property
    def fields(self) -> dict[str, Any]:
        """What its hash is made of, without `prev_hash`."""
        return {name: getattr(self, name) for name in FIELDS[self.chain]}


class EvidenceAccess(SQLModel, table=True):
    """That somebody opened evidence; written before anything is given out."""

    __tablename__ = "evidence_access"
    chain: ClassVar[Chain] = Chain.ACCESSES

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    seq: int = Field(default=0, sa_type=BigInteger)
    evidence_id: UUID
    library_id: UUID = library_column()
    what: Opening = enum_column(Opening, Opening.BUNDLE)
    actor: str
    via: str
    """`api:<id of the key>`, or `cli:<log-in name>`."""
    reason: str = Field(sa_type=Text)
    tracking_id: str = ""
    at: datetime = created_column()
    prev_hash: str = ""
    hash: str = ""

    __table_args__ = (
        ForeignKeyConstraint(["evidence_id"], ["evidence.id"]),
        Index("uq_evidence_access_seq", "seq", unique=True),
        Index("ix_evidence_access_page", "evidence_id", text("at DESC"), text("id DESC")),
    )

    @property
    def link(self) -> Link:
        """Its place in the chain."""
        return Link(self.seq, self.hash)

    @property
    def fields(self) -> dict[str, Any]:
        """What its hash is made of, without `prev_hash`."""
        return {name: getattr(self, name) for name in FIELDS[self.chain]}


class LegalHold(SQLModel, table=True):
    """Nothing of an item may be deleted until it is released; at most one at a time."""

    __tablename__ = "legal_hold"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    media_id: UUID = media_column()
    reason: str = Field(sa_type=Text)
    placed_by: str
    placed_at: datetime = created_column()
    released_by: str = ""
    release_reason: str = Field(default="", sa_type=Text)
    released_at: datetime | None = time_column()

    __table_args__ = (
        Index("uq_legal_hold_active", "media_id", unique=True, postgresql_where=text("released_at IS NULL")),
    )
