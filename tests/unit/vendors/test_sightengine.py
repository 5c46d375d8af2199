"""What Sightengine's answers become. The fixtures have the shape of its documented examples."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from mediagate.errors import InvalidRequest, VendorUnavailable
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.vendors.sightengine import DEFAULT_MODELS, SightengineVendor
from tests.submissions import reading
from tests.unit.vendors.recorded import MEDIA_ID, recorded, submission

SUBMISSION = submission(caption="a cat")

Handler = Callable[[httpx.Request], httpx.Response]


def vendor(handler: Handler, **settings: Any) -> SightengineVendor:
    client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    credentials = {"api_user": SecretStr("user-1"), "api_secret": SecretStr("secret-1")}
    return SightengineVendor(name="sight", client=client, **{**credentials, **settings})


def answering(body: object, status: int = 200, **headers: str) -> SightengineVendor:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return vendor(lambda _: httpx.Response(status, content=content, headers=headers))


def fixture(name: str) -> dict[str, Any]:
    found: dict[str, Any] = recorded("sightengine", name)
    return found


async def event_of(one: SightengineVendor, picture: bytes = b"jpeg") -> VendorEvent:
    (event,) = (await one.submit(SUBMISSION, reading(picture))).events
    return event


class TestRequest:
    async def test_is_as_documented(self) -> None:
        seen: list[httpx.Request] = []

        def handler(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(200, json=fixture("response_boxing"))

        await vendor(handler, url="http://vendor/").submit(SUBMISSION, reading(b"the picture"))
        (request,) = seen
        body = request.content.decode()
        assert (request.method, str(request.url)) == ("POST", "http://vendor/1.0/check.json")
        assert request.headers["content-type"].startswith("multipart/form-data")
        for name, value in {"api_user": "user-1", "api_secret": "secret-1", "models": ",".join(DEFAULT_MODELS)}.items():
            assert f'name="{name}"\r\n\r\n{value}\r\n' in body
        assert f'name="media"; filename="{MEDIA_ID}-0.jpg"\r\nContent-Type: image/jpeg\r\n\r\nthe picture\r\n' in body

    async def test_the_caption_stays_here(self) -> None:
        seen: list[bytes] = []

        def handler(request: httpx.Request) -> httpx.Response:
            seen.append(request.content)
            return httpx.Response(200, json=fixture("response_boxing"))

        await vendor(handler).submit(SUBMISSION, reading(b"x"))
        assert b"a cat" not in seen[0]


class TestScores:
    async def test_combat_sports_are_no_violence(self) -> None:
        event = await event_of(answering(fixture("response_boxing")))
        assert event.verdict is VendorVerdict.SCORED
        assert event.scores == {
            "nudity": 0.001,
            "suggestive": 0.004,
            "weapons": 0.02,
            "drugs": 0.01,
            "alcohol": 0.02,
            "tobacco": 0.01,
            "gambling": 0.01,
            "hate": 0.01,
            "terrorism": 0.01,
            "harassment": 0.03,
            "gore": 0.01,
            "violence": 0.02,
            "self_harm": 0.01,
            "minors": 0.0,
            "sexual_minors": 0.0,
        }
        assert (event.labels, event.model_version) == ((), ",".join(DEFAULT_MODELS))

    async def test_nudity_where_a_minor_is_seen(self) -> None:
        event = await event_of(answering(fixture("response_minor")))
        assert event.verdict is VendorVerdict.SCORED
        assert {name: event.scores[name] for name in ("nudity", "minors", "sexual_minors", "terrorism")} == {
            "nudity": 0.93,
            "minors": 0.71,
            "sexual_minors": 0.71,
            "terrorism": 0.61,
        }
        assert event.labels == (
            "nudity.sexual_display",
            "nudity.erotica",
            "offensive.terrorist",
            "faces.attributes.minor",
        )

    async def test_only_the_models_that_were_asked_for(self) -> None:
        one = vendor(lambda _: httpx.Response(200, json=fixture("response_minor")), models=("alcohol", "gore-2.0"))
        event = await event_of(one)
        assert event.scores == {"alcohol": 0.02, "gore": 0.01}
        assert (one.capabilities.categories, one.capabilities.cost_micros) == (("alcohol", "gore"), 5_800)

    async def test_the_same_picture_makes_the_same_event(self) -> None:
        one = answering(fixture("response_minor"))
        first, again, other = [await event_of(one, picture) for picture in (b"a", b"a", b"b")]
        assert first.event_id == again.event_id != other.event_id


class TestNotUnderstood:
    @pytest.mark.parametrize(
        ("place", "value"),
        [
            ("status", "failure"),
            ("status", None),
            ("request", None),
            ("media", {"id": "med_1"}),
            ("media", {"id": "med_1", "uri": "another.jpg"}),
            ("nudity", None),
            ("nudity", {"sexual_activity": 0.1}),
            ("gore", {"prob": 7}),
            ("gore", {"prob": -0.1}),
            ("gore", {"prob": "0.5"}),
            ("gore", {"prob": True}),
            ("weapon", {"classes": []}),
            ("faces", {}),
            ("faces", [{}]),
            ("faces", [7]),
        ],
        ids=range(15),
    )
    async def test_is_no_answer(self, place: str, value: object) -> None:
        with pytest.raises(VendorUnavailable, match="not understood"):
            await event_of(answering(fixture("response_boxing") | {place: value}))

    async def test_nan_is_no_number(self) -> None:
        body = json.dumps(fixture("response_boxing") | {"gore": {"prob": float("nan")}}).encode()
        with pytest.raises(VendorUnavailable, match="NaN"):
            await event_of(answering(body))


class TestErrors:
    @pytest.mark.parametrize("status", [400, 401, 403])
    async def test_wrong_credentials_are_ours_to_mend(self, status: int) -> None:
        with pytest.raises(VendorUnavailable):
            await event_of(answering(fixture("error_credentials"), status))

    @pytest.mark.parametrize("status", [400, 402, 429])
    async def test_a_used_up_quota_is_filled_again(self, status: int) -> None:
        one = vendor(lambda _: httpx.Response(status, json=fixture("error_usage_limit"), headers={"Retry-After": "9"}))
        with pytest.raises(VendorUnavailable, match="usage_limit") as caught:
            await event_of(one)
        assert caught.value.retry_after == 9

    async def test_an_unreadable_picture_stays_so(self) -> None:
        with pytest.raises(InvalidRequest):
            await event_of(answering(fixture("error_media"), 400))

    @pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"error": "no"}'], ids=range(3))
    async def test_without_the_documented_body_the_status_counts(self, body: bytes) -> None:
        with pytest.raises(InvalidRequest):
            await event_of(answering(body, 400))
        with pytest.raises(VendorUnavailable):
            await event_of(answering(body, 502))


class TestSettings:
    @pytest.mark.parametrize("missing", ["api_user", "api_secret"])
    def test_credentials_are_needed(self, missing: str) -> None:
        with pytest.raises(ValueError, match=r"sight: .*api_key.*api_secret"):
            vendor(lambda _: httpx.Response(200), **{missing: SecretStr("")})

    def test_models_must_be_known(self) -> None:
        with pytest.raises(ValueError, match=r"nudity-9 is not among the models nudity-2\.1"):
            vendor(lambda _: httpx.Response(200), models=("weapon", "nudity-9"))
