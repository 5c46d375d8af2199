"""A circuit breaker: stops calling a vendor that fails again and again, and lets one call at a time see how it is.

    closed ──N failures in a row──▶ open ──rest──▶ half-open: one probe ──fails, or never reports──▶ open, or the next
       ▲                                              │
       └───────────────────succeeds───────────────────┘

Pure: the time is passed in, and the state is a value that somebody keeps, for all workers, under a lock.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from pydantic import Field

from mediagate.media.values import Value

PROBE_PATIENCE = timedelta(seconds=60)
"""After which a probe that did not report is given up: as long as a worker takes to notice that a call hangs."""

_PROBE_TAKES = timedelta(seconds=5)
"""After which it is worth asking again whether a probe has closed the breaker."""


class BreakerState(StrEnum):
    """Whether calls are let through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerRules(Value):
    """When a breaker opens, and for how long."""

    failures: int = Field(5, ge=1, description="in a row")
    rest: timedelta = timedelta(seconds=30)


class Breaker(Value):
    """The state. `turn` counts its changes: what was let through before the last one reports in vain."""

    state: BreakerState = BreakerState.CLOSED
    failures: int = Field(0, description="in a row")
    until: datetime | None = Field(
        None, description="open: rests until then, None: until a person closes it; half-open: the probe is given up"
    )
    turn: int = 0

    @property
    def clean(self) -> bool:
        """True if a success is no news."""
        return self.state is BreakerState.CLOSED and not self.failures

    @property
    def held(self) -> bool:
        """True if a person opened it, so that no rest ends that."""
        return self.state is BreakerState.OPEN and self.until is None


class Admission(NamedTuple):
    """What became of the request to let a call through: the state after it, and when to ask again if it was refused."""

    breaker: Breaker
    ask_again: datetime | None = None


def admit(breaker: Breaker, rules: BreakerRules, now: datetime) -> Admission:
    """Let a call through, or refuse it; whoever is let through reports under `turn` of the state that comes back."""
    if breaker.state is BreakerState.CLOSED:
        return Admission(breaker)
    if breaker.until is None:
        return Admission(breaker, ask_again=now + rules.rest)
    if now < breaker.until:
        probing = breaker.state is BreakerState.HALF_OPEN
        return Admission(breaker, ask_again=min(breaker.until, now + _PROBE_TAKES) if probing else breaker.until)
    return Admission(_next(breaker, BreakerState.HALF_OPEN, failures=breaker.failures, until=now + PROBE_PATIENCE))


def succeeded(breaker: Breaker, turn: int) -> Breaker:
    """After a call that the vendor answered, whatever it answered."""
    if turn != breaker.turn or breaker.clean:
        return breaker
    if breaker.state is BreakerState.CLOSED:
        return breaker.model_copy(update={"failures": 0})
    return closed(breaker)


def failed(
    breaker: Breaker, turn: int, rules: BreakerRules, now: datetime, *, retry_after: float | None = None
) -> Breaker:
    """After a call that got no usable answer. `retry_after`: seconds that the vendor asked for; it rests that long."""
    if turn != breaker.turn:
        return breaker
    failures = breaker.failures + 1
    if breaker.state is BreakerState.CLOSED and failures < rules.failures:
        return breaker.model_copy(update={"failures": failures})
    rest = max(rules.rest, timedelta(seconds=retry_after or 0))
    return _next(breaker, BreakerState.OPEN, failures=failures, until=now + rest)


def withdrawn(breaker: Breaker, turn: int, now: datetime) -> Breaker:
    """After a call that says nothing of the vendor, such as one that was never sent: the next may be the probe."""
    if turn != breaker.turn or breaker.state is not BreakerState.HALF_OPEN:
        return breaker
    return _next(breaker, BreakerState.OPEN, failures=breaker.failures, until=now)


def closed(breaker: Breaker) -> Breaker:
    """As new, by a probe or a person; calls that are under way report in vain."""
    return _next(breaker, BreakerState.CLOSED)


def held_open(breaker: Breaker) -> Breaker:
    """Open until a person closes it."""
    return _next(breaker, BreakerState.OPEN, failures=breaker.failures)


def _next(breaker: Breaker, state: BreakerState, *, failures: int = 0, until: datetime | None = None) -> Breaker:
    return Breaker(state=state, failures=failures, until=until, turn=breaker.turn + 1)
