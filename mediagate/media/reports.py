"""What a report tells of a period: of one library, or of the whole deployment. Pure values.

Uploads are counted by when they were accepted, decided and filed, so that one that spans two periods is in each of them
once. What waits, what is kept and what is owed is as it stands when the report is made.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from pydantic import Field, computed_field

from mediagate.media.values import Status, Value

_DAY = timedelta(days=1)


class Period(Value):
    """From `since` until right before `until`, both in UTC."""

    since: datetime
    until: datetime

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last day (UTC) of which it has a part."""
        return self.since.date(), (self.until - timedelta.resolution).date()

    def __str__(self) -> str:
        """`2026-11-22`, `2026-11-16 to 2026-11-22`, or with the times where it does not begin and end at midnight."""
        if any(_midnight(moment) != moment for moment in (self.since, self.until)):
            return f"{self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC"
        first, last = self.days
        return f"{first}" if first == last else f"{first} to {last}"


def day_before(at: datetime) -> Period:
    """The whole day (UTC) before the one of `at`."""
    until = _midnight(at)
    return Period(since=until - _DAY, until=until)


def week_before(at: datetime) -> Period:
    """The whole week (Monday to Sunday, UTC) before the one of `at`."""
    today = _midnight(at)
    until = today - today.weekday() * _DAY
    return Period(since=until - 7 * _DAY, until=until)


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


class Times(Value):
    """How long something took, of so many; seconds from the acceptance."""

    count: int = 0
    p50: float | None = Field(None, description="half of them took no longer")
    p95: float | None = None
    within: int = Field(0, description="that were within the objective")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def share(self) -> float | None:
        """Of those within the objective; None if there are none at all."""
        return self.within / self.count if self.count else None


class Pace(Value):
    """First rounds, those that needed no person and those that a person had a part in."""

    alone: Times = Times()
    person: Times = Times()


class VendorUse(Value):
    """What was asked of a vendor; `cost_micros`: millionths of a US dollar."""

    vendor: str
    calls: int = 0
    failures: int = 0
    cached: int = 0
    cost_micros: int = 0


class ScrubNumbers(Value):
    """The last scrub of everything that came to its end."""

    ended_at: datetime
    missing: int = 0
    altered: int = 0
    untracked: int = 0
    repaired: int = 0

    @property
    def lost(self) -> int:
        """Objects that it did not put back."""
        return max(self.missing + self.altered - self.repaired, 0)


class Waiting(Value):
    """Items that wait for a person, and since when the first of them does."""

    count: int = 0
    since: datetime | None = None


class Report(Value):
    """One report. What only the whole deployment has is at the end."""

    period: Period
    objective: float = Field(
        description="seconds from acceptance to decision that are aimed at (MEDIAGATE_SLA_SECONDS)"
    )
    library: str | None = Field(None, description="slug; None: the whole deployment")
    accepted: int = 0
    filed: Mapping[Status, int] = Field({}, description="by the outcome of the first round")
    failed: int = Field(0, description="that failed in the period and are not repaired")
    expired: int = 0
    decision: Pace = Field(Pace(), description="from acceptance to the decision that ended the first round")
    filing: Pace = Field(Pace(), description="from acceptance to the first filing")
    restrictions: int = Field(0, description="decisions of any round that withheld an item for what it is")
    waiting: Waiting = Waiting()
    vendors: tuple[VendorUse, ...] = Field((), description="by whole days (UTC), as usage is counted")
    findings: Mapping[str, int] = Field({}, description="of scrubs, that are open, by kind")
    bytes: int = Field(0, description="that are kept")

    vendor_trouble: Mapping[str, str] = Field({}, description="vendors that are not called, or do not answer")
    scrub: ScrubNumbers | None = None
    owed: Mapping[str, int] = Field({}, description="starts and mails, if one is for long")

    @property
    def quiet(self) -> bool:
        """True if nothing happened and nothing waits for anybody."""
        decided = (self.decision.alone.count, self.decision.person.count)
        happened = (self.accepted, self.failed, self.expired, self.restrictions, *decided, *self.filed.values())
        stands = (self.waiting.count, *self.findings.values(), *self.owed.values())
        asked = any(use.calls or use.cached for use in self.vendors)
        lost = self.scrub is not None and self.scrub.lost
        return not (any(happened) or any(stands) or asked or self.vendor_trouble or lost)
