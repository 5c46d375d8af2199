"""What vendors said and what was decided."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

from db.tables.columns import created_column, enum_column, json_column, media_column, time_column
from mediagate.moderation.policy import Decision


class MediaDecision(SQLModel, table=True):
    """A decision that was taken; one that opened a review (`final` false) is followed by one that ended it."""

    __tablename__ = "decision"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    media_id: UUID = media_column()
    round: int = 0
    """0 is the upload's own; later rounds re-open a case."""
    final: bool
    verdict: str
    policy_version: str
    reasons: list[dict[str, Any]] = json_column(list)
    findings: list[dict[str, Any]] = json_column(list)
    risk: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    """0..1; of the policy that was in force, also where somebody else decided."""
    rule: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """What decided; empty: not a policy."""
    decided_by: str
    note: str = Field(default="", sa_type=Text)
    created_at: datetime = created_column()

    __table_args__ = (
        Index("uq_decision_round", "media_id", "round", "final", unique=True),
        Index("ix_decision_taken", "created_at"),
    )

    @property
    def decision(self) -> Decision:
        """As a value, to be explained or compared."""
        return Decision.model_validate(self.model_dump())


class InboxState(StrEnum):
    """What became of a webhook event."""

    STORED = "stored"
    DELIVERED = "delivered"
    LATE = "late"
    UNMATCHED = "unmatched"


class InboxEvent(SQLModel, table=True):
    """A vendor's event as it arrived: unique by vendor and event id, stored before it is acknowledged."""

    __tablename__ = "inbox"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    vendor: str
    event_id: str
    media_id: UUID | None = None
    """As the event names it; no foreign key, because it may name what does not exist."""
    event: dict[str, Any] = json_column()
    body: bytes = Field(sa_type=LargeBinary)
    headers: dict[str, Any] = json_column()
    state: InboxState = enum_column(InboxState, InboxState.STORED)
    tracking_id: str = ""
    received_at: datetime = created_column()
    settled_at: datetime | None = time_column()

    __table_args__ = (
        Index("uq_inbox_event", "vendor", "event_id", unique=True),
        Index("ix_inbox_media", "media_id"),
        Index(
            "ix_inbox_page",
            "state",
            text("received_at DESC"),
            text("id DESC"),
            postgresql_where=text("state <> 'delivered'"),
        ),
        Index(
            "ix_inbox_vendor_page",
            "vendor",
            "state",
            text("received_at DESC"),
            text("id DESC"),
            postgresql_where=text("state <> 'delivered'"),
        ),
        Index(
            "ix_inbox_reference",
            "vendor",
            text("(event ->> 'reference')"),
            postgresql_where=text("media_id IS NULL"),
        ),
    )
