"""Is a vendor well, also while nobody uploads? Rules for the check that asks each of them now and then.

A check asks for the result of an item that does not exist: that costs nothing and tells whether the vendor answers and
takes our key. Whether it takes submissions, only submissions tell. So a check is no call of the circuit breaker: one
that is answered closes none that failing submissions have opened, and has no failures forgotten that it counts; one
that fails opens none. The breaker is only read here, and is the other half of what makes an outage.

Pure: the time is passed in.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from mediagate.media.values import Value
from mediagate.vendors.breaker import Breaker, BreakerState


class CheckOutcome(StrEnum):
    """What a check brought."""

    ANSWERS = "answers"
    FAILS = "fails"
    NOT_ASKED = "not_asked"
    """It answers at once or is in the gate itself: nothing can be asked of it that is no submission."""
    RESTING = "resting"
    """Its breaker is open, and it may have asked for that rest."""
    HELD = "held"
    """A person switched it off."""


class Standing(Value):
    """How a vendor stands by its checks."""

    failures: int = Field(0, description="checks in a row")
    failing_since: datetime | None = None
    down_since: datetime | None = Field(None, description="when the outage began that admins were told of")


def left_alone(breaker: Breaker, *, polls: bool, now: datetime) -> CheckOutcome | None:
    """Why a vendor is not asked; None: it is. `polls`: it can be asked for a result."""
    if breaker.held:
        return CheckOutcome.HELD
    if breaker.state is BreakerState.OPEN and breaker.until and now < breaker.until:
        return CheckOutcome.RESTING
    return None if polls else CheckOutcome.NOT_ASKED


def after(
    standing: Standing, outcome: CheckOutcome, breaker: Breaker, *, at: datetime, opened_at: datetime | None, most: int
) -> Standing:
    """How it stands after a check.

    An outage begins with `most` failed checks in a row, or with an open breaker (`opened_at`); it is over once no check
    fails and the breaker is closed again, which only calls and people do. What a person holds open stands still.
    """
    if outcome is CheckOutcome.HELD:
        return standing
    failures, failing_since = standing.failures, standing.failing_since
    if outcome is CheckOutcome.FAILS:
        failures, failing_since = failures + 1, failing_since or at
    elif outcome is CheckOutcome.ANSWERS:
        failures, failing_since = 0, None
    down_since = standing.down_since
    if down_since is None:
        if failures >= most:
            down_since = failing_since
        elif breaker.state is BreakerState.OPEN:
            down_since = opened_at or at
    elif breaker.state is BreakerState.CLOSED and not failures:
        down_since = None
    return Standing(failures=failures, failing_since=failing_since, down_since=down_since)
