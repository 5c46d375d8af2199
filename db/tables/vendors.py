"""What was handed to vendors, how they do, what they said of the same bytes before, and what that cost."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Date, Index, Text, text
from sqlmodel import Field, SQLModel

from db.tables.columns import created_column, enum_column, json_column, media_column, time_column
from mediagate.vendors.breaker import Breaker, BreakerState


class VendorSubmission(SQLModel, table=True):
    """One item at one vendor; the row is there before the vendor is called, `submitted_at` once it took the item."""

    __tablename__ = "vendor_submission"

    media_id: UUID = media_column(primary_key=True)
    vendor: str = Field(primary_key=True)
    reference: str = ""
    """The vendor's own id of it; by it, events find the item that they do not name."""
    model_version: str = ""
    """The vendor's, as it was configured when the item was submitted."""
    content: str = ""
    """Digest of everything that the vendor looks at; empty: its answer is not kept for other items."""
    calls: int = 0
    """Billed units."""
    created_at: datetime = created_column()
    submitted_at: datetime | None = time_column()
    answered_at: datetime | None = time_column()
    """When its first final word was known here."""
    cached_from: UUID | None = None
    """The item whose answer stands in; nobody was called. No foreign key: that item may be erased."""

    __table_args__ = (
        Index(
            "uq_vendor_submission_reference",
            "vendor",
            "reference",
            unique=True,
            postgresql_where=text("reference <> ''"),
        ),
    )


class VendorHealth(SQLModel, table=True):
    """A vendor's circuit breaker, the same for all workers, and the model it was last heard to use.

    Written when a call fails and when the state changes; calls that go well only read it.
    """

    __tablename__ = "vendor_health"

    vendor: str = Field(primary_key=True)
    state: BreakerState = enum_column(BreakerState, BreakerState.CLOSED)
    failures: int = 0
    until: datetime | None = time_column()
    turn: int = 0
    changed_at: datetime | None = time_column()
    """When calls were last let through again, or stopped."""
    held_by: str = ""
    """Who opened it, if a person did."""
    model_version: str = ""
    last_error: str = Field(default="", sa_type=Text)
    last_error_at: datetime | None = time_column()

    @property
    def breaker(self) -> Breaker:
        """The breaker's state as a value."""
        return Breaker(state=BreakerState(self.state), failures=self.failures, until=self.until, turn=self.turn)

    def keep(self, breaker: Breaker, *, at: datetime, by: str = "") -> None:
        """Take over a state; `by`: the person who opened it."""
        if breaker.state != self.state:
            self.changed_at = at
        self.state, self.failures, self.until, self.turn = breaker.state, breaker.failures, breaker.until, breaker.turn
        self.held_by = by if breaker.held else ""


class VendorResult(SQLModel, table=True):
    """A vendor's last final word about some content, for further items of the same library with the same content.

    Not across libraries: what another tenant has uploaded is nobody else's business, not even by an answer that comes
    sooner.
    """

    __tablename__ = "vendor_result"

    vendor: str = Field(primary_key=True)
    model_version: str = Field(primary_key=True)
    library_id: UUID = Field(foreign_key="library.id", primary_key=True)
    content: str = Field(primary_key=True)
    media_id: UUID
    """The item that it was said about."""
    event: dict[str, Any] = json_column()
    occurred_at: datetime = time_column(nullable=False)
    stored_at: datetime = created_column()

    __table_args__ = (Index("ix_vendor_result_age", "stored_at"),)


class VendorUsage(SQLModel, table=True):
    """What a library's items took of a vendor on one day (UTC). A row of its own for each library: imports of two
    libraries do not wait for each other."""

    __tablename__ = "vendor_usage"

    vendor: str = Field(primary_key=True)
    day: date = Field(primary_key=True, sa_type=Date)
    library_id: UUID = Field(foreign_key="library.id", primary_key=True)
    calls: int = Field(default=0, sa_type=BigInteger)
    """Submissions and polls that were sent, the failed ones included."""
    failures: int = Field(default=0, sa_type=BigInteger)
    cached: int = Field(default=0, sa_type=BigInteger)
    """Submissions that were answered from earlier results."""
    cost_micros: int = Field(default=0, sa_type=BigInteger)
    """Millionths of a US dollar."""
