"""Reports of a period, and the digest that tells admins of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio import activity

from workflows.report_messages import DigestInput, DigestResult

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any
    from uuid import UUID

    from activities.deps import Deps
    from db.session import Transaction
    from db.tables import Library, Notification, VendorCheck, VendorHealth
    from mediagate.media.reports import Period, Report, ScrubNumbers
    from mediagate.settings import Settings

KIND = "digest"
"""Of the notifications."""
_LIBRARIES = 200
_OWED = 900.0
"""Seconds for which something is owed as a matter of course: the sweep pays every minute."""
_SCRUBS = 50
"""How far back the last scrub of everything that came to its end is looked for."""


class Digesting:
    """Digests."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    @activity.defn
    async def write_digest(self, job: DigestInput) -> DigestResult:
        """Write a notification for the whole deployment and for each library that there is anything to tell of.

        Each owes a mail from the commit on, which the sweep sends. Idempotent: a period that was told of is not told of
        again, whatever changed since; one in which nothing happened, and after which nothing waits, is not told of.
        """
        from db.tables import now
        from mediagate.media.reports import day_before, week_before

        period = (week_before if job.weekly else day_before)(job.at or now())
        async with self._deps.db.transaction() as tx:
            found = await reports(tx, self._deps.settings, period)
            told = await _write(tx, [one for one in found if not one[1].quiet])
        return DigestResult(period=str(period), told=told)


async def reports(
    tx: Transaction, settings: Settings, period: Period, library: Library | None = None
) -> list[tuple[Library | None, Report]]:
    """The report of the whole deployment (None) and then of each library by name; or of the named one alone."""
    from mediagate.media.reports import Report

    held, libraries = await _kept(tx, library)
    facts = await _facts(tx, settings, period, library)
    if library is None:
        facts["vendor_trouble"] = {None: await _trouble(tx, settings)}
        facts["scrub"] = {None: await _last_scrub(tx)}
        owed = {"starts": await tx.census.owed_starts(), "mails": await tx.census.unmailed()}
        facts["owed"] = {None: {what: one.size for what, one in owed.items() if one.oldest > _OWED}}
    findings = await tx.reports.open_findings()

    def report(one: Library | None) -> Report:
        key = one.id if one else None
        return Report(
            period=period,
            objective=settings.sla_seconds,
            library=one.slug if one else None,
            bytes=held[key],
            findings=findings.get(one.slug if one else None, {}),
            **{name: by_library[key] for name, by_library in facts.items() if key in by_library},
        )

    wanted: list[Library | None] = [library] if library else [None, *libraries]
    return [(one, report(one)) for one in wanted]


async def _facts(
    tx: Transaction, settings: Settings, period: Period, library: Library | None
) -> dict[str, Mapping[UUID | None, Any]]:
    """Fields of a report, by library."""
    from mediagate.media.values import Status

    of, objective = library.id if library else None, settings.sla_seconds
    lost = await tx.reports.lost(period, of)
    return {
        "accepted": await tx.reports.accepted(period, of),
        "failed": {key: counts.get(Status.FAILED, 0) for key, counts in lost.items()},
        "expired": {key: counts.get(Status.EXPIRED, 0) for key, counts in lost.items()},
        "filed": await tx.reports.outcomes(period, of),
        "decision": await tx.reports.decided(period, of, objective=objective),
        "filing": await tx.reports.filed(period, of, objective=objective),
        "restrictions": await tx.reports.restrictions(period, of),
        "waiting": await tx.reports.waiting(of),
        "vendors": await tx.reports.vendors(settings.vendor_names, period, of),
    }


async def _kept(tx: Transaction, library: Library | None) -> tuple[dict[UUID | None, int], list[Library]]:
    """Bytes by library, and the libraries by name."""
    from db.tables import StoredKind

    whole = await tx.storage.totals(library.id if library else None)
    kept = sum(held.bytes for held in whole if held.kind != StoredKind.ANNOUNCED)
    if library:
        return {library.id: kept}, [library]
    held: dict[UUID | None, int] = {None: kept}
    libraries: list[Library] = []
    after = None
    while page := await tx.storage.libraries(after=after, limit=_LIBRARIES):
        held |= {one.library.id: one.bytes for one in page}
        libraries += [one.library for one in page]
        after = (libraries[-1].created_at, libraries[-1].id)
    return held, sorted(libraries, key=lambda one: one.slug)


async def _trouble(tx: Transaction, settings: Settings) -> dict[str, str]:
    checks = await tx.checks.all()
    found = {name: _why(await tx.vendors.health(name), checks.get(name)) for name in settings.vendor_names}
    return {name: why for name, why in found.items() if why}


def _why(health: VendorHealth, check: VendorCheck | None) -> str:
    """What is wrong with a vendor; empty: nothing."""
    if health.breaker.held:
        return f"switched off by {health.held_by or 'somebody'}"
    if health.breaker.state != "closed":
        return f"not called after {health.failures} failures in a row: {health.last_error}"
    if check and check.failures:
        return f"failed {check.failures} checks in a row: {check.detail}"
    return ""


async def _last_scrub(tx: Transaction) -> ScrubNumbers | None:
    from db.tables import ScrubState
    from mediagate.media.reports import ScrubNumbers

    for scrub in await tx.scrubs.page(after=None, limit=_SCRUBS):
        if scrub.state is ScrubState.COMPLETED and scrub.library_id is None and scrub.ended_at:
            return ScrubNumbers.model_validate(scrub.model_dump())
    return None


async def _write(tx: Transaction, loud: list[tuple[Library | None, Report]]) -> int:
    """How many notifications; none if the deployment's, which is the first, was there already."""
    for library, report in loud:
        note = _note(library, report)
        if (await tx.notifications.put(note)).id != note.id and library is None:
            return 0
    return len(loud)


def _note(library: Library | None, report: Report) -> Notification:
    from db.tables import Notification
    from mediagate.notify.digest import render_digest

    subject, body = render_digest(report)
    period = report.period
    return Notification(
        library_id=library.id if library else None,
        key=f"{KIND}:{library.id if library else 'all'}:{period.since:%Y-%m-%d}:{period.until:%Y-%m-%d}",
        kind=KIND,
        subject=subject,
        body=body,
    )
