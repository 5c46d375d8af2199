"""What banks find, whose they are, and how an entry that hits too often is held back."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text, update
from sqlmodel import col

from db.repositories.banks import Found, Recorded
from db.session import Database, Transaction
from db.tables import Bank, BankEntry, BankMatch, Library, Media, now
from mediagate.errors import Conflict, NotFound
from mediagate.media.fingerprints import BITS, FARTHEST, Form, dihedral, distance
from mediagate.media.values import Verdict
from mediagate.moderation.banks import EntryKind, EntryState, KnownHash, Polarity
from tests.db.test_fingerprints import apart, other
from tests.db.test_repositories import added, asked, plans

MANY = """
    INSERT INTO bank_entry (id, bank_id, kind, value, phash, state, note, source, added_by, added_at, floods,
                            reviewed_by)
    SELECT gen_random_uuid(), :bank, 'phash', md5(n::text), hashtextextended(n::text, 1), 'active', '', '', '',
           now() - n * interval '1 second', 0, ''
    FROM generate_series(1, 20000) AS n
"""


async def made(db: Database, library: Library | None, **fields: Any) -> Bank:
    """A bank that reaches as far as it can."""
    values: dict[str, Any] = {
        "action": Verdict.REJECT,
        "category": "gore",
        "distance": FARTHEST,
        "name": f"bank-{uuid4().hex[:8]}",
    }
    bank = Bank(library_id=library.id if library else None, **(values | fields))
    async with db.transaction() as tx:
        await tx.banks.add(bank)
    return bank


def sha(digest: str) -> KnownHash:
    return KnownHash(EntryKind.SHA256, digest)


def phash(fingerprint: int) -> KnownHash:
    return KnownHash(EntryKind.PHASH, f"{fingerprint:016x}")


def digest() -> str:
    return uuid4().hex * 2


async def put(db: Database, bank: Bank, *entries: KnownHash) -> int:
    async with db.transaction() as tx:
        return await tx.banks.put(bank.id, entries, by="ada")


async def found(db: Database, library: Library, *, sha256: str = "", phash: int | None = None) -> list[Found]:
    async with db.transaction() as tx:
        return await tx.banks.agreeing(library.id, sha256=sha256, phash=phash)


async def hit(db: Database, media: Media) -> list[Recorded]:
    async with db.transaction() as tx:
        locked = await tx.media.get(media.id, lock=True)
        return await tx.banks.hit(
            locked, await tx.banks.agreeing(media.library_id, sha256=media.sha256 or "", phash=None)
        )


async def state_of(db: Database, recorded: Sequence[Recorded]) -> BankEntry:
    async with db.transaction() as tx:
        return await tx.banks.entry(recorded[0].bank.id, recorded[0].entry.id)


class TestBanks:
    async def test_those_of_the_library_and_those_for_all_are_seen(self, db: Database, library: Library) -> None:
        own, everywhere, theirs = await made(db, library), await made(db, None), await made(db, await other(db))
        async with db.transaction() as tx:
            seen = {bank.id for bank in await tx.banks.seen_from(library.id)}
            assert {own.id, everywhere.id} <= seen
            assert theirs.id not in seen
            assert (await tx.banks.named(library.id, everywhere.name)).id == everywhere.id
            with pytest.raises(NotFound):
                await tx.banks.named(library.id, theirs.name)

    async def test_a_name_means_one_bank(self, db: Database, library: Library) -> None:
        own, everywhere = await made(db, library), await made(db, None)
        for name, owner in ((own.name, library), (everywhere.name, library), (own.name, None), (everywhere.name, None)):
            with pytest.raises(Conflict, match="another name"):
                await made(db, owner, name=name)
        await made(db, await other(db), name=own.name)

    async def test_there_is_a_most(self, db: Database, library: Library) -> None:
        async with db.transaction() as tx:
            for number in range(100):
                tx.session.add(Bank(library_id=library.id, name=f"b{number}"))
        with pytest.raises(Conflict, match="100 banks"):
            await made(db, library)

    async def test_rules_come_back(self, db: Database, library: Library) -> None:
        bank = await made(db, library, polarity=Polarity.GOOD, action=Verdict.APPROVE, category="", distance=2)
        async with db.transaction() as tx:
            rules = (await tx.banks.named(library.id, bank.name)).rules
        assert (rules.polarity, rules.action, rules.reach) == (Polarity.GOOD, Verdict.APPROVE, 2)


class TestEntries:
    async def test_twice_is_once(self, db: Database, library: Library) -> None:
        bank, entries = await made(db, library), [sha(digest()), phash(5), phash((1 << 64) - 1)]
        assert await put(db, bank, *entries, *entries) == 3
        assert await put(db, bank, *entries) == 0
        assert await put(db, await made(db, library), *entries) == 3
        assert await put(db, bank) == 0

    async def test_what_was_removed_comes_back_by_hand_only(self, db: Database, library: Library) -> None:
        bank, entry = await made(db, library), sha(digest())
        async with db.transaction() as tx:
            (row,) = await tx.banks.restore(bank.id, [entry], by="ada")
        async with db.transaction() as tx:
            await tx.banks.remove(bank.id, row.id, by="bob")
        assert await found(db, library, sha256=entry.value) == []
        await put(db, bank, entry)
        assert await found(db, library, sha256=entry.value) == []
        async with db.transaction() as tx:
            with pytest.raises(Conflict, match="was removed"):
                await tx.banks.release(bank.id, row.id, by="bob")
            (again,) = await tx.banks.restore(bank.id, [entry], by="carol")
        assert (again.id, again.state, again.reviewed_by) == (row.id, EntryState.ACTIVE, "carol")
        assert [one.entry.id for one in await found(db, library, sha256=entry.value)] == [row.id]

    async def test_an_entry_of_another_bank_is_unknown(self, db: Database, library: Library) -> None:
        bank, entry = await made(db, library), sha(digest())
        async with db.transaction() as tx:
            (row,) = await tx.banks.restore(bank.id, [entry], by="ada")
        stranger = await made(db, library)
        for change in ("release", "remove"):
            async with db.transaction() as tx:
                with pytest.raises(NotFound):
                    await getattr(tx.banks, change)(stranger.id, row.id, by="bob")

    async def test_pages_hold_everything_once(self, db: Database, library: Library) -> None:
        bank = await made(db, library)
        await put(db, bank, *(sha(digest()) for _ in range(7)))
        seen, after = [], None
        async with db.transaction() as tx:
            while rows := await tx.banks.entries(bank.id, state=None, after=after, limit=3):
                seen += [row.id for row in rows]
                after = (rows[-1].added_at, rows[-1].id)
            assert len(set(seen)) == len(seen) == 7
            assert len(await tx.banks.entries(bank.id, state=EntryState.ACTIVE, after=None, limit=9)) == 7
            assert await tx.banks.entries(bank.id, state=EntryState.REMOVED, after=None, limit=9) == []


class TestAgreeing:
    async def test_the_same_file_by_its_digest(self, db: Database, library: Library) -> None:
        one, bank, everywhere = digest(), await made(db, library), await made(db, None)
        for holder in (bank, everywhere, await made(db, await other(db)), await made(db, library, enabled=False)):
            await put(db, holder, sha(one), sha(digest()))
        assert {one.bank.id for one in await found(db, library, sha256=one)} == {bank.id, everywhere.id}
        assert await found(db, library, sha256=digest()) == []

    async def test_the_same_picture_within_each_banks_own_distance(self, db: Database, library: Library) -> None:
        random = Random(11)
        asked_for = random.getrandbits(BITS)
        banks = {reach: await made(db, library, distance=reach) for reach in (0, 3, FARTHEST)}
        entries = {bits: apart(asked_for, bits, random) for bits in range(12)}
        for bank in banks.values():
            await put(db, bank, *(phash(value) for value in entries.values()))
        told = await found(db, library, phash=asked_for)
        assert sorted((one.bank.distance, one.distance) for one in told) == [
            (reach, bits) for reach in banks for bits in range(reach + 1)
        ]

    @pytest.mark.parametrize("form", list(Form))
    async def test_turned_and_mirrored_as_well(self, db: Database, library: Library, form: Form) -> None:
        random = Random(form.value)
        asked_for = random.getrandbits(BITS)
        turned = dict(zip(Form, dihedral(asked_for), strict=True))[form]
        bank = await made(db, library)
        await put(db, bank, phash(apart(turned, 3, random)))
        (one,) = await found(db, library, phash=asked_for)
        assert (one.bank.id, one.distance) == (bank.id, 3)

    async def test_agrees_with_looking_at_every_one(self, db: Database, library: Library) -> None:
        random, bank = Random(12), await made(db, library)
        values = {apart(0x0F0F_4321_8765_CBA9, number % 12, random) for number in range(60)}
        await put(db, bank, *map(phash, values))
        for asked_for in list(values)[:10]:
            told = await found(db, library, phash=asked_for)
            near = {value: min(distance(form, value) for form in dihedral(asked_for)) for value in values}
            assert {(int(one.entry.value, 16), one.distance) for one in told} == {
                (value, bits) for value, bits in near.items() if bits <= FARTHEST
            }

    async def test_the_most_severe_come_first_when_there_are_too_many(self, db: Database, library: Library) -> None:
        mild = await made(db, library, action=Verdict.REVIEW)
        severe = await made(db, library, action=Verdict.QUARANTINE)
        random = Random(13)
        asked_for = random.getrandbits(BITS)
        await put(db, mild, *(phash(asked_for ^ (1 << one | 1 << other)) for one in range(24) for other in range(one)))
        await put(db, severe, phash(apart(asked_for, 8, random)))
        told = await found(db, library, phash=asked_for)
        assert len(told) == 200
        assert (told[0].bank.id, told[0].distance) == (severe.id, 8)

    async def test_reads_its_indexes_and_not_the_table(self, db: Database, library: Library) -> None:
        bank = await made(db, library)

        async def ask(tx: Transaction, id_: Any) -> object:
            return await tx.banks.agreeing(id_, sha256=digest(), phash=12345)

        async with asked(db, ask, library.id) as (tx, said):
            await tx.session.execute(text(MANY), {"bank": bank.id})
            await tx.session.execute(text("ANALYZE bank_entry"))
            _, exact, near = await plans(tx, said)
            await tx.session.rollback()
        assert "Index Scan using uq_bank_entry" in exact, exact
        for number in range(4):
            assert f"Index Only Scan using ix_bank_entry_band{number}" in near, near
        assert "Seq Scan on bank_entry" not in near, near

    @pytest.mark.parametrize(
        ("name", "index"),
        [("entries", "ix_bank_entry_page"), ("held", "ix_bank_entry_state_page"), ("matches", "ix_bank_match_page")],
    )
    async def test_pages_have_their_index(self, empty_db: Database, name: str, index: str) -> None:
        async def ask(tx: Transaction, id_: Any) -> object:
            if name == "matches":
                return await tx.banks.matches(id_, id_, after=(now(), id_), limit=5)
            state = EntryState.QUARANTINED if name == "held" else None
            return await tx.banks.entries(id_, state=state, after=(now(), id_), limit=5)

        async with asked(empty_db, ask, uuid4()) as (tx, said):
            await tx.session.execute(text("SET LOCAL enable_seqscan = off"))
            await tx.session.execute(text("SET LOCAL enable_sort = off"))
            (plan,) = await plans(tx, said)
        assert index in plan, plan


class TestHit:
    async def test_is_recorded_once(self, db: Database, library: Library) -> None:
        bank, one = await made(db, library), digest()
        await put(db, bank, sha(one))
        media = await added(db, library, sha256=one)
        first, second = await hit(db, media), await hit(db, media)
        assert [recorded.match.model_dump() for recorded in first] == [r.match.model_dump() for r in second]
        async with db.transaction() as tx:
            ((match, entry),) = await tx.banks.matches(bank.id, library.id, after=None, limit=9)
        assert (match.media_id, match.action, match.held, entry.value) == (media.id, Verdict.REJECT, False, one)

    async def test_is_told_to_the_items_library_only(self, db: Database, library: Library) -> None:
        bank, one, theirs = await made(db, None), digest(), await other(db)
        await put(db, bank, sha(one))
        await hit(db, await added(db, theirs, sha256=one))
        async with db.transaction() as tx:
            assert await tx.banks.matches(bank.id, library.id, after=None, limit=9) == []
            assert len(await tx.banks.matches(bank.id, theirs.id, after=None, limit=9)) == 1

    async def test_too_many_hold_the_entry_back_once(self, db: Database, library: Library) -> None:
        bank, one = await made(db, library, flood_limit=3), digest()
        await put(db, bank, sha(one))
        told = [(await hit(db, await added(db, library, sha256=one)))[0] for _ in range(5)]
        assert [recorded.match.action for recorded in told] == [Verdict.REJECT] * 3 + [Verdict.REVIEW] * 2
        assert [recorded.newly_held for recorded in told] == [False, False, False, True, False]
        entry = await state_of(db, told)
        assert (entry.state, entry.floods) == (EntryState.QUARANTINED, 1)

    async def test_a_good_bank_is_guarded_as_well(self, db: Database, library: Library) -> None:
        bank = await made(
            db, library, polarity=Polarity.GOOD, action=Verdict.APPROVE, category="", flood_limit=1, distance=0
        )
        one = digest()
        await put(db, bank, sha(one))
        actions = [(await hit(db, await added(db, library, sha256=one)))[0].match.action for _ in range(3)]
        assert actions == [Verdict.APPROVE, Verdict.REVIEW, Verdict.REVIEW]

    async def test_the_same_item_again_is_no_flood(self, db: Database, library: Library) -> None:
        bank, one = await made(db, library, flood_limit=1), digest()
        await put(db, bank, sha(one))
        media = await added(db, library, sha256=one)
        for _ in range(4):
            (recorded,) = await hit(db, media)
        assert recorded.entry.state is EntryState.ACTIVE

    async def test_hits_of_another_hour_do_not_count(self, db: Database, library: Library) -> None:
        bank, one = await made(db, library, flood_limit=1), digest()
        await put(db, bank, sha(one))
        await hit(db, await added(db, library, sha256=one))
        async with db.transaction() as tx:
            long_ago = update(BankMatch).where(col(BankMatch.bank_id) == bank.id)
            await tx.session.execute(long_ago.values(at=now() - timedelta(minutes=61)))
        (recorded,) = await hit(db, await added(db, library, sha256=one))
        assert (recorded.match.action, recorded.newly_held) == (Verdict.REJECT, False)

    async def test_after_a_release_it_counts_anew(self, db: Database, library: Library) -> None:
        bank, one = await made(db, library, flood_limit=1), digest()
        await put(db, bank, sha(one))
        told = [(await hit(db, await added(db, library, sha256=one)))[0] for _ in range(2)]
        async with db.transaction() as tx:
            released = await tx.banks.release(bank.id, told[0].entry.id, by="ada")
            assert (released.state, released.reviewed_by) == (EntryState.ACTIVE, "ada")
        again = [(await hit(db, await added(db, library, sha256=one)))[0] for _ in range(2)]
        assert [recorded.match.action for recorded in again] == [Verdict.REJECT, Verdict.REVIEW]
        assert (await state_of(db, again)).floods == 2
