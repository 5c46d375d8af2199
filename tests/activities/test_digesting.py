"""Digests: who is told of which period, once, and of what."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from activities.digesting import Digesting, reports
from activities.vendor_calls import switch
from db import migrate
from db.session import Database
from db.tables import Library, Notification, Scrub, ScrubState, VendorUsage, now
from mediagate.media.reports import Report, VendorUse, day_before
from mediagate.media.values import Status, Verdict
from mediagate.settings import Settings
from mediagate.vendors.breaker import BreakerState
from tests.activities.steps import Steps, perform
from tests.reports import a_day, accepted, digests, through
from tests.vendors import CountedVendor, settings_of
from workflows.report_messages import DigestInput, DigestResult

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def day() -> datetime:
    return a_day()


@pytest.fixture(scope="module")
async def own(stack_settings: Settings) -> AsyncIterator[Database]:
    """A migrated database of these tests alone: nobody else's items wait in it, so what is told is known."""
    url, name = stack_settings.database_url.get_secret_value(), f"digests_{uuid4().hex[:8]}"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f'CREATE DATABASE "{name}"'.encode())
        address = f"{url.rpartition('/')[0]}/{name}"
        await asyncio.to_thread(migrate.upgrade, address)
        database = Database(address, pool_size=1)
        yield database
        await database.close()
        await connection.execute(f'DROP DATABASE "{name}"'.encode())


@pytest.fixture
def telling(steps: Steps, own: Database) -> Steps:
    """Activities over that database."""
    return steps.over(db=own)


async def a_library(db: Database) -> Library:
    async with db.transaction() as tx:
        return await tx.access.ensure_library(f"lib-{uuid4().hex[:8]}", name="Test", settings={})


async def digest(steps: Steps, day: datetime) -> DigestResult:
    """The digest of a day, on the morning after."""
    return await perform(Digesting(steps.deps).write_digest, DigestInput(at=day + DAY + 6 * HOUR))


class TestTelling:
    async def test_of_the_deployment_and_of_each_library_that_did_anything(
        self, telling: Steps, own: Database, day: datetime
    ) -> None:
        library, quiet = await a_library(own), await a_library(own)
        for seconds in (2, 4):
            await through(own, library, day + HOUR, decision=seconds, filing=seconds + 1)
        await through(own, quiet, day - 3 * DAY, decision=1, filing=2)
        result = await digest(telling, day)
        assert (result.period, result.told) == (f"{day:%Y-%m-%d}", 2)
        (mine,), (whole,) = await digests(own, library, day), await digests(own, None, day)
        assert mine.subject == f"Digest of {library.slug}: {day:%Y-%m-%d}"
        assert "  Accepted: 2" in mine.body.splitlines()
        assert "  Decided without a person: 2: half in 3 s, 95 % in 3.9 s, 100.0 % within the objective" in mine.body
        assert whole.subject == f"Digest of the whole deployment: {day:%Y-%m-%d}"
        assert {(note.by_mail, note.mailed_at) for note in (mine, whole)} == {(True, None)}
        assert await digests(own, quiet, day) == []

    async def test_once_however_often_it_runs_and_whatever_changed_since(
        self, telling: Steps, own: Database, day: datetime
    ) -> None:
        library, other = await a_library(own), await a_library(own)
        await accepted(own, library, day)
        first = await digest(telling, day)
        await accepted(own, other, day)
        again = await digest(telling, day)
        assert (first.told, again.told) == (2, 0)
        assert (len(await digests(own, library, day)), await digests(own, other, day)) == (1, [])

    async def test_by_two_at_the_same_time_once(self, telling: Steps, own: Database, day: datetime) -> None:
        await accepted(own, await a_library(own), day)
        found = await asyncio.gather(digest(telling, day), digest(telling, day))
        assert sorted(one.told for one in found) == [0, 2]

    async def test_where_nothing_happened_nobody(self, telling: Steps, own: Database, day: datetime) -> None:
        assert (await digest(telling, day)).told == 0
        await accepted(own, await a_library(own), day)
        assert (await digest(telling, day)).told == 2

    async def test_of_mails_that_are_just_about_to_go_nobody(
        self, telling: Steps, own: Database, day: datetime
    ) -> None:
        note: dict[str, Any] = {"kind": "system_alert", "subject": "s", "body": "b"}
        async with own.transaction() as tx:
            await tx.notifications.put(Notification(key=uuid4().hex, **note))
        assert (await digest(telling, day)).told == 0
        async with own.transaction() as tx:
            old = await tx.notifications.put(Notification(key=uuid4().hex, created_at=now() - HOUR, **note))
        assert (await digest(telling, day)).told == 1
        async with own.transaction() as tx:
            await tx.notifications.end_mail(old.id, sent=True)

    async def test_of_a_week(self, telling: Steps, own: Database, day: datetime) -> None:
        monday, library = day - day.weekday() * DAY, await a_library(own)
        for days in (-1, 0, 6, 7):
            await accepted(own, library, monday + days * DAY)
        later = monday + 9 * DAY  # triggered by hand on a Wednesday
        await perform(Digesting(telling.deps).write_digest, DigestInput(at=later, weekly=True))
        (mine,) = await digests(own, library, monday)
        assert mine.subject.endswith(f": {monday:%Y-%m-%d} to {monday + 6 * DAY:%Y-%m-%d}")
        assert "  Accepted: 2" in mine.body.splitlines()


class TestReports:
    async def test_of_a_library(self, steps: Steps, db: Database, library: Library, day: datetime) -> None:
        await through(db, library, day, decision=10, filing=20, verdict=Verdict.REJECT)
        await accepted(db, library, day, status=Status.IN_REVIEW, updated_at=day + HOUR)
        vendor = steps.deps.settings.vendor_name
        async with db.transaction() as tx:
            tx.session.add(VendorUsage(vendor=vendor, day=day.date(), library_id=library.id, calls=3, cost_micros=9))
        (found,) = await made(steps, db, day, library)
        assert (found.library, found.accepted, found.filed) == (library.slug, 2, {Status.REJECTED: 1})
        assert (found.restrictions, found.waiting.count, found.waiting.since) == (1, 1, day + HOUR)
        assert found.decision.alone.p50 == 10
        assert found.vendors == (VendorUse(vendor=vendor, calls=3, cost_micros=9),)
        assert (found.objective, found.scrub, found.owed) == (steps.deps.settings.sla_seconds, None, {})

    async def test_of_the_deployment_with_what_only_it_has(
        self, steps: Steps, db: Database, library: Library, day: datetime
    ) -> None:
        vendor = CountedVendor()
        await switch(db, vendor.name, BreakerState.OPEN, by="ada")
        settings = steps.deps.settings.model_copy(update=settings_of(vendor))
        await accepted(db, library, day, started_at=None, status=Status.ACCEPTED)
        async with db.transaction() as tx:
            scrub = Scrub(started_at=now() + DAY, ended_at=now(), state=ScrubState.COMPLETED, missing=2, repaired=1)
            running = Scrub(started_at=now() + 2 * DAY)
            of_a_library = Scrub(started_at=now() + 3 * DAY, library_id=library.id, state=ScrubState.COMPLETED)
            tx.session.add_all([scrub, running, of_a_library])
            await tx.session.flush()
            (owner, whole), *_ = await reports(tx, settings, day_before(day + DAY))
            await tx.session.rollback()
        assert (owner, whole.library, whole.accepted) == (None, None, 1)
        assert whole.vendor_trouble == {vendor.name: "switched off by ada"}
        assert whole.scrub
        assert (whole.scrub.missing, whole.scrub.lost) == (2, 1)
        assert whole.owed["starts"] > 0
        async with db.transaction() as tx:  # out of the way of other tests' sweeps
            (item,) = await tx.media.page(library.id, status=None, q=None, after=None, limit=2)
            await tx.media.mark_started(item.id, "run")


async def made(steps: Steps, db: Database, day: datetime, library: Library) -> list[Report]:
    async with db.transaction() as tx:
        return [one for _, one in await reports(tx, steps.deps.settings, day_before(day + DAY), library)]
