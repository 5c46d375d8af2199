"""One call of a moderation vendor: let through by its circuit breaker, bounded in time, counted, and measured."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from temporalio import activity

from mediagate import metrics
from mediagate.errors import InvalidRequest, MediagateError, VendorUnavailable
from mediagate.vendors import breaker
from mediagate.vendors.breaker import Breaker, BreakerRules, BreakerState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from uuid import UUID

    from activities.deps import Deps
    from db.session import Database, Transaction
    from db.tables import VendorHealth
    from mediagate.settings import VendorSettings

T = TypeVar("T")

POLL = "poll_vendor"
"""The activity that polls; what calls a vendor besides submits to it."""
ANSWER_BY = 0.9
"""Share of an attempt's time in which the vendor has to answer, so that it is named in the failure, and counted."""


class VendorCall:
    """One call of a vendor for an item of a library, inside an activity."""

    def __init__(self, deps: Deps, vendor: str, library_id: UUID) -> None:
        self._db = deps.db
        self._vendor = vendor
        self._library_id = library_id
        self._rules = rules_of(deps.settings.vendor(vendor))
        self._turn = 0
        self._resting: VendorUnavailable | None = None

    async def admitted(self, tx: Transaction) -> None:
        """Take a turn; last in its transaction. `make` raises what keeps the vendor from being called."""
        health, at = await tx.vendors.health(self._vendor), _now()
        admission = breaker.admit(health.breaker, self._rules, at)
        if admission.breaker != health.breaker:  # of all who see that it has rested, one becomes the probe
            health = await tx.vendors.health(self._vendor, lock=True)
            admission = breaker.admit(health.breaker, self._rules, at)
            self._keep(health, admission.breaker)
        self._turn, self._resting = admission.breaker.turn, None
        if admission.ask_again:
            wait = max(1.0, (admission.ask_again - at).total_seconds())
            self._resting = VendorUnavailable(_why(self._vendor, health), retry_after=wait)

    async def make(self, action: Callable[[], Awaitable[T]]) -> T:
        """What the vendor answers; the caller reports that by `succeeded` in the transaction that keeps the answer.

        Raises:
            VendorUnavailable: it is not called because it rests, it failed, or it took too long.
            MediagateError: whatever else `action` raises; that says nothing of the vendor.
        """
        if self._resting:
            _count(self._vendor, "resting")
            raise self._resting
        info = activity.info()
        limit = (info.start_to_close_timeout or info.schedule_to_close_timeout or timedelta(minutes=1)) * ANSWER_BY
        began = time.monotonic()
        try:
            async with asyncio.timeout(limit.total_seconds()):
                answer = await action()
        except TimeoutError as error:
            late = VendorUnavailable(f"The moderation vendor did not answer within {limit.total_seconds():.0f} s.")
            await self._failed(late, "timeout")
            raise late from error
        except VendorUnavailable as error:
            await self._failed(error, "asked_to_wait" if error.retry_after else "unavailable")
            raise
        except MediagateError as error:
            await self._withdrawn(error)
            raise
        finally:
            metrics.MODERATION_SECONDS.observe(time.monotonic() - began, vendor=self._vendor)
        return answer

    async def succeeded(self, tx: Transaction, *, cost_micros: int = 0) -> None:
        """Report and count an answer. While all is well the breaker is only read."""
        from db.committed import once_committed  # SQLAlchemy: not for what only imports a workflow

        health = await tx.vendors.health(self._vendor)
        if breaker.succeeded(health.breaker, self._turn) != health.breaker:
            health = await tx.vendors.health(self._vendor, lock=True)
            self._keep(health, breaker.succeeded(health.breaker, self._turn))
        await tx.vendors.count(self._vendor, self._library_id, calls=1, cost_micros=cost_micros)
        once_committed(tx.session, lambda: self._count_answer(cost_micros))

    def _count_answer(self, cost_micros: int) -> None:
        _count(self._vendor, "answered")
        metrics.VENDOR_COST.add(cost_micros, vendor=self._vendor)

    async def _failed(self, error: VendorUnavailable, kind: str) -> None:
        async with self._db.transaction() as tx:
            health, at = await tx.vendors.health(self._vendor, lock=True), _now()
            after = breaker.failed(health.breaker, self._turn, self._rules, at, retry_after=error.retry_after)
            self._keep(health, after)
            health.last_error, health.last_error_at = error.message, at
            await tx.vendors.count(self._vendor, self._library_id, calls=1, failures=1)
        _count(self._vendor, "failed")
        metrics.VENDOR_ERRORS.add(vendor=self._vendor, kind=kind)

    async def _withdrawn(self, error: MediagateError) -> None:
        async with self._db.transaction() as tx:
            health = await tx.vendors.health(self._vendor)
            if breaker.withdrawn(health.breaker, self._turn, _now()) != health.breaker:
                health = await tx.vendors.health(self._vendor, lock=True)
                self._keep(health, breaker.withdrawn(health.breaker, self._turn, _now()))
            if isinstance(error, InvalidRequest):
                await tx.vendors.count(self._vendor, self._library_id, calls=1)
        if isinstance(error, InvalidRequest):
            _count(self._vendor, "refused")
            metrics.VENDOR_ERRORS.add(vendor=self._vendor, kind="refused")

    def _keep(self, health: VendorHealth, after: Breaker) -> None:
        health.keep(after, at=_now(), by=health.held_by)


async def switch(db: Database, vendor: str, wanted: BreakerState, *, by: str) -> None:
    """Close a vendor's breaker, or open it until somebody closes it: the kill switch. Idempotent.

    Raises:
        InvalidRequest: half-open is for the breaker itself to be.
    """
    if wanted is BreakerState.HALF_OPEN:
        raise InvalidRequest("A breaker can be set to closed or to open.")
    async with db.transaction() as tx:
        health = await tx.vendors.health(vendor, lock=True)
        if wanted is BreakerState.CLOSED and not health.breaker.clean:
            health.keep(breaker.closed(health.breaker), at=_now())
        elif wanted is BreakerState.OPEN and not health.breaker.held:
            health.keep(breaker.held_open(health.breaker), at=_now(), by=by)


def rules_of(settings: VendorSettings) -> BreakerRules:
    """When a vendor's breaker opens, and for how long."""
    return BreakerRules(failures=settings.breaker_failures, rest=timedelta(seconds=settings.breaker_rest))


def count_cache_hit(vendor: str) -> None:
    """Measure that an earlier answer stood in for a call."""
    _count(vendor, "cached")
    metrics.VENDOR_CACHE_HITS.add(vendor=vendor)


def _why(vendor: str, health: VendorHealth) -> str:
    if health.breaker.held:
        who = f" by {health.held_by}" if health.held_by else ""
        return f"The vendor {vendor} is switched off{who}: `mediagate vendors close {vendor}` switches it on."
    last = f" The last one: {health.last_error}" if health.last_error else ""
    if health.breaker.state is BreakerState.HALF_OPEN:
        return f"The vendor {vendor} is resting until the call that tries it has an answer.{last}"
    until = f"{health.until:%H:%M:%S} UTC" if health.until else "further notice"
    return f"The vendor {vendor} is resting until {until} after {health.failures} failures in a row.{last}"


def _count(vendor: str, outcome: str) -> None:
    call = "poll" if activity.info().activity_type == POLL else "submit"
    metrics.MODERATION_REQUESTS.add(vendor=vendor, call=call, outcome=outcome)


def _now() -> datetime:
    from db.tables import now  # SQLAlchemy: not for what only imports a workflow

    return now()
