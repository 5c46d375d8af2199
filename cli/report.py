"""`mediagate report`: what happened, and how fast, as the digest tells it."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

import typer
from rich.filesize import decimal

from activities.digesting import reports
from cli.local_stack import adopt_local_stack
from cli.output import Json, print_json, print_line, print_table
from cli.runs.times import LONGEST, since
from db.session import Database
from db.tables import now
from mediagate.errors import InvalidRequest, NotFound
from mediagate.media.reports import Pace, Period, Report, day_before
from mediagate.notify.digest import dollars, duration
from mediagate.settings import Settings

_SLUG = typer.Option(help="Only this library.")
_SINCE = typer.Option("--since", help="Beginning: 12h, 7d, or a date or time (UTC). Default: yesterday's midnight.")
_UNTIL = typer.Option("--until", help="End, in the same way. Default: now with --since, else the last midnight.")


def report(
    library: Annotated[str | None, _SLUG] = None,
    since_: Annotated[str | None, _SINCE] = None,
    until: Annotated[str | None, _UNTIL] = None,
    as_json: Json = False,
) -> None:
    """Show uploads, outcomes, times to decision and filing, vendors and what waits. Reads only; a year at most.

    Without a period: of yesterday (UTC), as the daily digest. Vendors are counted by whole days (UTC), what waits and
    what is kept is as of now.

    Examples:

      mediagate report

      mediagate report --library photos --since 7d

      mediagate report --since 2026-11-01 --until 2026-12-01 --json | jq '.reports[0].decision.alone.share'
    """
    found = asyncio.run(_made(library, _period(since_, until)))
    if as_json:
        print_json({"reports": [one.model_dump(mode="json") for one in found]})
        return
    first, *more = found
    _print(first)
    if loud := [one for one in more if not one.quiet]:
        _print_libraries(loud)


def _period(since_: str | None, until: str | None) -> Period:
    """Raises InvalidRequest."""
    moment = now()
    yesterday = day_before(moment)
    end = since(until, now=moment) or (moment if since_ else yesterday.until)
    begin = since(since_, now=moment) or end - timedelta(days=1)
    if not timedelta(0) < end - begin <= LONGEST:
        raise InvalidRequest(f"A report is of a period of up to a year, and not from {begin} until {end}.")
    return Period(since=begin, until=end)


async def _made(slug: str | None, period: Period) -> list[Report]:
    adopt_local_stack()
    settings = Settings()
    db = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        async with db.transaction() as tx:
            library = await tx.access.library(slug) if slug else None
            if slug and library is None:
                raise NotFound(f"There is no library {slug!r}.")
            return [one for _, one in await reports(tx, settings, period, library)]
    finally:
        await db.close()


def _print(one: Report) -> None:
    print_line(f"{one.library or 'The whole deployment'}, {one.period} (UTC)")
    print_table(["", ""], _numbers(one))
    print_table(
        ["from acceptance", "items", "half in", "95 % in", f"in {duration(one.objective)}"],
        [*_paces("decided", one.decision), *_paces("filed", one.filing)],
    )
    if one.vendors:
        rows = [(use.vendor, use.calls, use.failures, use.cached, dollars(use.cost_micros)) for use in one.vendors]
        print_table(["vendor", "calls", "failed", "cached", "cost"], rows)
    for vendor, why in one.vendor_trouble.items():
        print_line(f"{vendor}: {why}")


def _numbers(one: Report) -> Iterable[tuple[str, object]]:
    yield "accepted", one.accepted
    yield from ((f"filed as {status.value}", count) for status, count in one.filed.items())
    yield from (("failed", one.failed), ("expired", one.expired))
    yield "withheld for what it is", one.restrictions
    first = f", the first since {one.waiting.since:%Y-%m-%d %H:%M}" if one.waiting.since else ""
    yield "waiting for a person", f"{one.waiting.count}{first}"
    yield "kept", decimal(one.bytes)
    if one.scrub:
        numbers = one.scrub.model_dump(exclude={"ended_at"})
        yield f"scrub of {one.scrub.ended_at:%Y-%m-%d %H:%M}", ", ".join(f"{n} {what}" for what, n in numbers.items())
    yield from ((f"open findings: {kind}", count) for kind, count in one.findings.items())
    yield from ((f"owed: {what}", count) for what, count in one.owed.items())


def _paces(what: str, pace: Pace) -> Iterable[tuple[object, ...]]:
    for who, times in (("alone", pace.alone), ("by a person", pace.person)):
        share = f"{100 * times.share:.1f} %" if times.share is not None else "–"
        yield f"{what} {who}", times.count, duration(times.p50), duration(times.p95), share


def _print_libraries(found: list[Report]) -> None:
    """One line each."""
    rows = [
        (
            one.library,
            one.accepted,
            sum(one.filed.values()),
            one.failed,
            one.waiting.count,
            duration(one.decision.alone.p95),
            f"{100 * one.decision.alone.share:.1f} %" if one.decision.alone.share is not None else "–",
            decimal(one.bytes),
        )
        for one in found
    ]
    print_table(["library", "accepted", "filed", "failed", "waiting", "95 % alone in", "in time", "kept"], rows)
