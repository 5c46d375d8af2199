"""What is counted side by side, who changes a breaker, and which index answers which question about vendors."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from db.repositories.vendors import Usage
from db.session import Database, Transaction
from db.tables import InboxEvent, InboxState, Library, Media, VendorResult, VendorSubmission, now
from tests.db.test_repositories import added, asked, plans

Question = Callable[[Transaction, UUID], Awaitable[object]]

QUESTIONS: dict[str, tuple[Question, str]] = {
    "whose reference": (lambda tx, _: tx.vendors.media_of("hive", "task-1"), "uq_vendor_submission_reference"),
    "a submission": (lambda tx, id_: tx.vendors.submission(id_, "hive"), "vendor_submission_pkey"),
    "health": (lambda tx, _: tx.vendors.health("hive"), "vendor_health_pkey"),
    "usage": (lambda tx, _: tx.vendors.usage(["hive"], since=now().date()), "vendor_usage_pkey"),
    "usage by day": (lambda tx, _: tx.vendors.daily_usage(["hive"], since=now().date()), "vendor_usage_pkey"),
    "old results": (lambda tx, _: tx.vendors.forget_results(now()), "ix_vendor_result_age"),
    "dead letters": (lambda tx, _: tx.inbox.page(InboxState.UNMATCHED, limit=5), "ix_inbox_page"),
    "dead letters of a vendor after a position": (
        lambda tx, id_: tx.inbox.page(InboxState.UNMATCHED, vendor="hive", after=(now(), id_), limit=5),
        "ix_inbox_vendor_page",
    ),
    "events by a reference": (lambda tx, id_: tx.inbox.claim("hive", "task-1", id_), "ix_inbox_reference"),
}


class TestIndexes:
    @pytest.mark.parametrize("name", QUESTIONS)
    async def test_every_question_has_its_index(self, empty_db: Database, name: str) -> None:
        ask, index = QUESTIONS[name]
        async with asked(empty_db, ask, uuid4()) as (tx, statements):
            await tx.session.execute(text("SET LOCAL enable_seqscan = off"))
            for plan in await plans(tx, statements):
                assert index in plan, plan


class TestSubmissions:
    async def test_what_a_vendor_looks_at_is_as_it_was_when_it_took_it(self, db: Database, library: Library) -> None:
        media, vendor = await added(db, library), uuid4().hex
        for content, taken in (("a", False), ("b", True), ("c", False)):
            async with db.transaction() as tx:
                row = await tx.vendors.begin(VendorSubmission(media_id=media.id, vendor=vendor, content=content))
                if taken:
                    await tx.vendors.took(row, "task", calls=2)
        assert (row.content, row.reference, row.calls) == ("b", "task", 2)

    async def test_no_reference_names_no_item(self, db: Database, library: Library) -> None:
        vendor = uuid4().hex
        for media in (await added(db, library), await added(db, library)):
            async with db.transaction() as tx:
                await tx.vendors.took(
                    await tx.vendors.begin(VendorSubmission(media_id=media.id, vendor=vendor)), "", calls=1
                )
        async with db.transaction() as tx:
            assert await tx.vendors.media_of(vendor, "") is None


class TestHealth:
    async def test_two_who_change_it_do_so_one_after_the_other(self, db: Database) -> None:
        vendor = uuid4().hex

        async def fail() -> None:
            async with db.transaction() as tx:
                health = await tx.vendors.health(vendor, lock=True)
                health.failures += 1

        await asyncio.gather(*(fail() for _ in range(8)))
        async with db.transaction() as tx:
            assert (await tx.vendors.health(vendor)).failures == 8

    async def test_who_only_looks_waits_for_nobody(self, db: Database) -> None:
        vendor = uuid4().hex
        async with db.transaction() as one, db.transaction() as other:
            await one.vendors.health(vendor, lock=True)
            await other.session.execute(text("SET LOCAL statement_timeout = '1s'"))
            assert (await other.vendors.health(vendor)).breaker.clean


class TestUsage:
    async def test_it_adds_up_by_vendor_and_day(self, db: Database, library: Library) -> None:
        one, other = uuid4().hex, uuid4().hex
        async with db.transaction() as tx:
            await tx.vendors.count(one, library.id, calls=1, cost_micros=10)
            await tx.vendors.count(one, library.id, calls=1, failures=1)
            await tx.vendors.count(one, library.id, cached=1)
            await tx.vendors.count(other, library.id, calls=1)
        async with db.transaction() as tx:
            assert await tx.vendors.usage([one, other, "none"], since=now().date()) == {
                one: Usage(calls=2, failures=1, cached=1, cost_micros=10),
                other: Usage(calls=1),
                "none": Usage(),
            }
            assert (await tx.vendors.usage([one], since=now().date() + timedelta(days=1)))[one] == Usage()
            (day,) = await tx.vendors.daily_usage([other], since=now().date())
        assert (day.day, day.vendor, day.library, day.usage) == (now().date(), other, library.slug, Usage(calls=1))

    async def test_libraries_do_not_wait_for_each_other(self, db: Database, library: Library) -> None:
        vendor = uuid4().hex
        async with db.transaction() as tx:
            neighbour = await tx.access.ensure_library(f"other-{uuid4().hex[:8]}", name="Other", settings={})
        async with db.transaction() as one, db.transaction() as other:
            await one.vendors.count(vendor, library.id, calls=1)
            await other.session.execute(text("SET LOCAL statement_timeout = '1s'"))
            await other.vendors.count(vendor, neighbour.id, calls=1)

    async def test_nothing_is_lost_among_many(self, db: Database, library: Library) -> None:
        vendor = uuid4().hex

        async def call() -> None:
            async with db.transaction() as tx:
                await tx.vendors.count(vendor, library.id, calls=1)

        await asyncio.gather(*(call() for _ in range(20)))
        async with db.transaction() as tx:
            assert (await tx.vendors.usage([vendor], since=now().date()))[vendor].calls == 20


class TestResults:
    async def test_old_ones_are_forgotten(self, db: Database, library: Library) -> None:
        media, vendor = await added(db, library), uuid4().hex
        async with db.transaction() as tx:
            for content, age in (("old", 3), ("new", 1)):
                tx.session.add(result(media, vendor, content, age=timedelta(days=age)))
        async with db.transaction() as tx:
            await tx.vendors.forget_results(now() - timedelta(days=2))
        async with db.transaction() as tx:
            found = [
                await tx.session.get(VendorResult, (vendor, "m", library.id, content)) for content in ("old", "new")
            ]
        assert [row is not None for row in found] == [False, True]


class TestInbox:
    async def test_pages_are_complete_and_of_one_vendor_and_state(self, db: Database) -> None:
        vendor, moment = uuid4().hex, now()
        async with db.transaction() as tx:
            for number in range(7):
                for state in (InboxState.UNMATCHED, InboxState.LATE):
                    await tx.inbox.store(
                        event(vendor, state=state, received_at=moment - timedelta(seconds=number // 3))
                    )
            await tx.inbox.store(event(uuid4().hex, state=InboxState.UNMATCHED, received_at=moment))
        seen: list[InboxEvent] = []
        after = None
        while True:
            async with db.transaction() as tx:
                page = await tx.inbox.page(InboxState.UNMATCHED, vendor=vendor, after=after, limit=2)
            if not page:
                break
            seen += page
            after = (page[-1].received_at, page[-1].id)
        assert len({row.id for row in seen}) == len(seen) == 7
        assert {(row.vendor, row.state) for row in seen} == {(vendor, InboxState.UNMATCHED)}
        assert seen == sorted(seen, key=lambda row: (row.received_at, row.id), reverse=True)

    async def test_what_is_settled_stays_so(self, db: Database) -> None:
        row = event(uuid4().hex)
        for state in (InboxState.DELIVERED, InboxState.UNMATCHED):
            async with db.transaction() as tx:
                await tx.inbox.store(row)
                await tx.inbox.settle(row.id, state)
        async with db.transaction() as tx:
            found = await tx.inbox.get(row.id)
        assert found
        assert found.state is InboxState.DELIVERED


def event(vendor: str, **fields: Any) -> InboxEvent:
    """An event that names no item."""
    return InboxEvent(vendor=vendor, event_id=uuid4().hex, body=b"", **fields)


def result(media: Media, vendor: str, content: str, *, age: timedelta) -> VendorResult:
    """A kept result."""
    stored = now() - age
    return VendorResult(
        vendor=vendor,
        model_version="m",
        library_id=media.library_id,
        content=content,
        media_id=media.id,
        occurred_at=stored,
        stored_at=stored,
    )
