"""What may be there only once, in which order pages come, and by which index each question is answered."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.session import Database, Transaction
from db.tables import Batch, InboxEvent, Library, Media, MediaDecision, Notification, now
from mediagate.media.values import Status

Question = Callable[[Transaction, UUID], Awaitable[object]]

QUESTIONS: dict[str, tuple[Question, str]] = {
    "owed a start": (lambda tx, _: tx.media.owed_a_start(now(), 5), "ix_media_owed_start"),
    "expiring": (lambda tx, _: tx.media.expiring(now(), 5), "ix_media_expiring"),
    "batch counts": (lambda tx, id_: tx.media.batch_counts(id_), "ix_media_batch"),
    "timeline": (lambda tx, id_: tx.media.timeline(id_), "uq_media_event_key"),
    "variants": (lambda tx, id_: tx.media.variants(id_), "variant_pkey"),
    "final decision": (lambda tx, id_: tx.decisions.final(id_), "uq_decision_round"),
    "latest decision": (lambda tx, id_: tx.decisions.latest(id_), "uq_decision_round"),
    "inbox: waiting": (lambda tx, _: tx.inbox.waiting(now(), 5), "ix_inbox_page"),
    "inbox: of an item": (lambda tx, id_: tx.inbox.of_media(id_), "ix_inbox_media"),
    "notifications: page": (lambda tx, id_: tx.notifications.page(id_, after=None, limit=5), "ix_notification_page"),
    "notifications: unmailed": (lambda tx, _: tx.notifications.unmailed(now(), 5), "ix_notification_unmailed"),
    "notifications: of an item": (lambda tx, id_: tx.notifications.of_media(id_), "ix_notification_media"),
    "census: owed starts": (lambda tx, _: tx.census.owed_starts(), "ix_media_owed_start"),
    "census: events": (lambda tx, _: tx.census.undelivered_events(), "ix_inbox_"),
    "census: dead letters": (lambda tx, _: tx.census.dead_letters(), "ix_inbox_"),
    "census: unmailed": (lambda tx, _: tx.census.unmailed(), "ix_notification_unmailed"),
    "census: reviews": (lambda tx, _: tx.census.standing(Status.IN_REVIEW), "ix_media_library_status_page"),
    "opening decision": (lambda tx, id_: tx.decisions.opening(id_), "uq_decision_round"),
    "old requests": (lambda tx, _: tx.access.forget_requests(now()), "ix_idempotent_request_age"),
}
LARGE: dict[str, tuple[Question, str]] = {
    "page": (
        lambda tx, id_: tx.media.page(id_, status=None, q=None, after=None, limit=5),
        "ix_media_library_page",
    ),
    "page after a position": (
        lambda tx, id_: tx.media.page(id_, status=None, q=None, after=(now(), id_), limit=5),
        "ix_media_library_page",
    ),
    "page by status": (
        lambda tx, id_: tx.media.page(id_, status=Status.APPROVED, q=None, after=None, limit=5),
        "ix_media_library_status_page",
    ),
    "page by tag": (
        lambda tx, id_: tx.media.page(id_, status=None, q=None, after=None, limit=5, tag="sunset"),
        "ix_media_tags",
    ),
    "page by category": (
        lambda tx, id_: tx.media.page(id_, status=None, q=None, after=None, limit=5, category="boats"),
        "ix_media_category_page",
    ),
    "search by file name": (
        lambda tx, id_: tx.media.page(id_, status=None, q="sunset", after=None, limit=5),
        "ix_media_filename",
    ),
}
"""Asked of a library of 5000 items: which of several indexes is taken depends on what there is."""

MANY = """
    INSERT INTO media (id, library_id, status, reason, detail, filename, content_type, declared_bytes, facts, caption,
                       tracking_id, vendor_reference, created_at, updated_at, tags, category)
    SELECT gen_random_uuid(), :library, CASE WHEN n % 50 = 0 THEN 'approved' ELSE 'rejected' END, '', '',
           md5(n::text) || '.jpg', 'image/jpeg', 1, '{}', '', '', '',
           now() - n * interval '1 second', now(),
           CASE WHEN n % 50 = 1 THEN ARRAY['lake', 'sunset'] WHEN n % 2 = 0 THEN ARRAY['lake'] ELSE '{}' END,
           CASE WHEN n % 50 = 2 THEN 'boats' WHEN n % 2 = 0 THEN 'people' ELSE '' END
    FROM generate_series(1, 5000) AS n
"""


class TestIndexes:
    @pytest.mark.parametrize("name", QUESTIONS)
    async def test_every_question_has_its_index(self, empty_db: Database, name: str) -> None:
        ask, index = QUESTIONS[name]
        async with asked(empty_db, ask, uuid4()) as (tx, statements):
            # A table of a few rows is always read whole: this asks what the planner could do, not what it prefers.
            await tx.session.execute(text("SET LOCAL enable_seqscan = off"))
            for plan in await plans(tx, statements):
                assert index in plan, plan

    @pytest.mark.parametrize("name", LARGE)
    async def test_pages_of_a_large_library_read_few_of_its_rows(
        self, db: Database, library: Library, name: str
    ) -> None:
        ask, index = LARGE[name]
        async with asked(db, ask, library.id) as (tx, statements):
            await tx.session.execute(text(MANY), {"library": library.id})
            # What autovacuum does in time.
            await tx.session.execute(text("SELECT gin_clean_pending_list('ix_media_filename')"))
            await tx.session.execute(text("SELECT gin_clean_pending_list('ix_media_tags')"))
            await tx.session.execute(text("ANALYZE media"))
            (plan,) = await plans(tx, statements)
            await tx.session.rollback()
        assert index in plan, plan


class TestOnce:
    async def test_a_vendors_event_id(self, db: Database) -> None:
        one, vendor = uuid4().hex, uuid4().hex
        async with db.transaction() as tx:
            assert await tx.inbox.store(InboxEvent(vendor=vendor, event_id=one, body=b"1"))
            assert not await tx.inbox.store(InboxEvent(vendor=vendor, event_id=one, body=b"2"))
            assert await tx.inbox.store(InboxEvent(vendor=f"{vendor}-2", event_id=one, body=b"3"))

    async def test_a_final_decision_of_a_round(self, db: Database, media: Media) -> None:
        async with db.transaction() as tx:
            first = await tx.decisions.record(decision(media, "approve"))
            assert (await tx.decisions.record(decision(media, "reject"))).id == first.id
            opened = await tx.decisions.record(decision(media, "review", final=False))
            later = await tx.decisions.record(decision(media, "reject", round=1))
            assert len({first.id, opened.id, later.id}) == 3
            latest = await tx.decisions.latest(media.id)
        assert latest
        assert latest.id == later.id

    async def test_a_notification_of_a_kind(self, db: Database, library: Library) -> None:
        key = uuid4().hex
        async with db.transaction() as tx:
            first = await tx.notifications.put(notification(library, key, "first"))
            assert (await tx.notifications.put(notification(library, key, "second"))).subject == "first"
            assert first.key == key

    async def test_a_line_of_the_timeline(self, db: Database, media: Media) -> None:
        async with db.transaction() as tx:
            for number in range(3):
                await tx.media.record(media.id, "verified", "verified", {"number": number})
            lines = await tx.media.timeline(media.id)
        assert [line.data for line in lines] == [{"number": 0}]

    async def test_a_librarys_slug(self, db: Database) -> None:
        slug = f"lib-{uuid4().hex[:8]}"
        async with db.transaction() as tx:
            first = await tx.access.ensure_library(slug, name="First", settings={})
            second = await tx.access.ensure_library(slug, name="Second", settings={"a": 1})
        assert (first.id, second.name, second.settings) == (second.id, "First", {})

    async def test_the_note_that_a_run_was_started(self, db: Database, media: Media) -> None:
        async with db.transaction() as tx:
            await tx.media.mark_started(media.id, "first")
            await tx.media.mark_started(media.id, "second")
        async with db.transaction() as tx:
            assert (await tx.media.get(media.id)).run_id == "first"


class TestPages:
    async def test_are_complete_and_without_repeats_while_rows_are_added(self, db: Database, library: Library) -> None:
        moment = now()
        # Several rows share a time: only the id tells them apart.
        old = [await added(db, library, created_at=moment - timedelta(seconds=n // 4)) for n in range(20)]
        seen: list[UUID] = []
        after = None
        while True:
            async with db.transaction() as tx:
                page = await tx.media.page(library.id, status=None, q=None, after=after, limit=3)
            if not page:
                break
            seen += [row.id for row in page]
            after = (page[-1].created_at, page[-1].id)
            await added(db, library, created_at=moment + timedelta(seconds=len(seen)))
        assert len(seen) == len(set(seen)) == 20
        assert set(seen) == {row.id for row in old}
        assert seen == [row.id for row in sorted(old, key=lambda row: (row.created_at, row.id), reverse=True)]

    async def test_of_notifications_are_complete_as_well(self, db: Database, library: Library) -> None:
        moment = now()
        for number in range(7):
            async with db.transaction() as tx:
                await tx.notifications.put(notification(library, uuid4().hex, str(number), created_at=moment))
        seen: list[UUID] = []
        after = None
        for _ in range(4):
            async with db.transaction() as tx:
                page = await tx.notifications.page(library.id, after=after, limit=2)
            seen += [row.id for row in page]
            after = (page[-1].created_at, page[-1].id)
        assert len(seen) == len(set(seen)) == 7

    async def test_of_one_library_hold_nothing_of_another(self, db: Database, library: Library) -> None:
        async with db.transaction() as tx:
            other = await tx.access.ensure_library(f"lib-{uuid4().hex[:8]}", name="Other", settings={})
        await added(db, other)
        mine = await added(db, library)
        async with db.transaction() as tx:
            page = await tx.media.page(library.id, status=None, q=None, after=None, limit=9)
        assert [row.id for row in page] == [mine.id]

    @pytest.mark.parametrize(("q", "found"), [("SUN", True), ("100%", True), ("1_0", False), ("moon", False)])
    async def test_a_search_takes_its_words_literally(
        self, db: Database, library: Library, q: str, found: bool
    ) -> None:
        await added(db, library, filename="Sunset 100%.jpg")
        async with db.transaction() as tx:
            page = await tx.media.page(library.id, status=None, q=q, after=None, limit=9)
        assert bool(page) is found


class TestQuestions:
    async def test_a_batch_is_counted_by_status(self, db: Database, library: Library) -> None:
        batch = Batch(library_id=library.id, files=3)
        async with db.transaction() as tx:
            tx.session.add(batch)
        for status in (Status.APPROVED, Status.APPROVED, Status.FAILED):
            await added(db, library, batch_id=batch.id, status=status)
        async with db.transaction() as tx:
            assert await tx.media.batch_counts(batch.id) == {Status.APPROVED: 2, Status.FAILED: 1}

    async def test_a_start_is_owed_from_acceptance_until_it_is_noted(self, db: Database, library: Library) -> None:
        minute_ago = now() - timedelta(minutes=1)
        owed = await added(db, library, status=Status.ACCEPTED, accepted_at=minute_ago)
        await added(db, library, status=Status.ACCEPTED, accepted_at=minute_ago, started_at=now())
        await added(db, library)
        async with db.transaction() as tx:
            rows = await tx.media.owed_a_start(now() - timedelta(seconds=20), 500)
            await tx.media.mark_started(owed.id, "run")
        assert [row.id for row, of in rows if of.id == library.id] == [owed.id]


@pytest.fixture
async def media(db: Database, library: Library) -> Media:
    """A row."""
    return await added(db, library)


async def added(db: Database, library: Library, **fields: Any) -> Media:
    """A new row, committed."""
    row = Media(library_id=library.id, filename="a.jpg", content_type="image/jpeg", declared_bytes=1)
    row.sqlmodel_update(fields)
    async with db.transaction() as tx:
        tx.media.add(row)
    return row


def decision(media: Media, verdict: str, *, final: bool = True, **fields: Any) -> MediaDecision:
    """A decision on the row."""
    return MediaDecision(
        media_id=media.id, final=final, verdict=verdict, policy_version="p", decided_by="policy", **fields
    )


def notification(library: Library, key: str, subject: str, **fields: Any) -> Notification:
    """A notification that owes no mail."""
    return Notification(
        library_id=library.id, key=key, kind="upload_failed", subject=subject, body="…", mailed_at=now(), **fields
    )


async def plans(tx: Transaction, statements: list[tuple[str, Any]]) -> list[str]:
    """How the planner would answer each statement now."""
    connection = await tx.session.connection()
    answers = [await connection.exec_driver_sql(f"EXPLAIN {sql}", parameters) for sql, parameters in statements]
    return ["\n".join(row[0] for row in answer) for answer in answers]


@asynccontextmanager
async def asked(db: Database, ask: Question, about: UUID) -> AsyncIterator[tuple[Transaction, list[tuple[str, Any]]]]:
    """A transaction in which a question was asked, with the statements that it took."""
    statements: list[tuple[str, Any]] = []

    def keep(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        statements.append((statement, parameters))

    async with db.transaction() as tx:
        session: AsyncSession = tx.session
        engine = session.sync_session.get_bind().engine
        event.listen(engine, "before_cursor_execute", keep)
        try:
            await ask(tx, about)
        finally:
            event.remove(engine, "before_cursor_execute", keep)
        yield tx, list(statements)
