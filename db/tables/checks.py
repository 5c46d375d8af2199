"""What the checks of vendors brought."""

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from db.tables.columns import enum_column, time_column
from mediagate.vendors.checks import CheckOutcome, Standing


class VendorCheck(SQLModel, table=True):
    """The last check of a vendor, and how it stands by all of them. The circuit breaker is in `vendor_health`."""

    __tablename__ = "vendor_check"

    vendor: str = Field(primary_key=True)
    at: datetime | None = time_column()
    """The time of the check, as the schedule planned it: one that runs twice is one."""
    outcome: CheckOutcome = enum_column(CheckOutcome, CheckOutcome.NOT_ASKED)
    detail: str = Field(default="", sa_type=Text)
    """Why it failed."""
    answered_at: datetime | None = time_column()
    failures: int = 0
    """In a row."""
    failing_since: datetime | None = time_column()
    down_since: datetime | None = time_column()
    """Admins were told of an outage that began then, and not yet of its end."""

    @property
    def standing(self) -> Standing:
        """As a value."""
        return Standing(failures=self.failures, failing_since=self.failing_since, down_since=self.down_since)
