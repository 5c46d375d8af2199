"""What goes over the wire about vendors and their dead letters; fields are only ever added."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from db.tables import InboxState
from mediagate.vendors.breaker import BreakerState
from mediagate.vendors.interface import Capabilities


class UsageRead(BaseModel):
    """What was asked of a vendor, over all libraries."""

    calls: int = Field(description="submissions and polls that were sent, the failed ones included")
    failures: int
    cached: int = Field(description="submissions that an earlier answer stood in for")
    cost_micros: int = Field(description="millionths of a US dollar")


class VendorRead(BaseModel):
    """A vendor, how it does, and what it was asked."""

    name: str
    kind: str = Field(description="its wire format; local: none, the classifier inside the gate")
    state: BreakerState
    failures: int = Field(description="in a row")
    open_until: datetime | None = Field(description="no call before; None while open: until a person closes it")
    held_by: str = Field(description="who opened it; empty: its failures did")
    changed_at: datetime | None
    last_error: str
    last_error_at: datetime | None
    calls_per_second: float | None = Field(description="limit over all workers; None: none is set")
    today: UsageRead
    this_month: UsageRead
    capabilities: Capabilities


class VendorPage(BaseModel):
    """All vendors, the deployment's own first."""

    items: list[VendorRead]
    next_cursor: str | None = None


class BreakerSet(BaseModel):
    """Close a circuit breaker, or open it until it is closed."""

    model_config = ConfigDict(extra="forbid")

    state: Literal[BreakerState.CLOSED, BreakerState.OPEN]


class DeadLetterRead(BaseModel):
    """An event that could not be delivered, or was so later."""

    id: UUID
    vendor: str
    event_id: str
    state: InboxState
    media_id: UUID | None = Field(description="as the event names it, or as it was delivered")
    reference: str = Field(description="the vendor's own id of the submission, where it names that")
    verdict: str
    occurred_at: datetime
    received_at: datetime
    settled_at: datetime | None
    tracking_id: str


class DeadLetterPage(BaseModel):
    """A page of dead letters, newest first."""

    items: list[DeadLetterRead]
    next_cursor: str | None


class DeadLetterDetail(DeadLetterRead):
    """With what the vendor sent, byte for byte."""

    headers: dict[str, Any]
    body_base64: str
    body_json: Any = Field(description="the body, if it is JSON")
    event: dict[str, Any] = Field(description="as it was understood")


class Redelivery(BaseModel):
    """Deliver it again."""

    model_config = ConfigDict(extra="forbid")

    media_id: UUID | None = Field(None, description="another item than the vendor named")
