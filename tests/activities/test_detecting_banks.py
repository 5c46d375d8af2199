"""What an upload's pictures and bytes mean to hash banks, in the step that makes the pictures."""

import hashlib
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlmodel import col

from db.tables import Bank, InboxEvent, Notification
from mediagate.media.fingerprints import dihedral
from mediagate.media.values import Verdict
from mediagate.moderation.banks import EntryKind, EntryState, KnownHash, Polarity
from mediagate.moderation.findings import HASH_BANKS, VendorEvent, VendorVerdict
from tests.activities.steps import Steps, perform
from tests.world import picture


async def bank(steps: Steps, *entries: KnownHash, **fields: Any) -> Bank:
    """A bank of the library with these entries."""
    values: dict[str, Any] = {"action": Verdict.REJECT, "category": "gore", "distance": 4, "name": uuid4().hex[:8]}
    made = Bank(library_id=steps.world.library.id, **(values | fields))
    async with steps.world.db.transaction() as tx:
        await tx.banks.add(made)
        await tx.banks.put(made.id, entries, by="ada")
    return made


def file_of(data: bytes) -> KnownHash:
    return KnownHash(EntryKind.SHA256, hashlib.sha256(data).hexdigest())


async def said_of(steps: Steps, data: bytes) -> tuple[str, list[VendorEvent]]:
    """A new item with these bytes, and the banks' events about it."""
    media_id = await steps.world.seal(data)
    return media_id, await again(steps, media_id)


async def again(steps: Steps, media_id: str) -> list[VendorEvent]:
    """The steps up to the pictures, once more."""
    outcome = await perform(steps.rendering.verify_and_render, steps.ref(media_id))
    assert outcome.refused is None
    return [event for event in outcome.events if event.vendor == HASH_BANKS]


async def phash_of(steps: Steps, data: bytes) -> int:
    media_id, _ = await said_of(steps, data)
    async with steps.world.db.transaction() as tx:
        found = await tx.fingerprints.get(UUID(media_id))
    assert found is not None
    return found


async def floods(steps: Steps) -> list[Notification]:
    query = select(Notification).where(col(Notification.library_id) == steps.world.library.id)
    async with steps.world.db.transaction() as tx:
        rows = (await tx.session.scalars(query.where(col(Notification.kind) == "bank_entry_flood"))).all()
    return list(rows)


class TestHits:
    async def test_a_known_file_is_named_and_kept_beside_what_vendors_say(self, steps: Steps) -> None:
        data = picture(seed=1)
        leaks = await bank(steps, file_of(data), action=Verdict.QUARANTINE)
        media_id, (event,) = await said_of(steps, data)
        assert (event.action, event.verdict) == (Verdict.QUARANTINE, VendorVerdict.REJECT)
        assert (event.scores, event.labels) == ({"gore": 1.0}, (f"bank:{leaks.name}",))
        assert event.raw["detail"] == f"{leaks.name}: the same file"
        async with steps.world.db.transaction() as tx:
            rows = await tx.session.scalars(select(InboxEvent).where(col(InboxEvent.media_id) == UUID(media_id)))
            assert [row.event_id for row in rows.all() if row.vendor == HASH_BANKS] == [event.event_id]

    async def test_an_unknown_file_is_not_spoken_of(self, steps: Steps) -> None:
        await bank(steps, file_of(b"another"))
        assert (await said_of(steps, picture(seed=2)))[1] == []

    async def test_a_known_picture_is_found_in_another_file(self, steps: Steps) -> None:
        phash = await phash_of(steps, photo())
        turned = dihedral(phash)[3] ^ 0b101
        leaks = await bank(steps, KnownHash(EntryKind.PHASH, f"{turned:016x}"))
        _, (event,) = await said_of(steps, photo(quality=70))
        assert event.labels == (f"bank:{leaks.name}",)
        assert "the same picture" in event.raw["detail"]

    async def test_the_most_severe_bank_counts_and_all_are_named(self, steps: Steps) -> None:
        data = picture(seed=4)
        good = await bank(steps, file_of(data), polarity=Polarity.GOOD, action=Verdict.APPROVE, category="")
        bad = await bank(steps, file_of(data))
        _, (event,) = await said_of(steps, data)
        assert event.action is Verdict.REJECT
        assert event.labels == (f"bank:{bad.name}", f"bank:{good.name}")

    async def test_a_good_bank_approves(self, steps: Steps) -> None:
        data = picture(seed=5)
        await bank(steps, file_of(data), polarity=Polarity.GOOD, action=Verdict.APPROVE, category="")
        _, (event,) = await said_of(steps, data)
        assert (event.action, event.verdict, event.scores) == (Verdict.APPROVE, VendorVerdict.APPROVE, {})
        assert event.overrides

    async def test_a_second_run_says_the_same(self, steps: Steps) -> None:
        data = picture(seed=6)
        leaks = await bank(steps, file_of(data), flood_limit=1)
        media_id, first = await said_of(steps, data)
        assert await again(steps, media_id) == first
        async with steps.world.db.transaction() as tx:
            assert len(await tx.banks.matches(leaks.id, steps.world.library.id, after=None, limit=9)) == 1


class TestFlood:
    @pytest.mark.parametrize("polarity", list(Polarity))
    async def test_a_person_is_asked_once_about_an_entry_that_hits_too_often(
        self, steps: Steps, polarity: Polarity
    ) -> None:
        rules: dict[str, Any] = {"action": Verdict.QUARANTINE, "category": "csam"}
        if polarity is Polarity.GOOD:
            rules = {"action": Verdict.APPROVE, "category": ""}
        data = picture(seed=7)
        leaks = await bank(steps, file_of(data), polarity=polarity, flood_limit=1, **rules)
        told = [(await said_of(steps, data))[1][0] for _ in range(3)]
        assert [event.action for event in told] == [rules["action"], Verdict.REVIEW, Verdict.REVIEW]
        assert [event.verdict for event in told[1:]] == [VendorVerdict.REVIEW] * 2
        assert told[1].scores == {}
        (note,) = await floods(steps)
        assert note.mailed_at is None
        assert leaks.name in note.subject
        async with steps.world.db.transaction() as tx:
            (entry,) = await tx.banks.entries(leaks.id, state=EntryState.QUARANTINED, after=None, limit=9)
        assert f"mediagate banks release {steps.world.library.slug} {leaks.name} {entry.id}" in note.body

    async def test_each_flood_is_told(self, steps: Steps) -> None:
        data = picture(seed=8)
        leaks = await bank(steps, file_of(data), flood_limit=1)
        for _ in range(2):
            await said_of(steps, data)
            await said_of(steps, data)
            async with steps.world.db.transaction() as tx:
                (entry,) = await tx.banks.entries(leaks.id, state=EntryState.QUARANTINED, after=None, limit=9)
                await tx.banks.release(leaks.id, entry.id, by="ada")
        assert len(await floods(steps)) == 2


def photo(quality: int = 90) -> bytes:
    """A picture with enough in it for a fingerprint."""
    import io

    from PIL import Image, ImageDraw

    image = Image.new("RGB", (320, 240), "#203040")
    draw = ImageDraw.Draw(image)
    for number in range(24):
        x, y = (number * 53) % 300, (number * 97) % 220
        shape = (x, y, x + 20 + number * 3, y + 15 + number * 2)
        draw.rectangle(shape, fill=((number * 70) % 256, (number * 31) % 256, (number * 11) % 256))
    target = io.BytesIO()
    image.save(target, "JPEG", quality=quality)
    return target.getvalue()
