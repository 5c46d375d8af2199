"""Sealing evidence of a restriction: what is in it, once, whatever breaks on the way."""

import asyncio
import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.testing import ActivityEnvironment

from activities.evidence import Evidence, is_restriction
from activities.evidence_access import open_evidence, place_hold, release_hold
from activities.evidence_record import context_of, sealed_object
from activities.sources import SourceCache
from db.repositories.audit import Actor
from db.tables import EvidenceRecord, LegalHold, MediaDecision, now
from mediagate.errors import Conflict, EvidenceKeyMissing, NotFound, ObjectCorrupt, ObjectMissing, StorageUnavailable
from mediagate.evidence.bundle import Opening
from mediagate.evidence.chain import Chain
from mediagate.evidence.keys import MemoryKeys
from mediagate.evidence.sealing import SEGMENT
from mediagate.media.values import MIB
from mediagate.storage import keys
from mediagate.storage.locked import ObjectLock
from mediagate.storage.memory_locked import MemoryLockedStore
from mediagate.vault import Vault
from tests.evidence import RAW, restricted, seal, sealed, sealing_keys
from tests.world import GateWith, World, picture
from workflows.messages import SealInput, SealResult

ADA = Actor("ada", "cli:ada")


@pytest.fixture
async def gate(gate_with: GateWith) -> AsyncIterator[World]:
    """A world with a vault on the session's S3, and without workers."""
    async with gate_with(roles=(), evidence_keys=sealing_keys()) as world:
        yield world


class Twins:
    """A vault over the shipped twins."""

    def __init__(self) -> None:
        self.keys, self.store = MemoryKeys(), MemoryLockedStore()
        self.vault = Vault(self.keys, self.store, timedelta(days=1))


class Late:
    """The cache of sources, where something happens right before it is first asked."""

    def __init__(self, inner: SourceCache, happening: Callable[[], Awaitable[None]]) -> None:
        self._inner = inner
        self._happenings = [happening]

    @asynccontextmanager
    async def hold(self, key: str, sha256: str, *, max_bytes: int) -> AsyncIterator[Path]:
        while self._happenings:
            await self._happenings.pop()()
        async with self._inner.hold(key, sha256, max_bytes=max_bytes) as path:
            yield path


@pytest.fixture
def twins() -> Twins:
    return Twins()


def vault_of(world: World) -> Vault:
    assert world.deps.vault
    return world.deps.vault


async def perform(world: World, media_id: str, **deps: Any) -> SealResult:
    """The activity, in an activity's context."""
    step = Evidence(replace(world.deps, **deps)).seal_evidence
    return await ActivityEnvironment().run(step, SealInput(media_id=media_id, library=world.library.slug))


async def contents(vault: Vault, record: EvidenceRecord) -> dict[str, bytes]:
    """What is in the sealed archive, by name."""
    pieces = [piece async for piece in vault.open(sealed_object(record), context_of(record.media_id, record.round))]
    data = b"".join(pieces)
    assert (len(data), hashlib.sha256(data).hexdigest()) == (record.size, record.sha256)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {entry.name: file.read() for entry in archive if (file := archive.extractfile(entry))}


async def versions(world: World, vault: Vault, media_id: str) -> list[str]:
    """Keys in the locked store that are about an item."""
    return [key async for key in vault.store.keys(f"records/{world.library.slug}/") if media_id in key]


async def record_of(world: World, media_id: str) -> EvidenceRecord | None:
    async with world.db.transaction() as tx:
        return await tx.evidence.of_round(UUID(media_id), 0)


class TestWhatIsSealed:
    async def test_original_events_findings_decision_and_timeline(self, gate: World) -> None:
        item = await restricted(gate)
        record = await seal(gate, item.media_id)
        found = await contents(vault_of(gate), record)
        document = json.loads(found.pop("record.json"))
        assert found.pop("original") == item.data
        assert list(found.values()) == [RAW]
        assert document["format"] == "mediagate-evidence/1"
        assert document["media"]["library"] == gate.library.slug
        assert document["media"]["sha256"] == hashlib.sha256(item.data).hexdigest()
        assert "upload_token" not in document["media"]
        assert [(d["policy_version"], d["findings"][0]["score"]) for d in document["decisions"]] == [("v7", 0.97)]
        assert [line["kind"] for line in document["timeline"]] == ["decided"]
        assert [event["body"]["file"] for event in document["inbox"]] == list(found)

    async def test_the_store_has_it_encrypted_and_locked(self, gate: World) -> None:
        item = await restricted(gate)
        record = await seal(gate, item.media_id)
        store = vault_of(gate).store
        stream = store.stream(record.object_key, version=record.object_version)
        stored = b"".join([chunk async for chunk in stream])
        assert hashlib.sha256(stored).hexdigest() == record.sealed_sha256
        assert item.data[:40] not in stored
        assert RAW not in stored
        lock = await store.lock(record.object_key, record.object_version)
        assert lock == ObjectLock(retain_until=record.retain_until, compliance=True)
        assert record.retain_until - record.sealed_at > timedelta(days=364)
        with pytest.raises(Conflict):
            await store.delete_version(record.object_key, record.object_version)

    async def test_the_record_says_where_and_what(self, gate: World) -> None:
        item = await restricted(gate)
        record = await seal(gate, item.media_id)
        assert record.object_key == keys.evidence(gate.library.slug, item.media_id, 0)
        assert (record.verdict, record.reason, record.key_id) == ("reject", "policy:nudity", "k1")
        assert record.hash in (await vault_of(gate).checkpoints(Chain.RECORDS))[record.seq]
        assert (await gate.timeline(item.media_id))[-1] == "sealed"

    async def test_a_large_original_of_many_segments(self, gate: World) -> None:
        data = picture() + bytes(range(256)) * (5 * MIB // 256)
        item = await restricted(gate, data=data)
        assert (await contents(vault_of(gate), await seal(gate, item.media_id)))["original"] == data
        assert len(data) > 80 * SEGMENT


class TestOnce:
    async def test_a_second_time_finds_the_record(self, gate: World) -> None:
        item = await restricted(gate)
        first = await perform(gate, item.media_id)
        record = await record_of(gate, item.media_id)
        assert record
        assert await perform(gate, item.media_id) == first == SealResult(evidence_id=str(record.id), seq=record.seq)
        assert await versions(gate, vault_of(gate), item.media_id) == [record.object_key]
        assert (await gate.timeline(item.media_id)).count("sealed") == 1

    async def test_at_the_same_time_one_record_stands(self, gate: World, twins: Twins) -> None:
        item = await restricted(gate)
        attempts = [perform(gate, item.media_id, vault=twins.vault) for _ in range(3)]
        assert len({result.evidence_id for result in await asyncio.gather(*attempts)}) == 1
        record = await record_of(gate, item.media_id)
        assert record
        assert (await contents(twins.vault, record))["original"] == item.data

    async def test_each_round_has_its_own(self, gate: World) -> None:
        item = await restricted(gate)
        async with gate.db.transaction() as tx:
            await tx.decisions.record(
                MediaDecision(
                    media_id=UUID(item.media_id),
                    round=1,
                    final=True,
                    verdict="quarantine",
                    policy_version="",
                    decided_by="person:ada",
                )
            )
        first, second = await seal(gate, item.media_id), await seal(gate, item.media_id, round_=1)
        assert (first.verdict, second.verdict) == ("reject", "quarantine")
        assert len(await versions(gate, vault_of(gate), item.media_id)) == 2

    async def test_without_a_vault_nothing_is_done(self, gate: World) -> None:
        item = await restricted(gate)
        assert await perform(gate, item.media_id, vault=None) == SealResult()
        assert await record_of(gate, item.media_id) is None


class TestTrouble:
    async def test_a_store_that_is_away_is_tried_again(self, gate: World, twins: Twins) -> None:
        item = await restricted(gate)
        twins.store.failing = True
        with pytest.raises(StorageUnavailable):
            await perform(gate, item.media_id, vault=twins.vault)
        assert await record_of(gate, item.media_id) is None
        twins.store.failing = False
        assert (await perform(gate, item.media_id, vault=twins.vault)).seq

    async def test_a_key_service_that_is_away_is_tried_again(self, gate: World, twins: Twins) -> None:
        item = await restricted(gate)
        twins.keys.trouble = EvidenceKeyMissing()
        with pytest.raises(EvidenceKeyMissing):
            await perform(gate, item.media_id, vault=twins.vault)
        assert twins.store.bodies == {}

    async def test_a_death_before_the_checkpoint_is_made_up_for(self, gate: World, twins: Twins) -> None:
        item = await restricted(gate)

        class Dying(MemoryLockedStore):
            async def put_locked(self, key: str, *args: Any, **options: Any) -> str:
                if key.startswith("checkpoints/"):
                    raise StorageUnavailable
                return await super().put_locked(key, *args, **options)

        store = Dying()
        vault = replace(twins.vault, store=store)
        with pytest.raises(StorageUnavailable):
            await perform(gate, item.media_id, vault=vault)
        record = await record_of(gate, item.media_id)
        assert record
        twins.store.bodies, twins.store.locks = store.bodies, store.locks
        assert (await perform(gate, item.media_id, vault=twins.vault)).seq == record.seq
        assert (await twins.vault.checkpoints(Chain.RECORDS))[record.seq] == {record.hash}

    async def test_an_altered_original_is_not_sealed(self, gate: World, twins: Twins) -> None:
        item = await restricted(gate)
        await gate.store.put(keys.master(gate.library.slug, item.media_id), b"other", content_type="image/jpeg")
        with pytest.raises(ObjectCorrupt):
            await perform(gate, item.media_id, vault=twins.vault)
        assert twins.store.bodies == {}

    async def test_an_original_that_is_gone_is_said(self, gate: World) -> None:
        item = await restricted(gate)
        await gate.store.delete(keys.master(gate.library.slug, item.media_id))
        with pytest.raises(ObjectMissing):
            await perform(gate, item.media_id)

    async def test_an_original_that_a_later_round_moves_meanwhile(self, gate: World, twins: Twins) -> None:
        item = await restricted(gate)
        old = keys.master(gate.library.slug, item.media_id)
        new = f"{old}-moved"
        await gate.store.copy(old, new)

        async def move() -> None:
            await gate.store.delete(old)
            async with gate.db.transaction() as tx:
                (await tx.media.get(UUID(item.media_id), lock=True)).master_key = new

        sources = Late(gate.deps.sources, move)
        assert (await perform(gate, item.media_id, vault=twins.vault, sources=sources)).seq

    async def test_what_is_not_decided_is_not_sealed(self, gate: World) -> None:
        with pytest.raises(Conflict):
            await perform(gate, await gate.seal(picture()))


class TestIsRestriction:
    @pytest.mark.parametrize(
        ("verdict", "decided_by", "reason", "expected"),
        [
            ("reject", "policy", "policy:nudity", True),
            ("quarantine", "policy", "policy:minors", True),
            ("reject", "person:ada", "policy:nudity", True),
            ("quarantine", "deadline", "review_deadline", True),
            ("quarantine", "person:ada", "takedown:copyright", True),
            ("quarantine", "gate", "malware", True),
            ("quarantine", "gate", "poisoned_file", False),
            ("reject", "gate", "corrupt_file", False),
            ("approve", "policy", "clean", False),
            ("review", "gate", "vendor_silent", False),
        ],
    )
    def test_by_verdict_and_who_decided(self, verdict: str, decided_by: str, reason: str, expected: bool) -> None:
        decision = MediaDecision(
            media_id=uuid4(),
            final=True,
            verdict=verdict,
            policy_version="",
            reasons=[{"code": reason, "detail": ""}],
            decided_by=decided_by,
        )
        assert is_restriction(decision) is expected

    def test_nothing_decided(self) -> None:
        assert not is_restriction(None)


class TestOpening:
    async def test_is_on_record_before_anything_is_given_out(self, gate: World) -> None:
        record = await sealed(gate)
        opening = partial(open_evidence, gate.db, vault_of(gate), record, Opening.BUNDLE, ADA)
        pieces = await opening(reason="case 4711", tracking_id="t-1")
        async with gate.db.transaction() as tx:
            (access,) = await tx.evidence.accesses(record.id, after=None, limit=5)
        assert (access.actor, access.via, access.reason, access.what) == ("ada", "cli:ada", "case 4711", "bundle")
        assert (await vault_of(gate).checkpoints(Chain.ACCESSES))[access.seq] == {access.hash}
        assert hashlib.sha256(b"".join([piece async for piece in pieces])).hexdigest() == record.sha256

    async def test_is_on_record_also_where_it_fails(self, gate: World, twins: Twins) -> None:
        record = await seal(gate, (await restricted(gate)).media_id, vault=twins.vault)
        twins.keys.enabled = ["memory-2"]
        pieces = await open_evidence(gate.db, twins.vault, record, Opening.BUNDLE, ADA, reason="case 4711")
        with pytest.raises(EvidenceKeyMissing):
            await anext(pieces)
        async with gate.db.transaction() as tx:
            assert len(await tx.evidence.accesses(record.id, after=None, limit=5)) == 1

    async def test_what_cannot_be_put_on_record_is_not_opened(self, gate: World, twins: Twins) -> None:
        record = await seal(gate, (await restricted(gate)).media_id, vault=twins.vault)
        twins.store.failing = True
        with pytest.raises(StorageUnavailable):
            await open_evidence(gate.db, twins.vault, record, Opening.BUNDLE, ADA, reason="case 4711")


class TestHolds:
    async def hold(self, world: World, media_id: UUID) -> LegalHold | None:
        async with world.db.transaction() as tx:
            return await tx.evidence.hold(media_id)

    async def test_the_evidence_is_held_in_the_store(self, gate: World) -> None:
        record = await sealed(gate)
        place = (record.object_key, record.object_version)
        for reason in ("court order", "again"):
            placed = await place_hold(gate.db, vault_of(gate), record.media_id, ADA, reason=reason)
            assert (placed.reason, placed.placed_by) == ("court order", "ada (cli:ada)")
            assert (await vault_of(gate).store.lock(*place)).legal_hold
        released = await release_hold(gate.db, vault_of(gate), record.media_id, ADA, reason="closed")
        assert (released.released_by, released.release_reason) == ("ada (cli:ada)", "closed")
        assert not (await vault_of(gate).store.lock(*place)).legal_hold
        assert await self.hold(gate, record.media_id) is None
        lines = await gate.timeline(str(record.media_id))
        assert lines[-2:] == ["legal_hold", "legal_hold_released"]

    async def test_what_is_sealed_later_is_held_as_well(self, gate: World) -> None:
        item = await restricted(gate)
        await place_hold(gate.db, vault_of(gate), UUID(item.media_id), ADA, reason="court order")
        record = await seal(gate, item.media_id)
        assert (await vault_of(gate).store.lock(record.object_key, record.object_version)).legal_hold

    async def test_a_release_that_the_store_does_not_take_has_not_happened(self, gate: World, twins: Twins) -> None:
        record = await seal(gate, (await restricted(gate)).media_id, vault=twins.vault)
        await place_hold(gate.db, twins.vault, record.media_id, ADA, reason="court order")
        twins.store.failing = True
        with pytest.raises(StorageUnavailable):
            await release_hold(gate.db, twins.vault, record.media_id, ADA, reason="closed")
        assert await self.hold(gate, record.media_id)
        twins.store.failing = False
        await release_hold(gate.db, twins.vault, record.media_id, ADA, reason="closed")
        assert await self.hold(gate, record.media_id) is None

    async def test_an_item_without_evidence_can_be_held_without_a_vault(self, gate: World) -> None:
        media_id = UUID(await gate.seal(picture()))
        await place_hold(gate.db, None, media_id, ADA, reason="court order")
        assert await self.hold(gate, media_id)
        await release_hold(gate.db, None, media_id, ADA, reason="closed")

    async def test_what_is_not_held_cannot_be_released(self, gate: World) -> None:
        media_id = UUID(await gate.seal(picture()))
        with pytest.raises(Conflict, match="no legal hold"):
            await release_hold(gate.db, vault_of(gate), media_id, ADA, reason="closed")
        with pytest.raises(NotFound):
            await place_hold(gate.db, vault_of(gate), uuid4(), ADA, reason="court order")


def test_retention_is_whole_seconds_and_never_shorter(twins: Twins) -> None:
    moment = now()
    until = twins.vault.retain_until(moment)
    assert until.microsecond == 0
    assert timedelta(days=1) <= until - moment <= timedelta(days=1, seconds=1)
