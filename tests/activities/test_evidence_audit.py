"""Whatever is done to the evidence behind the gate's back is seen and named; keys are rotated."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from activities.evidence_access import open_evidence, place_hold
from activities.evidence_audit import Audit, Rewrap, rewrap, verify
from db.repositories.audit import Actor
from db.session import Database
from db.tables import EvidenceAccess, EvidenceRecord
from mediagate.errors import StorageUnavailable
from mediagate.evidence.bundle import Opening
from mediagate.evidence.chain import Chain, hash_of
from mediagate.evidence.keys import LocalKeys
from mediagate.storage.locked import ObjectLock
from mediagate.storage.memory_locked import MemoryLockedStore
from mediagate.vault import Vault
from tests.evidence import copy_of, restricted, seal, sealed, sealing_keys
from tests.world import GateWith, World

ADA = Actor("ada", "cli:ada")


@dataclass(frozen=True)
class Case:
    """Three records and two accesses, of a deployment of their own."""

    world: World
    store: MemoryLockedStore
    vault: Vault
    records: tuple[EvidenceRecord, ...]

    @property
    def db(self) -> Database:
        return self.world.db

    def object(self, seq: int) -> tuple[str, str]:
        """Where the object of a record stands."""
        record = self.records[seq - 1]
        return record.object_key, record.object_version

    async def sql(self, *statements: str) -> None:
        """As a superuser of the database, who is above triggers and foreign keys."""
        async with self.db.transaction() as tx:
            for statement in ("SET LOCAL session_replication_role = replica", *statements):
                await tx.session.execute(text(statement))

    async def rehash(self, seq: int) -> None:
        """Give a record that was changed the hash of what it is now."""
        async with self.db.transaction() as tx:
            (row,) = await tx.chains.after(EvidenceRecord, seq - 1, limit=1)
        fresh = hash_of(Chain.RECORDS, row.fields, row.prev_hash)
        await self.sql(f"UPDATE evidence SET hash = '{fresh}' WHERE seq = {seq}")

    async def verify(self, *, deep: bool = False) -> list[str]:
        """What is broken."""
        audit = await verify(self.db, self.vault, deep=deep)
        return [f"{found.chain.value} {found.seq}: {found.what}" for found in audit.breaks]


@pytest.fixture
async def case(gate_with: GateWith, migrated: str) -> AsyncIterator[Case]:
    store = MemoryLockedStore()
    vault = Vault(LocalKeys(sealing_keys("k1")), store, timedelta(days=1))
    with copy_of(migrated) as url:
        db = Database(url, pool_size=4)
        async with gate_with(roles=()) as world:
            async with db.transaction() as tx:
                library = await tx.access.ensure_library("evidence", name="Evidence", settings={})
            world = replace(world, db=db, library=library, deps=replace(world.deps, db=db, vault=vault))
            records = [await sealed(world) for _ in range(3)]
            for _ in range(2):
                await open_evidence(db, vault, records[0], Opening.RECORD, ADA, reason="case 4711")
            yield Case(world, store, vault, tuple(records))
        await db.close()


Tampering = Callable[[Case], Awaitable[None]]


async def change_a_row(case: Case) -> None:
    await case.sql("UPDATE evidence SET reason = 'other' WHERE seq = 2")


async def change_a_row_and_its_hash(case: Case) -> None:
    await change_a_row(case)
    await case.rehash(2)


async def change_the_last_row_and_its_hash(case: Case) -> None:
    await case.sql("UPDATE evidence SET reason = 'other' WHERE seq = 3")
    await case.rehash(3)


async def remove_a_row(case: Case) -> None:
    await case.sql("DELETE FROM evidence WHERE seq = 2")


async def remove_a_row_and_number_anew(case: Case) -> None:
    await remove_a_row(case)
    await case.sql(f"UPDATE evidence SET seq = 2, prev_hash = '{case.records[0].hash}' WHERE seq = 3")
    await case.rehash(2)


async def cut_the_tail(case: Case) -> None:
    await case.sql("DELETE FROM evidence WHERE seq >= 2")


async def remove_everything(case: Case) -> None:
    await case.sql("DELETE FROM evidence", "DELETE FROM evidence_access")


async def replace_an_object(case: Case) -> None:
    body = case.store.bodies[case.object(2)]
    case.store.bodies[case.object(2)] = body[:-1] + bytes([body[-1] ^ 1])


async def swap_two_objects(case: Case) -> None:
    bodies, one, other = case.store.bodies, case.object(1), case.object(3)
    bodies[one], bodies[other] = bodies[other], bodies[one]


async def remove_an_object(case: Case) -> None:
    del case.store.bodies[case.object(3)]


async def shorten_a_lock(case: Case) -> None:
    lock = case.store.locks[case.object(1)]
    assert lock.retain_until
    earlier = {"retain_until": lock.retain_until - timedelta(hours=1)}
    case.store.locks[case.object(1)] = lock.model_copy(update=earlier)


async def weaken_a_lock(case: Case) -> None:
    lock = case.store.locks[case.object(1)]
    case.store.locks[case.object(1)] = lock.model_copy(update={"compliance": False})


async def take_a_hold_off(case: Case) -> None:
    await place_hold(case.db, case.vault, case.records[1].media_id, ADA, reason="court order")
    await case.store.set_legal_hold(*case.object(2), on=False)


async def change_an_access(case: Case) -> None:
    await case.sql("UPDATE evidence_access SET actor = 'nobody' WHERE seq = 1")


async def remove_an_access(case: Case) -> None:
    await case.sql("DELETE FROM evidence_access WHERE seq = 2")


async def forge_a_checkpoint(case: Case) -> None:
    link = replace(case.records[1].link, hash="0" * 64)
    await case.vault.put_checkpoint(Chain.RECORDS, link, now=case.records[1].sealed_at)


CHANGED = "it was changed: its fields do not have its hash"
NOTED = "a checkpoint notes another hash: it was made anew"
FOUND: dict[Tampering, list[str]] = {
    change_a_row: [f"evidence 2: {CHANGED}"],
    change_a_row_and_its_hash: [
        f"evidence 2: {NOTED}",
        "evidence 3: it does not follow record 2: one of the two was changed",
    ],
    change_the_last_row_and_its_hash: [f"evidence 3: {NOTED}"],
    remove_a_row: ["evidence 2: record 2 is missing"],
    remove_a_row_and_number_anew: [
        f"evidence 2: {NOTED}",
        "evidence 3: record 3 is missing: a checkpoint notes it",
    ],
    cut_the_tail: ["evidence 2: record 2 is missing: a checkpoint notes it"],
    remove_everything: [
        "evidence 1: record 1 is missing: a checkpoint notes it",
        "evidence-access 1: record 1 is missing: a checkpoint notes it",
    ],
    replace_an_object: ["evidence 2: its object was replaced: the bytes are not those that were sealed"],
    swap_two_objects: [
        f"evidence {seq}: its object was replaced: the bytes are not those that were sealed" for seq in (1, 3)
    ],
    remove_an_object: ["evidence 3: its object is missing"],
    weaken_a_lock: ["evidence 1: its object is not locked until DAY"],
    shorten_a_lock: ["evidence 1: its object is not locked until DAY"],
    take_a_hold_off: ["evidence 2: the item is on legal hold and its object is not"],
    change_an_access: [f"evidence-access 1: {CHANGED}"],
    remove_an_access: ["evidence-access 2: record 2 is missing: a checkpoint notes it"],
    forge_a_checkpoint: [f"evidence 2: {NOTED}"],
}


class TestVerify:
    async def test_what_nobody_touched_is_intact(self, case: Case) -> None:
        assert await verify(case.db, case.vault) == Audit(records=3, accesses=2)
        assert await verify(case.db, case.vault, deep=True) == Audit(records=3, accesses=2)

    async def test_nothing_sealed_yet(self, case: Case) -> None:
        empty = replace(case.vault, store=MemoryLockedStore())
        await remove_everything(case)
        assert await verify(case.db, empty, deep=True) == Audit()

    @pytest.mark.parametrize("tampering", FOUND, ids=lambda tampering: tampering.__name__)
    async def test_names_what_was_done(self, case: Case, tampering: Tampering) -> None:
        await tampering(case)
        day = f"{case.records[0].retain_until:%Y-%m-%d}"
        assert await case.verify() == [line.replace("DAY", day) for line in FOUND[tampering]]

    async def test_a_wrapped_key_that_was_altered(self, case: Case) -> None:
        await case.sql("UPDATE evidence SET wrapped_key = '\\x00' || substr(wrapped_key, 2) WHERE seq = 2")
        await case.sql("UPDATE evidence SET wrapped_key = wrapped_key || '\\x01' WHERE seq = 3")
        assert await case.verify() == []
        wrong = "it does not open: The wrapped data key was altered, or belongs to something else."
        assert await case.verify(deep=True) == [f"evidence 2: {wrong}", f"evidence 3: {wrong}"]

    async def test_wrapped_keys_that_were_swapped(self, case: Case) -> None:
        await case.sql(
            "UPDATE evidence SET wrapped_key = other.wrapped_key FROM evidence AS other"
            " WHERE (evidence.seq, other.seq) IN ((1, 2), (2, 1))"
        )
        assert len(await case.verify(deep=True)) == 2

    async def test_a_key_that_is_missing(self, case: Case) -> None:
        without = replace(case.vault, keys=LocalKeys(sealing_keys("k2")))
        assert (await verify(case.db, without)).breaks == []
        found = (await verify(case.db, without, deep=True)).breaks
        assert [broken.seq for broken in found] == [1, 2, 3]
        assert found[0].what == ("it cannot be opened: The key 'k1' is not in MEDIAGATE_EVIDENCE_KEYS: add it again.")

    async def test_what_is_past_its_retention_may_be_gone(self, case: Case) -> None:
        short = replace(case.vault, retention=timedelta(seconds=-5))
        item = await restricted(case.world)
        record = await seal(case.world, item.media_id, vault=short)
        await case.store.delete_version(record.object_key, record.object_version)
        assert await verify(case.db, case.vault, deep=True) == Audit(records=4, accesses=2, lapsed=1)
        async with case.db.transaction() as tx:
            await tx.session.execute(
                text("INSERT INTO legal_hold VALUES (gen_random_uuid(), :id, 'r', 'ada', now(), '', '', NULL)"),
                {"id": record.media_id},
            )
        assert await case.verify() == ["evidence 4: its object is missing"]

    async def test_a_store_that_is_away_is_no_tampering(self, case: Case) -> None:
        case.store.failing = True
        with pytest.raises(StorageUnavailable):
            await verify(case.db, case.vault)

    async def test_while_others_seal(self, case: Case) -> None:
        items = [await restricted(case.world) for _ in range(4)]
        sealing = asyncio.gather(*(seal(case.world, item.media_id) for item in items))
        audits = await asyncio.gather(*(verify(case.db, case.vault) for _ in range(3)))
        await sealing
        assert [audit.breaks for audit in audits] == [[], [], []]

    async def test_the_lock_of_a_version_that_somebody_put_on_top_is_not_looked_at(self, case: Case) -> None:
        key, _ = case.object(1)
        case.store.bodies[key, "newer"] = b"another"
        case.store.locks[key, "newer"] = ObjectLock()
        assert await case.verify(deep=True) == []


class TestRewrap:
    async def test_a_new_key_takes_over_and_the_old_one_may_go(self, case: Case) -> None:
        both = replace(case.vault, keys=LocalKeys(sealing_keys("k2", "k1")))
        before = dict(case.store.bodies)
        assert await rewrap(case.db, both, dry_run=True) == Rewrap(looked_at=3, stale=3)
        assert await rewrap(case.db, both, dry_run=False) == Rewrap(looked_at=3, stale=3, wrapped=3)
        assert await rewrap(case.db, both, dry_run=False) == Rewrap(looked_at=3)
        assert case.store.bodies == before
        only_new = replace(case.vault, keys=LocalKeys(sealing_keys("k2")))
        assert await verify(case.db, only_new, deep=True) == Audit(records=3, accesses=2)

    async def test_what_cannot_be_unwrapped_is_named_and_the_others_go_on(self, case: Case) -> None:
        await case.sql("UPDATE evidence SET wrapped_key = 'x' WHERE seq = 2")
        both = replace(case.vault, keys=LocalKeys(sealing_keys("k2", "k1")))
        done = await rewrap(case.db, both, dry_run=False)
        assert (done.wrapped, list(done.failed)) == (2, [2])


async def test_accesses_are_about_the_record(case: Case) -> None:
    async with case.db.transaction() as tx:
        rows = await tx.chains.after(EvidenceAccess, 0, limit=5)
    assert [(row.evidence_id, row.what, row.reason) for row in rows] == [
        (case.records[0].id, Opening.RECORD, "case 4711")
    ] * 2
