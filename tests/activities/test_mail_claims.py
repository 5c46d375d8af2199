"""One mail for each notification, also when two steps are at it or one was killed over it."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from activities.notifying import Notifying
from db.repositories.notifications import CLAIM
from db.tables import Notification, now
from mediagate.errors import MailUnavailable
from tests.world import World


async def owed(world: World, *, claimed_ago: timedelta | None = None) -> Notification:
    """A notification whose mail did not go out."""
    claimed_at = now() - claimed_ago if claimed_ago is not None else None
    note = Notification(
        library_id=world.library.id,
        key=uuid4().hex,
        kind="system_alert",
        subject="Alert",
        body="Something needs an operator.",
        mail_claimed_at=claimed_at,
    )
    async with world.db.transaction() as tx:
        return await tx.notifications.put(note)


async def mailed(world: World, note: Notification) -> bool:
    """True if its mail went out."""
    async with world.db.transaction() as tx:
        row = await tx.session.get(Notification, note.id)
    assert row
    return row.mailed_at is not None


class TestClaims:
    async def test_two_steps_that_end_together_send_one(self, world: World) -> None:
        note, notifying = await owed(world), Notifying(world.deps)
        outcomes = await asyncio.gather(*(notifying.mail(note) for _ in range(4)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {type(None), MailUnavailable}
        assert [mail.subject for mail in world.mailer.sent] == ["Alert"]
        await notifying.mail(note)
        assert (len(world.mailer.sent), await mailed(world, note)) == (1, True)

    async def test_one_that_another_is_at_is_looked_at_again(self, world: World) -> None:
        note = await owed(world, claimed_ago=timedelta(0))
        with pytest.raises(MailUnavailable) as caught:
            await Notifying(world.deps).mail(note)
        assert (caught.value.retry_after, world.mailer.sent) == (2, [])
        async with world.db.transaction() as tx:  # out of the way of other tests' sweeps
            await tx.notifications.end_mail(note.id, sent=True)

    async def test_a_killed_claimer_is_followed_by_another(self, world: World) -> None:
        note = await owed(world, claimed_ago=CLAIM + timedelta(seconds=1))
        await Notifying(world.deps).mail(note)
        assert (len(world.mailer.sent), await mailed(world, note)) == (1, True)

    async def test_a_server_that_is_away_leaves_the_claim_free(self, world: World) -> None:
        note, notifying = await owed(world), Notifying(world.deps)
        world.mailer.failing = True
        with pytest.raises(MailUnavailable):
            await notifying.mail(note)
        world.mailer.failing = False
        await notifying.mail(note)
        assert (len(world.mailer.sent), await mailed(world, note)) == (1, True)
