"""What the rules for texts say of an upload, in the step that makes its pictures."""

from typing import Any
from uuid import UUID

import pytest

from mediagate.media.values import Status, Verdict
from mediagate.moderation.findings import TEXT_DETECTOR, VendorEvent, VendorVerdict
from tests.activities.steps import Steps, perform
from tests.world import World, picture

RULES: dict[str, Any] = {
    "blocklists": {
        "slurs": {"category": "hate", "entries": ["scum"], "action": "quarantine"},
        "mist": {"category": "profanity", "entries": ["mist"], "language": "de", "action": "review"},
    }
}


async def heard(steps: Steps, **texts: Any) -> list[VendorEvent]:
    """What the step hands to the run about an upload with these words."""
    await steps.world.configure(text=RULES)
    media_id = await steps.world.seal(picture(), **texts)
    result = await perform(steps.rendering.verify_and_render, steps.ref(media_id))
    return [event for event in result.events if event.vendor == TEXT_DETECTOR]


class TestTexts:
    @pytest.mark.parametrize(
        "texts", [{"caption": "such scum"}, {"title": "$cum"}, {"alt_text": "s c u m"}, {"tags": ["lake", "scum"]}]
    )
    async def test_every_field_is_looked_at(self, steps: Steps, texts: dict[str, Any]) -> None:
        (event,) = await heard(steps, **texts)
        assert (event.verdict, event.action) == (VendorVerdict.REJECT, Verdict.QUARANTINE)
        assert event.labels == ("text:slurs",)
        assert event.raw == {"detail": f"{next(iter(texts))}: slurs"}

    async def test_clean_words_are_no_approval(self, steps: Steps) -> None:
        assert await heard(steps, caption="A boat", title="Sunset", tags=["lake"]) == []

    @pytest.mark.parametrize(("language", "events"), [("de", 1), ("en", 0), ("", 1)])
    async def test_the_declared_language_chooses_the_lists(self, steps: Steps, language: str, events: int) -> None:
        assert len(await heard(steps, caption="Mist", language=language)) == events

    async def test_a_second_run_says_the_same(self, steps: Steps) -> None:
        await steps.world.configure(text=RULES)
        media_id = await steps.world.seal(picture(), caption="scum, a@b.example")
        first, second = [await perform(steps.rendering.verify_and_render, steps.ref(media_id)) for _ in range(2)]
        assert first.events == second.events
        async with steps.world.db.transaction() as tx:
            stored = [row.event for row in await tx.inbox.of_media(UUID(media_id))]
        assert [VendorEvent.model_validate(event) for event in stored] == list(first.events)
        assert "a@b.example" not in str(stored)


class TestWholeUploads:
    async def test_a_rule_that_demands_it_ends_the_upload_before_a_vendor_is_asked(self, world: World) -> None:
        await world.configure(text=RULES)
        media_id = await world.upload(picture(), title="Such s.c.u.m")
        await world.until(media_id, Status.QUARANTINED)
        assert world.vendor.submissions == {}
