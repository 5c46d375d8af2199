"""What one decode of an upload leaves behind: pictures, sampled frames, the fingerprint, and the local model's word."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from mediagate.media.values import Status
from mediagate.moderation.findings import LOCAL_VENDOR
from tests.unit.classifier.models import RED, colour_model, jpeg, write
from tests.world import GateWith, World, picture


def animation(*colours: str) -> bytes:
    """A GIF of one second a frame."""
    frames = [Image.new("RGB", (64, 48), colour) for colour in colours]
    target = io.BytesIO()
    frames[0].save(target, "GIF", save_all=True, append_images=frames[1:], duration=1000)
    return target.getvalue()


class TestAnimations:
    async def test_moderation_gets_the_poster_and_every_sampled_frame(self, world: World) -> None:
        media_id = await world.upload(animation("red", "lime", "blue"), content_type="image/gif")
        await world.until(media_id, Status.AWAITING_MODERATION)
        submission = world.vendor.submissions[media_id]
        assert [url.partition("?")[0].rpartition("/")[2] for url in submission.frame_urls] == [
            "moderation-1",
            "moderation-2",
        ]
        colours = [await dominant(world, url) for url in (submission.media_url, *submission.frame_urls)]
        assert colours == ["red", "green", "blue"]

    async def test_no_frame_outlives_the_approval(self, world: World) -> None:
        media_id = await world.upload(animation("red", "lime"), content_type="image/gif")
        await world.until(media_id, Status.AWAITING_MODERATION)
        url = world.vendor.submissions[media_id].frame_urls[0]
        await world.webhook(world.event(media_id))
        await world.ended(media_id)
        assert [key for key in await world.objects(media_id) if "moderation" in key] == []
        assert (await world.http.get(url, headers={"Authorization": ""})).status_code == 404


async def dominant(world: World, url: str) -> str:
    """The channel that a picture is made of, as the vendor sees it."""
    answer: httpx.Response = await world.http.get(url, headers={"Authorization": ""})
    assert answer.status_code == 200
    with Image.open(io.BytesIO(answer.content), formats=["JPEG"]) as shown:
        means = shown.resize((1, 1)).getpixel((0, 0))
    assert isinstance(means, tuple)
    return ("red", "green", "blue")[means.index(max(means))]


class TestFingerprint:
    async def test_a_copy_that_was_turned_and_encoded_again_is_found(self, world: World) -> None:
        first = await world.upload(photo())
        second = await world.upload(photo(turned=True))
        for media_id in (first, second):
            await world.until(media_id, Status.AWAITING_MODERATION)
        answer = await world.http.get(f"/api/v1/media/{first}/duplicates")
        (found,) = answer.json()["near"]
        assert (found["media_id"], found["form"]) == (second, "rotate90")
        assert answer.json()["exact"] == []


def photo(*, turned: bool = False) -> bytes:
    """Shapes without any symmetry."""
    with Image.open(io.BytesIO(picture(480, 360, seed=77)), formats=["JPEG"]) as opened:
        scene = opened.copy()
    scene.paste((250, 240, 20), (300, 40, 460, 130))
    scene.paste((10, 60, 200), (40, 250, 130, 340))
    target = io.BytesIO()
    (scene.transpose(Image.Transpose.ROTATE_270) if turned else scene).save(
        target, "JPEG", quality=60 if turned else 92
    )
    return target.getvalue()


class TestLocalModel:
    @pytest.fixture
    async def judged(self, gate_with: GateWith, tmp_path: Path) -> AsyncIterator[World]:
        """A gate whose model takes red for nudity."""
        config = write(tmp_path, colour_model())
        given = {"onnx_model": config.model, "onnx_sha256": config.sha256, "onnx_labels": config.labels}
        async with gate_with(**given) as world:
            yield world

    async def test_its_word_counts_beside_the_vendors(self, judged: World) -> None:
        media_id = await judged.upload(jpeg(RED))
        await judged.until(media_id, Status.AWAITING_MODERATION)
        await judged.webhook(judged.event(media_id, "approve"))
        await judged.until(media_id, Status.REJECTED, Status.IN_REVIEW, Status.QUARANTINED)
        findings = (await judged.read(media_id))["decision"]["findings"]
        assert {finding["vendor"] for finding in findings} == {LOCAL_VENDOR, "memory"}

    async def test_it_does_not_stand_in_for_the_vendor(self, judged: World) -> None:
        media_id = await judged.upload(jpeg((20, 20, 220)))
        await judged.until(media_id, Status.AWAITING_MODERATION)
        await judged.webhook(judged.event(media_id, "reject"))
        assert (await judged.ended(media_id))["status"] == Status.REJECTED
