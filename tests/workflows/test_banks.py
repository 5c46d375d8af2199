"""Hash banks in the whole gate: a known file needs no vendor's word, one of a doubtful entry needs a person's."""

import hashlib
from typing import Any

import pytest

from db.tables import Bank
from mediagate.media.values import Status, Verdict
from mediagate.moderation.banks import EntryKind, KnownHash, Polarity
from tests.workflows import runs
from tests.world import World, picture


async def known(world: World, data: bytes, **fields: Any) -> Bank:
    """A bank of the library that knows this file."""
    values: dict[str, Any] = {"action": Verdict.REJECT, "category": "gore", "name": "leaks"}
    bank = Bank(library_id=world.library.id, **(values | fields))
    async with world.db.transaction() as tx:
        await tx.banks.add(bank)
        await tx.banks.put(bank.id, [KnownHash(EntryKind.SHA256, hashlib.sha256(data).hexdigest())], by="ada")
    return bank


class TestKnownFiles:
    @pytest.mark.parametrize(
        ("rules", "status"),
        [
            ({"action": Verdict.QUARANTINE, "category": "csam"}, Status.QUARANTINED),
            ({"action": Verdict.REJECT}, Status.REJECTED),
            ({"polarity": Polarity.GOOD, "action": Verdict.APPROVE, "category": ""}, Status.APPROVED),
        ],
        ids=["quarantine", "reject", "approve"],
    )
    async def test_are_decided_without_a_vendor(self, world: World, rules: dict[str, Any], status: Status) -> None:
        data = picture(seed=31)
        await known(world, data, **rules)
        media_id = await world.upload(data)
        result = await world.ended(media_id)
        assert (result["status"], result["reason"]) == (status.value, "bank:leaks")
        assert (await world.media(media_id)).detail.startswith("leaks: the same file")
        assert media_id not in world.vendor.submissions

    async def test_a_person_decides_where_the_entry_hit_too_often(self, world: World) -> None:
        data = picture(seed=32)
        await known(world, data, flood_limit=1)
        first = await world.upload(data)
        assert (await world.ended(first))["status"] == "rejected"
        second = await world.upload(data)
        await runs.stage(world, second, Status.AWAITING_MODERATION)
        await world.webhook(world.event(second))
        await runs.stage(world, second, Status.IN_REVIEW)
