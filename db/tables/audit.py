"""Who did what to the gate: the audit trail of people and programs that operate it.

A chain, as `mediagate.evidence.chain` says; the database refuses to change or delete its rows.
"""

import json
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Index, Text, text
from sqlmodel import Field, SQLModel

from db.tables.columns import created_column
from mediagate.evidence.chain import FIELDS, Chain, Link


class AuditRecord(SQLModel, table=True):
    """One act. Written in the transaction of what it tells of, or before it where that is elsewhere."""

    __tablename__ = "audit"
    chain: ClassVar[Chain] = Chain.AUDIT

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    seq: int = Field(default=0, sa_type=BigInteger)
    at: datetime = created_column()
    action: str
    """What was done, as `run.reset` or `flag.changed`: the kind of thing, a dot, a verb."""
    subject: str
    """To what, as `run:media-<id>`, `media:<id>` or `flag:<name>`."""
    library: str = ""
    """Slug; empty where it concerns the whole deployment."""
    actor: str
    """A person's or a key's name; `gate` for what the gate does by itself."""
    via: str
    """`api:<id of the key>`, `cli:<log-in name>` or `schedule:<name>`."""
    reason: str = Field(default="", sa_type=Text)
    data: str = Field(default="{}", sa_type=Text)
    """A JSON object, kept as the text that was hashed; see `document`."""
    tracking_id: str = ""
    prev_hash: str = ""
    hash: str = ""

    __table_args__ = (
        Index("uq_audit_seq", "seq", unique=True),
        Index("ix_audit_library", "library", text("seq DESC")),
        Index("ix_audit_subject", "subject", text("seq DESC")),
        Index("ix_audit_action", "action", text("seq DESC")),
    )

    @property
    def document(self) -> dict[str, Any]:
        """`data`, read."""
        found: dict[str, Any] = json.loads(self.data)
        return found

    @property
    def link(self) -> Link:
        """Its place in the chain."""
        return Link(self.seq, self.hash)

    @property
    def fields(self) -> dict[str, Any]:
        """What its hash is made of, without `prev_hash`."""
        return {name: getattr(self, name) for name in FIELDS[self.chain]}
