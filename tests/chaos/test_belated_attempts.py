"""An attempt that was given up for dead may still be alive: what it does late must change nothing."""

from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.rendering import Rendering
from activities.verifying import Verifying
from mediagate.media.values import Status
from tests.world import World, picture
from workflows.messages import MediaRef


async def state(world: World, media_id: str) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Manifest, objects and timeline of an item."""
    media = await world.media(media_id)
    async with world.db.transaction() as tx:
        variants = [row.model_dump() for row in await tx.media.variants(media.id)]
    return variants, await world.objects(media_id), await world.timeline(media_id)


class TestRendering:
    async def test_that_comes_after_the_filing_leaves_nothing(self, world: World) -> None:
        media_id = await world.upload(picture())
        await world.until(media_id, Status.AWAITING_MODERATION)
        await world.webhook(world.event(media_id))
        await world.ended(media_id)
        before = await state(world, media_id)
        ref = MediaRef(media_id=media_id, library=world.library.slug)
        await ActivityEnvironment().run(Rendering(world.deps, Verifying(world.deps)).verify_and_render, ref)
        assert await state(world, media_id) == before
