"""The chains never fork, the database refuses to change them, and every question has its index."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from db.session import Database, Transaction
from db.tables import EvidenceAccess, EvidenceRecord, LegalHold, Library, Media, now
from mediagate.evidence.chain import START, Chain, break_at
from mediagate.evidence.keys import WrappedKey
from tests.db.test_repositories import asked, plans

Question = Callable[[Transaction, UUID], Awaitable[object]]

QUESTIONS: dict[str, tuple[Question, str]] = {
    "head": (lambda tx, _: tx.chains.head(EvidenceRecord), "uq_evidence_seq"),
    "head of the accesses": (lambda tx, _: tx.chains.head(EvidenceAccess), "uq_evidence_access_seq"),
    "next records": (lambda tx, _: tx.chains.after(EvidenceRecord, 5, limit=5), "uq_evidence_seq"),
    "next accesses": (lambda tx, _: tx.chains.after(EvidenceAccess, 5, limit=5), "uq_evidence_access_seq"),
    "of a round": (lambda tx, id_: tx.evidence.of_round(id_, 0), "uq_evidence_round"),
    "of an item": (lambda tx, id_: tx.evidence.of_media(id_), "uq_evidence_round"),
    "page": (lambda tx, id_: tx.evidence.page(id_, after=None, limit=5), "ix_evidence_page"),
    "page after a position": (lambda tx, id_: tx.evidence.page(id_, after=(now(), id_), limit=5), "ix_evidence_page"),
    "accesses": (lambda tx, id_: tx.evidence.accesses(id_, after=None, limit=5), "ix_evidence_access_page"),
    "hold": (lambda tx, id_: tx.evidence.hold(id_), "uq_legal_hold_active"),
    "held": (lambda tx, id_: tx.evidence.held([id_]), "uq_legal_hold_active"),
    "decisions": (lambda tx, id_: tx.decisions.of_media(id_), "uq_decision_round"),
}


@pytest.fixture
async def media(db: Database, library: Library) -> Media:
    item = Media(library_id=library.id, filename="a.jpg", content_type="image/jpeg", declared_bytes=1)
    async with db.transaction() as tx:
        tx.media.add(item)
    return item


def record(media: Media, **fields: Any) -> EvidenceRecord:
    """A record that is not in the chain yet."""
    values = {
        "round": 0,
        "verdict": "reject",
        "reason": "policy:nudity",
        "object_key": "records/x",
        "object_version": "1",
        "size": 1,
        "sha256": "a" * 64,
        "sealed_sha256": "b" * 64,
        "key_id": "k1",
        "wrapped_key": b"wrapped",
        "retain_until": now(),
    }
    return EvidenceRecord(media_id=media.id, library_id=media.library_id, **{**values, **fields})


async def append(db: Database, media: Media, **fields: Any) -> EvidenceRecord:
    async with db.transaction() as tx:
        return await tx.chains.append(record(media, **fields))


class TestChain:
    async def test_seals_at_the_same_time_never_fork_it(self, db: Database, media: Media) -> None:
        async with db.transaction() as tx:
            before = await tx.chains.head(EvidenceRecord)
        made = await asyncio.gather(*(append(db, media, round=number) for number in range(12)))
        assert sorted(row.seq for row in made) == list(range(before.seq + 1, before.seq + 13))
        async with db.transaction() as tx:
            rows = await tx.chains.after(EvidenceRecord, before.seq, limit=100)
        for row in rows:
            assert break_at(Chain.RECORDS, before, row.link, row.prev_hash, row.fields) is None
            before = row.link

    async def test_what_is_rolled_back_leaves_no_gap(self, db: Database, media: Media) -> None:
        first = await append(db, media)
        with pytest.raises(IntegrityError):
            await append(db, media)  # the same round
        second = await append(db, media, round=1)
        assert (second.seq, second.prev_hash) == (first.seq + 1, first.hash)

    async def test_both_chains_begin_at_one(self, db: Database, media: Media) -> None:
        async with db.transaction() as tx:
            for table in ("evidence_access", "evidence"):
                await tx.session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
                await tx.session.execute(text(f"DELETE FROM {table}"))
            assert await tx.chains.head(EvidenceRecord) == START
            row = await tx.chains.append(record(media))
            access = await tx.chains.append(
                EvidenceAccess(evidence_id=row.id, library_id=media.library_id, actor="ada", via="cli:ada", reason="r")
            )
            assert (row.seq, access.seq) == (1, 1)
            assert row.prev_hash == access.prev_hash == START.hash
            assert row.hash != access.hash
            await tx.session.rollback()


class TestRefusals:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE evidence SET reason = 'other' WHERE id = :id",
            "UPDATE evidence SET hash = repeat('0', 64) WHERE id = :id",
            "UPDATE evidence SET key_id = 'k2', seq = seq + 1000000 WHERE id = :id",
            "DELETE FROM evidence WHERE id = :id",
            "TRUNCATE evidence CASCADE",
            "UPDATE evidence_access SET actor = 'nobody' WHERE evidence_id = :id",
            "DELETE FROM evidence_access WHERE evidence_id = :id",
            "TRUNCATE evidence_access",
        ],
    )
    async def test_nothing_is_changed_or_deleted(self, db: Database, media: Media, statement: str) -> None:
        row = await append(db, media)
        async with db.transaction() as tx:
            await tx.chains.append(
                EvidenceAccess(evidence_id=row.id, library_id=media.library_id, actor="ada", via="cli:ada", reason="r")
            )
        with pytest.raises(DBAPIError, match="never changed or deleted"):
            async with db.transaction() as tx:
                await tx.session.execute(text(statement), {"id": row.id} if ":id" in statement else {})

    async def test_wrapped_keys_may_be_wrapped_anew(self, db: Database, media: Media) -> None:
        row = await append(db, media)
        async with db.transaction() as tx:
            assert await tx.evidence.wrap_anew(row, WrappedKey("k2", b"anew"))
            assert not await tx.evidence.wrap_anew(row, WrappedKey("k3", b"from what was read before"))
        async with db.transaction() as tx:
            found = await tx.evidence.get(row.id)
        assert found
        assert (found.key_id, found.wrapped_key, found.hash) == ("k2", b"anew", row.hash)


class TestHolds:
    async def test_one_at_a_time_and_the_first_stands(self, db: Database, media: Media) -> None:
        async with db.transaction() as tx:
            first = await tx.evidence.place_hold(LegalHold(media_id=media.id, reason="a", placed_by="ada"))
            again = await tx.evidence.place_hold(LegalHold(media_id=media.id, reason="b", placed_by="bob"))
            assert again.id == first.id
            assert await tx.evidence.held([media.id, uuid4()]) == {media.id}
        async with db.transaction() as tx:
            standing = await tx.evidence.hold(media.id)
            assert standing
            tx.evidence.release_hold(standing, by="ada", reason="over")
        async with db.transaction() as tx:
            assert await tx.evidence.hold(media.id) is None
            later = await tx.evidence.place_hold(LegalHold(media_id=media.id, reason="c", placed_by="ada"))
            assert later.id != first.id

    async def test_the_database_refuses_a_second(self, db: Database, media: Media) -> None:
        with pytest.raises(IntegrityError):
            async with db.transaction() as tx:
                tx.session.add_all([LegalHold(media_id=media.id, reason="a", placed_by="ada") for _ in range(2)])


class TestIndexes:
    @pytest.mark.parametrize("name", QUESTIONS)
    async def test_every_question_has_its_index(self, empty_db: Database, name: str) -> None:
        ask, index = QUESTIONS[name]
        async with asked(empty_db, ask, uuid4()) as (tx, statements):
            await tx.session.execute(text("SET LOCAL enable_seqscan = off"))
            for plan in await plans(tx, statements):
                assert index in plan, plan
