"""Every activity may run twice with the same effect: the same rows, the same objects, the same bytes."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from db.repositories.notifications import CLAIM
from db.tables import Batch, now
from mediagate.errors import MailUnavailable
from mediagate.media.values import Status, Verdict
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from tests.activities.steps import Steps, perform
from tests.world import VENDOR, picture
from workflows.messages import FailureInput

Step = Callable[[Steps, str], Awaitable[Any]]

STEPS: dict[str, Step] = {
    "render": lambda steps, id_: perform(steps.rendering.verify_and_render, steps.ref(id_)),
    "submit": lambda steps, id_: perform(steps.moderation.submit_for_moderation, steps.submission(id_)),
    "poll": lambda steps, id_: perform(steps.moderation.poll_vendor, steps.poll(id_)),
    "decide": lambda steps, id_: perform(
        steps.projecting.record_decision, steps.decision(id_, verdict=Verdict.APPROVE, decided_by="person:ada")
    ),
    "file": lambda steps, id_: steps.file(id_),
    "notify": lambda steps, id_: perform(steps.notifying.notify_admins, steps.notice(id_)),
}
"""One upload, in order."""


class TestEveryStep:
    @pytest.mark.parametrize("name", STEPS)
    async def test_a_second_run_changes_nothing(self, steps: Steps, name: str) -> None:
        media_id = await steps.world.seal(picture())
        for step in list(STEPS)[: list(STEPS).index(name) + 1]:
            first = await STEPS[step](steps, media_id)
        before = await steps.state(media_id)
        second = await STEPS[name](steps, media_id)
        assert await steps.state(media_id) == before
        assert second == first or name == "file"

    async def test_a_whole_upload_that_repeats_every_step_ends_like_one_that_does_not(self, steps: Steps) -> None:
        media_id = await steps.world.seal(picture())
        for step in STEPS.values():
            await step(steps, media_id)
            await step(steps, media_id)
        state = await steps.state(media_id)
        assert state["media"]["status"] is Status.APPROVED
        assert (len(state["decisions"]), len(state["notifications"]), len(state["variants"])) == (1, 1, 3)
        assert len({line["key"] for line in state["timeline"]}) == len(state["timeline"])
        assert len(steps.world.vendor.submissions) == 1

    async def test_a_failure_is_recorded_once(self, steps: Steps) -> None:
        media_id = await steps.rendered()
        job = FailureInput(**steps.ref(media_id).model_dump(), kind="ObjectCorrupt", detail="Altered.")
        await perform(steps.projecting.record_failure, job)
        before = await steps.state(media_id)
        await perform(steps.projecting.record_failure, job)
        assert await steps.state(media_id) == before
        assert (before["media"]["status"], before["media"]["reason"]) == (Status.FAILED, "ObjectCorrupt")


class TestRenderedBytes:
    async def test_they_are_the_same_each_time(self, steps: Steps) -> None:
        data = picture(900, 700, seed=3)
        states = [await steps.state(await steps.rendered(data)) for _ in range(2)]
        digests = [sorted(variant["sha256"] for variant in state["variants"]) for state in states]
        assert digests[0] == digests[1]


class TestRecordDecision:
    async def test_the_first_decision_stands_against_another_one(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        record = steps.projecting.record_decision
        first = await perform(record, steps.decision(media_id, verdict=Verdict.REJECT, decided_by="person:ada"))
        second = await perform(record, steps.decision(media_id, verdict=Verdict.APPROVE, decided_by="person:bob"))
        assert second == first
        (row,) = (await steps.state(media_id))["decisions"]
        assert (row["verdict"], row["decided_by"]) == ("reject", "person:ada")

    async def test_what_opened_a_review_stays_beside_what_ended_it(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        record, unsure = steps.projecting.record_decision, event(media_id, VendorVerdict.REVIEW)
        opened = await perform(record, steps.decision(media_id, events=(unsure,)))
        assert opened.verdict is Verdict.REVIEW
        assert (await steps.world.media(media_id)).status is Status.IN_REVIEW
        ended = await perform(record, steps.decision(media_id, events=(unsure,), verdict=Verdict.APPROVE))
        assert ended.verdict is Verdict.APPROVE
        assert [row["final"] for row in (await steps.state(media_id))["decisions"]].count(True) == 1
        assert await perform(record, steps.decision(media_id, events=(unsure,))) == ended

    async def test_policy_version_and_findings_are_kept(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        said = event(media_id, VendorVerdict.REJECT, scores={"gore": 0.9})
        await perform(steps.projecting.record_decision, steps.decision(media_id, events=(said,)))
        (row,) = (await steps.state(media_id))["decisions"]
        assert row["policy_version"] == "thresholds-1"
        assert [finding["category"] for finding in row["findings"]] == ["verdict", "gore"]


class TestSubmitForModeration:
    async def test_events_that_came_before_the_receipt_are_handed_on(self, steps: Steps) -> None:
        media_id = await steps.rendered()
        await steps.world.webhook(steps.world.event(media_id, "reject"))
        receipt = await perform(steps.moderation.submit_for_moderation, steps.submission(media_id))
        assert [said.verdict for said in receipt.events] == [VendorVerdict.REJECT]

    async def test_a_decided_item_is_not_put_back_under_moderation(self, steps: Steps) -> None:
        media_id = await steps.submitted()
        await steps.file(media_id, Verdict.REJECT)
        await perform(steps.moderation.submit_for_moderation, steps.submission(media_id))
        assert (await steps.world.media(media_id)).status is Status.REJECTED


class TestNotifyAdmins:
    async def test_a_mail_that_is_sent_again_has_the_same_id(self, steps: Steps) -> None:
        world = steps.world
        media_id = await steps.rendered()
        world.mailer.failing = True
        with pytest.raises(MailUnavailable):
            await perform(steps.notifying.notify_admins, steps.notice(media_id))
        (note,) = (await steps.state(media_id))["notifications"]
        world.mailer.failing = False
        for _ in range(2):
            await perform(steps.notifying.notify_admins, steps.notice(media_id))
        (mail,) = world.mailer.sent
        assert mail.message_id == f"<{note['id']}@{steps.deps.settings.mail_from.rpartition('@')[2]}>"

    async def test_a_mail_whose_sending_was_not_noted_goes_out_under_the_same_id(self, steps: Steps) -> None:
        media_id = await steps.rendered()
        await perform(steps.notifying.notify_admins, steps.notice(media_id))
        async with steps.world.db.transaction() as tx:
            (note,) = await tx.notifications.of_media(UUID(media_id))
            note.mailed_at, note.mail_claimed_at = None, now() - 2 * CLAIM
        await perform(steps.notifying.notify_admins, steps.notice(media_id))
        first, second = steps.world.mailer.sent
        assert first.message_id == second.message_id

    async def test_without_admins_nothing_is_mailed_and_nothing_is_owed(self, steps: Steps) -> None:
        quiet = steps.over(settings=steps.deps.settings.model_copy(update={"admin_mails": ()}))
        media_id = await steps.rendered()
        await perform(quiet.notifying.notify_admins, quiet.notice(media_id))
        assert steps.world.mailer.sent == []
        async with steps.world.db.transaction() as tx:
            (note,) = await tx.notifications.of_media(UUID(media_id))
        assert note.mailed_at is not None

    async def test_a_batch_is_summed_up_once_with_its_last_file(self, steps: Steps) -> None:
        world, batch = steps.world, Batch(library_id=steps.world.library.id, files=2)
        async with world.db.transaction() as tx:
            tx.session.add(batch)
        ids = [await world.seal(picture(), batch_id=batch.id) for _ in range(2)]
        for media_id in ids:
            async with world.db.transaction() as tx:
                (await tx.media.get(UUID(media_id))).status = Status.APPROVED
            for _ in range(2):
                await perform(steps.notifying.notify_admins, steps.notice(media_id, batch_id=str(batch.id)))
        subjects = [mail.subject for mail in world.mailer.sent]
        assert len(subjects) == 3
        assert sum("batch" in subject.lower() for subject in subjects) == 1


def event(media_id: str, verdict: VendorVerdict, **fields: Any) -> VendorEvent:
    """A vendor's final word."""
    return VendorEvent(event_id=f"e-{media_id}", vendor=VENDOR, media_id=media_id, verdict=verdict, **fields)
