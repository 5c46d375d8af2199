"""What the vendors that answer at once have in common, shown on three of them, and how the settings make them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from mediagate.errors import BadSignature, InvalidRequest, VendorUnavailable
from mediagate.moderation.categories import Category
from mediagate.settings import Settings, VendorKind, VendorSettings
from mediagate.vendors.at_once import AtOnceVendor
from mediagate.vendors.google_vision import GoogleVisionVendor
from mediagate.vendors.interface import Answers
from mediagate.vendors.openai import OpenAIVendor
from mediagate.vendors.rekognition import RekognitionVendor
from mediagate.wiring import open_vendors
from tests.submissions import reading
from tests.unit.vendors.recorded import FRAME, MEDIA_ID, PICTURE, Line, recorded, submission

KINDS: Mapping[VendorKind, type[AtOnceVendor]] = {
    VendorKind.OPENAI: OpenAIVendor,
    VendorKind.GOOGLE_VISION: GoogleVisionVendor,
    VendorKind.REKOGNITION: RekognitionVendor,
}
every = pytest.mark.parametrize("kind", [*KINDS])


def made(kind: VendorKind, line: Line, **settings: Any) -> AtOnceVendor:
    keys = {"api_key": SecretStr("key"), **settings}
    if kind is VendorKind.REKOGNITION:
        keys = {"api_secret": SecretStr("secret"), "region": "us-east-1", **keys}
    maker: Any = KINDS[kind]
    vendor: AtOnceVendor = maker(name="eyes", client=line.client, **keys)
    return vendor


def clean(kind: VendorKind) -> Any:
    return recorded(kind.value, "response_clean")


@every
class TestEvent:
    async def test_is_the_final_word_with_the_receipt(self, kind: VendorKind) -> None:
        vendor = made(kind, Line(clean(kind)))
        receipt = await vendor.submit(submission(), reading(PICTURE))
        (event,) = receipt.events
        assert vendor.capabilities.answers is Answers.AT_ONCE
        assert (event.media_id, event.workflow_id, event.vendor) == (MEDIA_ID, f"media-{MEDIA_ID}", "eyes")
        assert (event.settles, receipt.calls) == (True, 1)
        assert event.scores.keys() <= {*vendor.capabilities.categories} <= {*Category}

    async def test_has_the_same_id_for_the_same_picture_only(self, kind: VendorKind) -> None:
        vendor = made(kind, Line(*[clean(kind)] * 3))
        first, again, other = [
            (await vendor.submit(submission(), reading(picture))).events[0].event_id
            for picture in (PICTURE, PICTURE, FRAME)
        ]
        assert first == again != other


class TestEventId:
    async def test_tells_models_apart(self) -> None:
        answers = [clean(VendorKind.REKOGNITION) | {"ModerationModelVersion": version} for version in ("7.0", "8.0")]
        vendor = made(VendorKind.REKOGNITION, Line(*answers))
        ids = {(await vendor.submit(submission(), reading(PICTURE))).events[0].event_id for _ in answers}
        assert len(ids) == 2

    async def test_tells_captions_apart_where_they_are_looked_at(self) -> None:
        vendor = made(VendorKind.OPENAI, Line(*[clean(VendorKind.OPENAI)] * 2))
        ids = {
            (await vendor.submit(submission(caption=caption), reading(PICTURE))).events[0].event_id
            for caption in ("one", "another")
        }
        assert len(ids) == 2


@every
class TestSubmit:
    async def test_a_picture_that_is_too_large_is_not_sent(self, kind: VendorKind) -> None:
        line = Line()
        vendor = made(kind, line)
        limit = vendor.capabilities.max_bytes
        with pytest.raises(InvalidRequest, match=rf"Picture 1 .* {limit} at most"):
            await vendor.submit(submission(frames=1), reading(PICTURE, b"x" * (limit + 1)))
        assert line.sent == []

    async def test_a_type_that_is_not_taken_is_not_sent(self, kind: VendorKind) -> None:
        line = Line()
        with pytest.raises(InvalidRequest, match="image/jpeg"):
            await made(kind, line).submit(submission(content_type="image/avif"), reading(PICTURE))
        assert line.sent == []

    @pytest.mark.parametrize("status", [408, 500, 502, 503])
    async def test_trouble_is_for_now(self, kind: VendorKind, status: int) -> None:
        with pytest.raises(VendorUnavailable, match=str(status)):
            await made(kind, Line(httpx.Response(status))).submit(submission(), reading(PICTURE))

    async def test_a_failing_frame_leaves_no_verdict(self, kind: VendorKind) -> None:
        many = {"responses": clean(kind)["responses"]} if kind is VendorKind.GOOGLE_VISION else clean(kind)
        with pytest.raises(VendorUnavailable):
            await made(kind, Line(many, httpx.Response(500))).submit(submission(frames=1), reading(PICTURE, FRAME))


@every
class TestLater:
    async def test_a_poll_brings_nothing(self, kind: VendorKind) -> None:
        line = Line()
        assert await made(kind, line).poll(MEDIA_ID) == []
        assert line.sent == []

    def test_no_webhook_is_its_own(self, kind: VendorKind) -> None:
        with pytest.raises(BadSignature, match="sends no webhooks"):
            made(kind, Line()).parse_callback({}, b"{}", now=datetime.now(UTC), query={})


@every
class TestSettings:
    async def test_make_the_vendor(self, kind: VendorKind) -> None:
        settings = VendorSettings(kind=kind, api_key=SecretStr("key"), api_secret=SecretStr("secret"))
        async with open_vendors(Settings(vendors={"eyes": settings}, vendor_name="eyes")) as vendors:
            vendor = vendors["eyes"]
            assert (type(vendor), vendor.name) == (KINDS[kind], "eyes")

    async def test_without_a_key_say_so_at_the_start(self, kind: VendorKind) -> None:
        settings = Settings(vendors={"eyes": VendorSettings(kind=kind)}, vendor_name="eyes")
        with pytest.raises(ValueError, match=f"Vendor eyes: {kind.value} needs api_key"):
            async with open_vendors(settings):
                pass
