"""A mark that cannot be drawn is no fault of the upload: it waits, and goes on when the mark is mended."""

from typing import Any

import pytest

from mediagate.errors import WatermarkUnusable
from mediagate.storage import keys
from tests.activities.steps import Steps, perform
from tests.world import picture

SHA256 = "ab" * 32


class TestUnusableMark:
    @pytest.mark.parametrize(
        ("watermark", "told"),
        [
            ({"text": "図"}, r"U\+56F3"),
            ({"image_key": "gone"}, "cannot be used"),
            ({"image_key": "bad"}, "cannot be used"),
        ],
        ids=["glyphs", "image-gone", "image-bad"],
    )
    async def test_the_upload_waits_until_it_is_mended(
        self, steps: Steps, watermark: dict[str, Any], told: str
    ) -> None:
        world = steps.world
        if name := watermark.get("image_key"):
            key = keys.watermark_image(world.library.slug, SHA256)
            watermark = {"image_key": key}
            if name == "bad":
                await world.store.put(key, b"<svg/>", content_type="application/octet-stream")
        media_id = await world.seal(picture())
        await world.configure(watermark=watermark)
        before = await world.objects(media_id)
        with pytest.raises(WatermarkUnusable, match=told) as raised:
            await perform(steps.rendering.verify_and_render, steps.ref(media_id))
        assert raised.value.retry_after == 60
        assert await world.objects(media_id) == before
        await world.configure(watermark={"text": "© me"})
        assert (await perform(steps.rendering.verify_and_render, steps.ref(media_id))).refused is None
        assert len(await world.objects(media_id)) > len(before)
