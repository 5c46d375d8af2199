"""Numbers of a period against rows of known times, and the index by which each is found."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from db.session import Database, Transaction
from db.tables import FindingKind, Library, Scrub, VendorUsage, now
from mediagate.media.reports import Pace, Period, Times, VendorUse, Waiting, day_before
from mediagate.media.values import Status, Verdict
from tests.db.test_repositories import MANY, added, asked, plans
from tests.reports import a_day, accepted, decided, through

Question = Callable[[Transaction, UUID], Awaitable[object]]

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
TICK = timedelta.resolution
NOVEMBER = day_before(datetime(2026, 11, 22, tzinfo=UTC))

QUESTIONS: dict[str, tuple[Question, str]] = {
    "accepted": (lambda tx, _: tx.reports.accepted(NOVEMBER), "ix_media_accepted"),
    "failed and expired": (lambda tx, _: tx.reports.lost(NOVEMBER), "ix_media_lost"),
    "time to decision": (lambda tx, _: tx.reports.decided(NOVEMBER, objective=1), "ix_decision_taken"),
    "time to filing": (lambda tx, _: tx.reports.filed(NOVEMBER, objective=1), "ix_media_filed"),
    "outcomes": (lambda tx, _: tx.reports.outcomes(NOVEMBER), "ix_media_filed"),
    "restrictions": (lambda tx, _: tx.reports.restrictions(NOVEMBER), "ix_decision_taken"),
    "waiting": (lambda tx, _: tx.reports.waiting(), "ix_media_library_status_page"),
    "vendors": (lambda tx, _: tx.reports.vendors(["hive"], NOVEMBER), "vendor_usage_pkey"),
    "findings": (lambda tx, _: tx.reports.open_findings(), "uq_scrub_finding_open"),
    "check of a vendor": (lambda tx, _: tx.checks.of("hive"), "vendor_check_pkey"),
}
OF_A_LIBRARY: dict[str, tuple[Question, str]] = {
    "accepted": (lambda tx, id_: tx.reports.accepted(NOVEMBER, id_), "ix_media_accepted"),
    "time to decision": (lambda tx, id_: tx.reports.decided(NOVEMBER, id_, objective=1), "ix_decision_taken"),
    "vendors": (lambda tx, id_: tx.reports.vendors(["hive"], NOVEMBER, id_), "vendor_usage_pkey"),
}


class TestIndexes:
    @pytest.mark.parametrize("name", QUESTIONS)
    async def test_every_question_has_its_index(self, empty_db: Database, name: str) -> None:
        await uses(empty_db, *QUESTIONS[name])

    @pytest.mark.parametrize("name", OF_A_LIBRARY)
    async def test_so_has_each_about_one_library(self, empty_db: Database, name: str) -> None:
        await uses(empty_db, *OF_A_LIBRARY[name])

    @pytest.mark.parametrize(
        ("ask", "index"),
        [
            (lambda tx, _: tx.reports.accepted(Period(since=now() - HOUR / 12, until=now())), "ix_media_accepted"),
            (lambda tx, id_: tx.reports.waiting(id_), "ix_media_library_status_page"),
        ],
        ids=["accepted", "waiting"],
    )
    async def test_of_many_uploads_few_are_read(
        self, db: Database, library: Library, ask: Question, index: str
    ) -> None:
        async with asked(db, ask, library.id) as (tx, statements):
            await tx.session.execute(text(MANY), {"library": library.id})
            await tx.session.execute(text("UPDATE media SET accepted_at = created_at WHERE accepted_at IS NULL"))
            await tx.session.execute(text("ANALYZE media"))
            (plan,) = await plans(tx, statements)
            await tx.session.rollback()
        assert index in plan, plan


async def uses(db: Database, ask: Question, index: str) -> None:
    async with asked(db, ask, uuid4()) as (tx, statements):
        await tx.session.execute(text("SET LOCAL enable_seqscan = off"))
        for plan in await plans(tx, statements):
            assert index in plan, plan
            assert "Seq Scan" not in plan, plan


@pytest.fixture
def day() -> datetime:
    """The beginning of a day of its own."""
    return a_day()


@pytest.fixture
def period(day: datetime) -> Period:
    return Period(since=day, until=day + DAY)


class TestNumbers:
    async def test_a_period_has_its_beginning_and_not_its_end(
        self, db: Database, library: Library, day: datetime, period: Period
    ) -> None:
        for at in (day - TICK, day, day + DAY - TICK, day + DAY):
            await accepted(db, library, at)
        async with db.transaction() as tx:
            assert await tx.reports.accepted(period) == {library.id: 2, None: 2}

    async def test_by_library_and_of_all(self, db: Database, library: Library, day: datetime, period: Period) -> None:
        async with db.transaction() as tx:
            other = await tx.access.ensure_library(f"lib-{uuid4().hex[:8]}", name="Other", settings={})
        for owner in (library, library, other):
            await accepted(db, owner, day + HOUR)
        async with db.transaction() as tx:
            assert await tx.reports.accepted(period) == {library.id: 2, other.id: 1, None: 3}
            assert await tx.reports.accepted(period, other.id) == {other.id: 1, None: 1}
            assert await tx.reports.accepted(day_before(day), library.id) == {None: 0}

    async def test_what_was_lost(self, db: Database, library: Library, day: datetime, period: Period) -> None:
        failed = [await added(db, library, status=Status.FAILED, updated_at=day + HOUR) for _ in range(2)]
        await added(db, library, status=Status.EXPIRED, updated_at=day + HOUR)
        await added(db, library, status=Status.FAILED, updated_at=day - HOUR)
        async with db.transaction() as tx:
            (await tx.media.get(failed[0].id)).status = Status.PROCESSING  # repaired
        async with db.transaction() as tx:
            found = await tx.reports.lost(period)
        assert found[library.id] == found[None] == {Status.FAILED: 1, Status.EXPIRED: 1}

    async def test_times_by_whether_a_person_had_a_part(
        self, db: Database, library: Library, day: datetime, period: Period
    ) -> None:
        for seconds in (10, 20, 30, 40, 400):
            await through(db, library, day + HOUR, decision=seconds, filing=seconds + 1)
        await through(db, library, day + HOUR, decision=1000, filing=2000, opened=True, by="person:ada")
        await through(db, library, day + HOUR, decision=3000, filing=4000, opened=True)  # nobody decided in time
        await through(db, library, day + HOUR, decision=5000, filing=6000, by="person:bob")  # stopped it
        async with db.transaction() as tx:
            decided_ = (await tx.reports.decided(period, library.id, objective=40))[library.id]
            filed = (await tx.reports.filed(period, library.id, objective=40))[library.id]
        for times, expected in ((decided_.alone, (5, 30, 328, 4)), (decided_.person, (3, 3000, 4800, 0))):
            assert (times.count, times.p50, times.p95, times.within) == pytest.approx(expected)
        assert (filed.alone.count, filed.alone.p50, filed.alone.within) == (5, 31, 3)
        assert (filed.person.count, filed.person.p50) == (3, 4000)

    async def test_each_is_counted_when_it_happened(
        self, db: Database, library: Library, day: datetime, period: Period
    ) -> None:
        """Accepted the day before, decided in the period, filed the day after."""
        await through(db, library, day - timedelta(seconds=5), decision=10, filing=DAY.total_seconds() + 10)
        following = Period(since=day + DAY, until=day + 2 * DAY)
        async with db.transaction() as tx:
            assert await tx.reports.accepted(period) == {None: 0}
            assert (await tx.reports.decided(period, objective=60))[library.id].alone.count == 1
            assert (await tx.reports.filed(period, objective=60), await tx.reports.outcomes(period)) == ({}, {})
            assert await tx.reports.outcomes(following) == {
                library.id: {Status.APPROVED: 1},
                None: {Status.APPROVED: 1},
            }

    async def test_outcomes_are_those_of_the_first_round(
        self, db: Database, library: Library, day: datetime, period: Period
    ) -> None:
        public = await through(db, library, day, decision=1, filing=2)
        await through(db, library, day, decision=1, filing=2, verdict=Verdict.QUARANTINE)
        await decided(db, public, day + HOUR, Verdict.REJECT, by="person:ada", round=1)
        async with db.transaction() as tx:
            (await tx.media.get(public.id)).status = Status.REJECTED
        async with db.transaction() as tx:
            found = await tx.reports.outcomes(period)
            assert (await tx.reports.decided(period, objective=60))[library.id].person == Times()
        assert found[library.id] == {Status.APPROVED: 1, Status.QUARANTINED: 1}

    async def test_restrictions_are_of_any_round_and_not_of_broken_files(
        self, db: Database, library: Library, day: datetime, period: Period
    ) -> None:
        taken_down = await through(db, library, day - DAY, decision=1, filing=2)
        await decided(db, taken_down, day + HOUR, Verdict.QUARANTINE, by="person:ada", round=1)
        await through(db, library, day, decision=1, filing=2, verdict=Verdict.REJECT)
        malware = [{"code": "malware", "detail": "EICAR"}]
        await through(db, library, day, decision=1, filing=2, verdict=Verdict.QUARANTINE, by="gate", reasons=malware)
        broken = [{"code": "truncated_file", "detail": ""}]
        await through(db, library, day, decision=1, filing=2, verdict=Verdict.REJECT, by="gate", reasons=broken)
        async with db.transaction() as tx:
            assert await tx.reports.restrictions(period) == {library.id: 3, None: 3}

    async def test_who_waits_for_a_person(self, db: Database, library: Library, day: datetime) -> None:
        for hours in (1, 3):
            await accepted(db, library, day, status=Status.IN_REVIEW, updated_at=day + hours * HOUR)
        async with db.transaction() as tx:
            found = await tx.reports.waiting(library.id)
        assert found[library.id] == found[None] == Waiting(count=2, since=day + HOUR)

    async def test_what_vendors_did_on_the_days_of_the_period(
        self, db: Database, library: Library, day: datetime, period: Period
    ) -> None:
        hive, acme = (f"{name}-{uuid4().hex[:8]}" for name in ("b", "a"))
        rows = [(hive, day - DAY), (hive, day), (hive, day + DAY), (acme, day)]
        async with db.transaction() as tx:
            for vendor, at in rows:
                counted: dict[str, Any] = {"calls": 5, "failures": 2, "cached": 1, "cost_micros": 700}
                tx.session.add(VendorUsage(vendor=vendor, day=at.date(), library_id=library.id, **counted))
        async with db.transaction() as tx:
            found = await tx.reports.vendors([hive, acme], period)
            both = await tx.reports.vendors([hive], Period(since=day + HOUR, until=day + DAY + HOUR), library.id)
        use = {"calls": 5, "failures": 2, "cached": 1, "cost_micros": 700}
        assert found[library.id] == found[None] == [VendorUse(vendor=acme, **use), VendorUse(vendor=hive, **use)]
        assert [one.calls for one in both[library.id]] == [10]

    async def test_open_findings(self, db: Database, library: Library) -> None:
        scrub = Scrub()
        async with db.transaction() as tx:
            await tx.scrubs.begin(scrub)
            for kind in (FindingKind.MISSING, FindingKind.MISSING, FindingKind.UNTRACKED):
                await tx.scrubs.find(scrub.id, uuid4().hex, {"kind": kind, "library": library.slug})
            found = await tx.reports.open_findings()
            assert found[library.slug] == {"missing": 2, "untracked": 1}
            await tx.session.rollback()

    def test_an_empty_pace_is_none(self) -> None:
        assert Pace().alone == Times(count=0, p50=None, p95=None, within=0)
