"""Numbers of a period, by library and of all of them together."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    Select,
    cast,
    extract,
    func,
    literal_column,
    or_,
    select,
    text,
    true,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from db.tables import Library, Media, MediaDecision, ScrubFinding, VendorUsage
from db.tables.media import LOST
from mediagate.media.lifecycle import status_for
from mediagate.media.reports import Pace, Period, Times, VendorUse, Waiting
from mediagate.media.values import Refusal, Status, Verdict
from mediagate.moderation.policy_runs import GATE
from mediagate.moderation.remoderation import PERSON

T = TypeVar("T")
Rows: TypeAlias = Select[*tuple[Any, ...]]
ByLibrary: TypeAlias = Mapping[UUID | None, T]
"""By a library's id; None: of all that were asked for."""

_WITHHELD = (Verdict.REJECT, Verdict.QUARANTINE)


class ReportRepository:
    """Numbers of a period. `library_id`: of that library alone; None: of every one."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def accepted(self, period: Period, library_id: UUID | None = None) -> ByLibrary[int]:
        """Uploads that were accepted."""
        library = col(Media.library_id)
        query = select(library, func.count()).where(*_in(period, col(Media.accepted_at)), *_of(library_id))
        return dict(await self._rows(query.group_by(_sets(library))))

    async def lost(self, period: Period, library_id: UUID | None = None) -> ByLibrary[Mapping[Status, int]]:
        """Uploads that failed or expired in the period and still stand so."""
        library, status = col(Media.library_id), col(Media.status)
        query = select(library, status, func.count()).where(text(LOST), *_in(period, col(Media.updated_at)))
        rows = await self._rows(query.where(*_of(library_id)).group_by(_sets(library, status)))
        return _nested(rows)

    async def decided(self, period: Period, library_id: UUID | None = None, *, objective: float) -> ByLibrary[Pace]:
        """From acceptance to the decision that ended the first round, where that was taken in the period."""
        decision = aliased(MediaDecision)
        rounds = _first_rounds(decision, col(decision.created_at)).where(*_in(period, col(decision.created_at)))
        return await self._paces(rounds.where(*_of(library_id)), objective)

    async def filed(self, period: Period, library_id: UUID | None = None, *, objective: float) -> ByLibrary[Pace]:
        """From acceptance to the first filing, where that was in the period."""
        rounds = _first_rounds(aliased(MediaDecision), col(Media.filed_at)).where(*_in(period, col(Media.filed_at)))
        return await self._paces(rounds.where(*_of(library_id)), objective)

    async def outcomes(self, period: Period, library_id: UUID | None = None) -> ByLibrary[Mapping[Status, int]]:
        """What was filed, by the outcome of its first round."""
        library, decision = col(Media.library_id), aliased(MediaDecision)
        verdict = col(decision.verdict)
        query = (
            select(library, verdict, func.count())
            .join_from(Media, decision, _ends_first_round(decision))
            .where(*_in(period, col(Media.filed_at)), *_of(library_id))
        )
        found = _nested(await self._rows(query.group_by(_sets(library, verdict)).order_by(verdict)))
        return {
            key: {status_for(Verdict(verdict)): n for verdict, n in counts.items()} for key, counts in found.items()
        }

    async def restrictions(self, period: Period, library_id: UUID | None = None) -> ByLibrary[int]:
        """Decisions of any round that withheld an item for what it is, and not as broken."""
        library, decision = col(Media.library_id), aliased(MediaDecision)
        malware = col(decision.reasons).contains([{"code": Refusal.MALWARE.value}])
        query = (
            select(library, func.count())
            .join_from(decision, Media, col(Media.id) == col(decision.media_id))
            .where(*_in(period, col(decision.created_at)), *_of(library_id))
            .where(col(decision.verdict).in_(_WITHHELD), or_(col(decision.decided_by) != GATE, malware))
        )
        return dict(await self._rows(query.group_by(_sets(library))))

    async def waiting(self, library_id: UUID | None = None) -> ByLibrary[Waiting]:
        """Items that wait for a person now."""
        # Library by library, because that is how the index begins.
        mine = (
            select(col(Media.updated_at).label("at"))
            .where(col(Media.library_id) == col(Library.id), col(Media.status) == Status.IN_REVIEW)
            .lateral()
        )
        query = select(col(Library.id), func.count(), func.min(mine.c.at)).join(mine, true())
        if library_id:
            query = query.where(col(Library.id) == library_id)
        rows = await self._rows(query.group_by(_sets(col(Library.id))))
        return {key: Waiting(count=count, since=since) for key, count, since in rows}

    async def vendors(
        self, names: Sequence[str], period: Period, library_id: UUID | None = None
    ) -> ByLibrary[Sequence[VendorUse]]:
        """What was asked of these vendors on the days of the period, by vendor."""
        first, last = period.days
        library, vendor = col(VendorUsage.library_id), col(VendorUsage.vendor)
        counted = ("calls", "failures", "cached", "cost_micros")
        sums = [cast(func.sum(getattr(VendorUsage, name)), BigInteger) for name in counted]
        query = select(library, vendor, *sums).where(vendor.in_(names), col(VendorUsage.day).between(first, last))
        if library_id:
            query = query.where(library == library_id)
        found: dict[UUID | None, list[VendorUse]] = {}
        for key, name, *numbers in await self._rows(query.group_by(_sets(library, vendor)).order_by(vendor)):
            found.setdefault(key, []).append(VendorUse(vendor=name, **dict(zip(counted, numbers, strict=True))))
        return found

    async def open_findings(self) -> Mapping[str | None, Mapping[str, int]]:
        """What scrubs found and is not settled, by library's slug and kind; None: of all, also where there is none."""
        library, kind = col(ScrubFinding.library), col(ScrubFinding.kind)
        # In the words of the index.
        query = select(library, kind, func.count()).where(text("scrub_finding.state = 'open'"))
        found = _nested(await self._rows(query.group_by(_sets(library, kind))))
        return {key: {kind.value: count for kind, count in counts.items()} for key, counts in found.items()}

    async def _paces(self, rounds: Rows, objective: float) -> ByLibrary[Pace]:
        each = rounds.subquery()
        within = func.count().filter(each.c.seconds <= objective)
        at = [func.percentile_cont(share).within_group(each.c.seconds) for share in (0.5, 0.95)]
        query = select(each.c.library_id, each.c.person, func.count(), *at, within)
        found: dict[UUID | None, dict[str, Times]] = {}
        for library, person, count, p50, p95, inside in await self._rows(
            query.group_by(_sets(each.c.library_id, each.c.person))
        ):
            times = Times(count=count, p50=p50, p95=p95, within=inside)
            found.setdefault(library, {})["person" if person else "alone"] = times
        return {library: Pace(**paces) for library, paces in found.items()}

    async def _rows(self, query: Executable) -> list[Any]:
        return [tuple(row) for row in (await self._session.execute(query)).all()]


def _first_rounds(decision: Any, until: Any) -> Rows:
    """Library, whether a person had a part, and seconds from acceptance, of items whose first round has ended."""
    opening = aliased(MediaDecision)
    person = or_(col(opening.id).is_not(None), col(decision.decided_by).startswith(PERSON))
    seconds = extract("epoch", until - col(Media.accepted_at)).label("seconds")
    opened = (
        (col(opening.media_id) == col(decision.media_id)) & (col(opening.round) == 0) & col(opening.final).is_(False)
    )
    return (
        select(col(Media.library_id), person.label("person"), seconds)
        .join_from(Media, decision, _ends_first_round(decision))
        .outerjoin(opening, opened)
    )


def _ends_first_round(decision: Any) -> ColumnElement[bool]:
    mine = col(decision.media_id) == col(Media.id)
    return mine & (col(decision.round) == 0) & col(decision.final).is_(True)


def _in(period: Period, column: Any) -> tuple[ColumnElement[bool], ...]:
    return column >= period.since, column < period.until


def _of(library_id: UUID | None) -> tuple[ColumnElement[bool], ...]:
    return (col(Media.library_id) == library_id,) if library_id else ()


def _sets(library: Any, *more: Any) -> ColumnElement[Any]:
    """For each library, and for all of them; no row has a library that is NULL."""
    return func.grouping_sets(tuple_(library, *more), tuple_(*more) if more else literal_column("()"))


def _nested(rows: Sequence[Any]) -> dict[Any, dict[Any, int]]:
    found: dict[Any, dict[Any, int]] = {}
    for library, what, count in rows:
        found.setdefault(library, {})[what] = count
    return found
