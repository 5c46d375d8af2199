"""Asking each vendor now and then whether it answers, and telling admins of an outage once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from temporalio import activity

from mediagate.errors import MediagateError, VendorUnavailable
from mediagate.vendors import checks
from mediagate.vendors.checks import CheckOutcome, Standing
from workflows.report_messages import CheckInput, CheckResult

if TYPE_CHECKING:
    from datetime import datetime

    from activities.deps import Deps
    from db.session import Transaction
    from db.tables import VendorCheck, VendorHealth
    from mediagate.vendors.interface import ModerationVendor

log = structlog.get_logger()

NOBODY = str(UUID(int=0))
"""An item, and a vendor's id of one, that does not exist."""


class VendorChecks:
    """Checks of vendors."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def check_vendors(self, job: CheckInput) -> CheckResult:
        """Ask all vendors side by side. Idempotent: a vendor that was checked at this time, or later, is left out.

        What admins are told owes a mail from the commit on, which the sweep sends.
        """
        from db.tables import now

        at, names = job.at or now(), [*self._deps.vendors]
        outcomes = await asyncio.gather(*(self._check(name, at) for name in names))
        return CheckResult(vendors={name: one.value for name, one in zip(names, outcomes, strict=True)})

    async def _check(self, name: str, at: datetime) -> CheckOutcome:
        from db.tables import now

        vendor = self._deps.vendors[name]
        async with self._deps.db.transaction() as tx:
            before, health = await tx.checks.of(name), await tx.vendors.health(name)
        if before.at and before.at >= at:
            return before.outcome
        outcome = checks.left_alone(health.breaker, polls=vendor.capabilities.polls, now=now())
        detail = ""
        if outcome is None:
            outcome, detail = await self._ask(vendor)
        async with self._deps.db.transaction() as tx:
            check = await tx.checks.of(name, lock=True)
            if check.at and check.at >= at:
                return check.outcome
            await self._keep(tx, check, await tx.vendors.health(name), outcome, detail, at)
        return outcome

    async def _ask(self, vendor: ModerationVendor) -> tuple[CheckOutcome, str]:
        """Whether it answers, and why it does not."""
        limit = self._deps.settings.vendor(vendor.name).timeout
        try:
            async with asyncio.timeout(limit):
                await vendor.poll(NOBODY, reference=NOBODY)
        except TimeoutError:
            return CheckOutcome.FAILS, f"The moderation vendor did not answer within {limit:g} s."
        except VendorUnavailable as error:
            return CheckOutcome.FAILS, error.message
        except MediagateError:
            pass  # it knows no such item, and says so in its own way
        return CheckOutcome.ANSWERS, ""

    async def _keep(
        self,
        tx: Transaction,
        check: VendorCheck,
        health: VendorHealth,
        outcome: CheckOutcome,
        detail: str,
        at: datetime,
    ) -> None:
        before, most = check.standing, self._deps.settings.vendor_health_failures
        after = checks.after(before, outcome, health.breaker, at=at, opened_at=health.changed_at, most=most)
        check.sqlmodel_update({"at": at, "outcome": outcome, "detail": detail, **after.model_dump()})
        if outcome is CheckOutcome.ANSWERS:
            check.answered_at = at
        if outcome is CheckOutcome.FAILS:
            log.warning("vendor.check_failed", vendor=check.vendor, failures=after.failures, detail=detail)
        if after.down_since and not before.down_since:
            await _tell_down(tx, check.vendor, after, detail or health.last_error)
        elif before.down_since and not after.down_since:
            await _tell_well(tx, check.vendor, before.down_since, at)


async def _tell_down(tx: Transaction, vendor: str, standing: Standing, detail: str) -> None:
    from mediagate.notify.render import MailKind

    assert standing.down_since
    what = "does not answer" if standing.failures else "is not called: its circuit breaker is open"
    facts = {
        "title": f"The vendor {vendor} {what}",
        "detail": detail,
        "since": f"{standing.down_since:%Y-%m-%d %H:%M} UTC",
    }
    await _put(tx, vendor, MailKind.SYSTEM_ALERT, standing.down_since, facts)


async def _tell_well(tx: Transaction, vendor: str, since: datetime, at: datetime) -> None:
    from mediagate.notify.render import MailKind

    facts = {
        "title": f"The vendor {vendor} is well again",
        "since": f"{since:%Y-%m-%d %H:%M} UTC",
        "until": f"{at:%Y-%m-%d %H:%M} UTC",
    }
    await _put(tx, vendor, MailKind.ALERT_OVER, since, facts)


async def _put(tx: Transaction, vendor: str, kind: str, since: datetime, facts: dict[str, str]) -> None:
    """Once for each outage, by its beginning."""
    from db.tables import Notification
    from mediagate.notify.render import render

    subject, body = render(kind, facts)
    key = f"vendor:{vendor}:{since.isoformat()}:{kind}"
    await tx.notifications.put(Notification(key=key, kind=kind, subject=subject, body=body))
