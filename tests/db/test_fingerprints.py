"""Duplicates are found whole and inside one library only."""

from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from db.session import Database
from db.tables import Library, Media, now
from mediagate.media.fingerprints import BITS, FARTHEST, Form, dihedral, distance
from tests.db.test_repositories import added, asked, plans

MANY = """
    WITH made AS (
        INSERT INTO media (id, library_id, status, reason, detail, filename, content_type, declared_bytes, facts,
                           caption, tracking_id, vendor_reference, created_at, updated_at)
        SELECT gen_random_uuid(), :library, 'approved', '', '', n || '.jpg', 'image/jpeg', 1, '{}', '', '', '',
               now(), now()
        FROM generate_series(1, 20000) AS n
        RETURNING id, library_id
    )
    INSERT INTO fingerprint (media_id, library_id, phash)
    SELECT id, library_id, hashtextextended(id::text, 1) FROM made
"""


def apart(fingerprint: int, bits: int, random: Random) -> int:
    """Another fingerprint at exactly that distance."""
    return fingerprint ^ sum(1 << bit for bit in random.sample(range(BITS), bits))


async def pictured(db: Database, library: Library, phash: int, **fields: Any) -> UUID:
    """A new item with a fingerprint."""
    media = await added(db, library, **fields)
    async with db.transaction() as tx:
        await tx.fingerprints.put(media.id, library.id, phash)
    return media.id


async def other(db: Database) -> Library:
    """Another tenant."""
    async with db.transaction() as tx:
        return await tx.access.ensure_library(f"lib-{uuid4().hex[:12]}", name="Other", settings={})


class TestNear:
    async def test_all_within_the_distance_and_nobody_else(self, db: Database, library: Library) -> None:
        random = Random(1)
        phash = random.getrandbits(BITS)
        planted = {
            await pictured(db, library, apart(phash, bits, random)): bits for bits in range(13) for _ in range(3)
        }
        for most in (0, 3, FARTHEST):
            async with db.transaction() as tx:
                found = await tx.fingerprints.near(library.id, phash, distance=most, limit=100)
            assert {near.media.id: near.distance for near in found} == {
                media_id: bits for media_id, bits in planted.items() if bits <= most
            }
            assert [near.distance for near in found] == sorted(near.distance for near in found)

    async def test_agrees_with_looking_at_every_one(self, db: Database, library: Library) -> None:
        random = Random(2)
        # Eight bits vary, so that many are near each other.
        stored = {await pictured(db, library, apart(0xF0F0_1234_5678_9ABC, n % 12, random)): n for n in range(60)}
        async with db.transaction() as tx:
            everyone = {media_id: await tx.fingerprints.get(media_id) for media_id in stored}
            for media_id, phash in everyone.items():
                assert phash is not None
                found = await tx.fingerprints.near(library.id, phash, limit=100, besides=[media_id])
                wanted = {
                    other: min(distance(form, there) for form in dihedral(phash))
                    for other, there in everyone.items()
                    if there is not None and other != media_id
                }
                assert {near.media.id: near.distance for near in found} == {
                    other: bits for other, bits in wanted.items() if bits <= FARTHEST
                }

    @pytest.mark.parametrize("form", list(Form))
    async def test_a_turned_picture_is_found_with_its_form(self, db: Database, library: Library, form: Form) -> None:
        random = Random(form.value)
        phash = random.getrandbits(BITS)
        turned = dict(zip(Form, dihedral(phash), strict=True))[form]
        media_id = await pictured(db, library, apart(turned, 3, random))
        async with db.transaction() as tx:
            (found,) = await tx.fingerprints.near(library.id, phash, limit=9)
        assert (found.media.id, found.distance, found.form) == (media_id, 3, form)

    async def test_the_nearest_come_first_when_there_are_too_many(self, db: Database, library: Library) -> None:
        random = Random(3)
        phash = random.getrandbits(BITS)
        for bits in (5, 1, 8, 0, 2):
            await pictured(db, library, apart(phash, bits, random))
        async with db.transaction() as tx:
            found = await tx.fingerprints.near(library.id, phash, limit=3)
        assert [near.distance for near in found] == [0, 1, 2]

    async def test_other_libraries_are_not_searched(self, db: Database, library: Library) -> None:
        phash = Random(4).getrandbits(BITS)
        mine = await pictured(db, library, phash)
        theirs = await other(db)
        await pictured(db, theirs, phash)
        async with db.transaction() as tx:
            assert [near.media.id for near in await tx.fingerprints.near(library.id, phash, limit=9)] == [mine]
            assert await tx.fingerprints.near(uuid4(), phash, limit=9) == []

    async def test_what_the_bands_cannot_find_is_not_asked(self, db: Database, library: Library) -> None:
        async with db.transaction() as tx:
            for bits in (-1, FARTHEST + 1):
                with pytest.raises(ValueError, match="at most 8 bits"):
                    await tx.fingerprints.near(library.id, 1, distance=bits, limit=1)

    async def test_reads_its_four_indexes_and_not_the_table(self, db: Database, library: Library) -> None:
        async with asked(db, lambda tx, id_: tx.fingerprints.near(id_, 12345, limit=9), library.id) as (tx, said):
            await tx.session.execute(text(MANY), {"library": library.id})
            await tx.session.execute(text("ANALYZE fingerprint"))
            await tx.session.execute(text("ANALYZE media"))
            (plan,) = await plans(tx, said)
            await tx.session.rollback()
        for number in range(4):
            assert f"Index Only Scan using ix_fingerprint_band{number}" in plan, plan
        assert "Scan on fingerprint" not in plan, plan
        assert "Scan on media" not in plan, plan


class TestPut:
    @pytest.mark.parametrize("phash", [0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
    async def test_every_value_comes_back(self, db: Database, library: Library, phash: int) -> None:
        media_id = await pictured(db, library, phash)
        async with db.transaction() as tx:
            assert await tx.fingerprints.get(media_id) == phash
            (found,) = await tx.fingerprints.near(library.id, phash, limit=9)
        assert (found.media.id, found.distance, found.form) == (media_id, 0, Form.IDENTITY)

    async def test_the_last_one_stands_and_none_takes_it_away(self, db: Database, library: Library) -> None:
        media_id = await pictured(db, library, 1)
        async with db.transaction() as tx:
            for phash in (2, 2, 3, None, None, 4):
                await tx.fingerprints.put(media_id, library.id, phash)
                assert await tx.fingerprints.get(media_id) == phash


class TestExact:
    async def test_the_same_bytes_newest_first(self, db: Database, library: Library) -> None:
        digest = uuid4().hex
        first = await added(db, library, sha256=digest, accepted_at=now())
        later = [await added(db, library, sha256=digest, accepted_at=now()) for _ in range(3)]
        await added(db, library, sha256=uuid4().hex, accepted_at=now())
        await added(db, await other(db), sha256=digest, accepted_at=now())
        async with db.transaction() as tx:
            found = await tx.fingerprints.exact(first, limit=9)
            assert [row.id for row in found] == [row.id for row in later[::-1]]
            assert [row.id for row in await tx.fingerprints.exact(first, limit=1)] == [later[-1].id]

    async def test_a_digest_that_was_only_announced_is_no_proof(self, db: Database, library: Library) -> None:
        digest = uuid4().hex
        accepted = await added(db, library, sha256=digest, accepted_at=now())
        announced = await added(db, library, sha256=digest)
        async with db.transaction() as tx:
            assert await tx.fingerprints.exact(accepted, limit=9) == []
            assert await tx.fingerprints.exact(announced, limit=9) == []

    async def test_has_its_index(self, db: Database, library: Library) -> None:
        media = Media(library_id=library.id, filename="", content_type="", declared_bytes=1, accepted_at=now())
        media.sha256 = uuid4().hex
        async with asked(db, lambda tx, _: tx.fingerprints.exact(media, limit=9), library.id) as (tx, said):
            await tx.session.execute(text(MANY), {"library": library.id})
            await tx.session.execute(text("ANALYZE media"))
            (plan,) = await plans(tx, said)
            await tx.session.rollback()
        assert "ix_media_library_sha256" in plan, plan
