"""The simulator's OpenAI, Google Vision and Rekognition: what they check, and how they refuse."""

import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from fastapi import FastAPI
from PIL import Image

from devstack.wires import google_vision, openai, rekognition
from devstack.wires.faults import Faults
from devstack.wires.wire import Wire

ROUTERS = {"openai": openai.router, "google_vision": google_vision.router, "rekognition": rekognition.router}
URL = "http://vendor/rekognition/"
AWS = {"Content-Type": rekognition.CONTENT_TYPE, "X-Amz-Target": rekognition.TARGET}


@asynccontextmanager
async def wired(name: str, *, faults: Faults | None = None, key: str = "key") -> AsyncIterator[httpx.AsyncClient]:
    """A client of one wire."""
    wire = Wire(name, key=key, secret="secret")
    wire.set(faults or Faults())
    app = FastAPI()
    app.include_router(ROUTERS[name](wire), prefix=f"/{name}")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://vendor") as client:
        yield client
    await wire.close()


def picture(colour: str = "green") -> str:
    """A JPEG of one colour, in base64."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def image_url(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def data_url(data: str) -> dict[str, Any]:
    return image_url(f"data:image/jpeg;base64,{data}")


def signed(body: bytes, *, key: str = "key", secret: str = "secret", region: str = "eu-west-1") -> dict[str, str]:
    request = AWSRequest("POST", URL, data=body, headers=AWS)
    SigV4Auth(Credentials(key, secret, "token"), "rekognition", region).add_auth(request)
    return dict(request.headers.items())


def detect(data: str, **more: Any) -> bytes:
    return json.dumps({"Image": {"Bytes": data}, **more}).encode()


class TestOpenAI:
    async def ask(self, body: Any, *, token: str = "key", faults: Faults | None = None) -> httpx.Response:
        async with wired("openai", faults=faults) as client:
            headers = {"Authorization": f"Bearer {token}"}
            return await client.post("/openai/v1/moderations", json=body, headers=headers)

    async def test_a_picture_alone_is_scored_by_what_pictures_can_show(self) -> None:
        answer = await self.ask({"model": "omni-moderation-latest", "input": [data_url(picture("red"))]})
        (result,) = answer.json()["results"]
        assert (result["flagged"], result["category_scores"]["violence"]) == (True, 0.97)
        assert result["category_applied_input_types"]["violence"] == ["image"]
        assert result["category_applied_input_types"]["sexual/minors"] == []

    async def test_a_text_alone_is_taken(self) -> None:
        answer = await self.ask({"input": "a text"})
        (result,) = answer.json()["results"]
        assert (result["flagged"], result["category_applied_input_types"]["hate"]) == (False, ["text"])

    async def test_the_key_is_checked(self) -> None:
        answer = await self.ask({"input": "a text"}, token="another")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"input": [data_url(picture()), data_url(picture())]}, 400, "too_many_images"),
            ({"input": [data_url("bm8gcGljdHVyZQ==")]}, 400, "invalid_image"),
            ({"input": [data_url("%")]}, 400, "invalid_image"),
            ({"input": [image_url("https://vendor.example/picture.jpg")]}, 400, "invalid_image"),
            ({"input": "a text", "model": "gpt-6"}, 404, "model_not_found"),
            ({"input": []}, 400, None),
            ({"input": [{"type": "audio"}]}, 400, None),
            ({"input": [1]}, 400, None),
            ({}, 400, None),
            ([], 400, None),
        ],
        ids=range(10),
    )
    async def test_what_it_cannot_take_is_refused_in_its_format(self, body: Any, status: int, code: str | None) -> None:
        answer = await self.ask(body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["type"]) == (status, code, "invalid_request_error")

    async def test_a_fault_is_said_in_its_format(self) -> None:
        answer = await self.ask({"input": "a text"}, faults=Faults(limited=1, retry_after=9))
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert answer.headers["Retry-After"] == "9"


class TestGoogleVision:
    async def ask(self, body: Any, *, key: str = "key", faults: Faults | None = None) -> httpx.Response:
        async with wired("google_vision", faults=faults) as client:
            return await client.post("/google_vision/v1/images:annotate", json=body, headers={"x-goog-api-key": key})

    def body(self, *pictures: str, feature: str = "SAFE_SEARCH_DETECTION") -> dict[str, Any]:
        return {"requests": [{"image": {"content": data}, "features": [{"type": feature}]} for data in pictures]}

    async def test_each_picture_is_answered_in_its_place(self) -> None:
        answer = await self.ask(self.body(picture("red"), "bm8gcGljdHVyZQ==", picture("blue"), "%"))
        first, second, third, fourth = answer.json()["responses"]
        assert first["safeSearchAnnotation"]["violence"] == "VERY_LIKELY"
        assert second == fourth == google_vision.BAD_IMAGE
        assert third["safeSearchAnnotation"]["adult"] == "POSSIBLE"

    async def test_a_picture_elsewhere_than_on_this_machine_cannot_be_had(self) -> None:
        image = {"source": {"imageUri": "https://vendor.example/picture.jpg"}}
        answer = await self.ask({"requests": [{"image": image, "features": [{"type": "SAFE_SEARCH_DETECTION"}]}]})
        assert answer.json() == {"responses": [google_vision.BAD_IMAGE]}

    @pytest.mark.parametrize(("key", "status"), [("", 403), ("another", 400)])
    async def test_the_key_is_checked(self, key: str, status: int) -> None:
        answer = await self.ask(self.body(picture()), key=key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)

    async def test_a_wrong_key_is_a_bad_request_with_a_reason(self) -> None:
        answer = await self.ask(self.body(picture()), key="another")
        assert answer.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"

    async def test_what_it_cannot_take_is_refused_in_its_format(self) -> None:
        many, other = self.body(*["YQ=="] * 17), self.body("YQ==", feature="FACE_DETECTION")
        bodies: list[Any] = [many, other, {}, [], {"requests": [1]}]
        for body in bodies:
            answer = await self.ask(body)
            assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")

    async def test_more_than_a_request_may_have_is_refused(self) -> None:
        answer = await self.ask(self.body("A" * google_vision.MAX_JSON))
        assert (answer.status_code, "payload size" in answer.json()["error"]["message"]) == (400, True)

    async def test_a_fault_is_said_in_its_format(self) -> None:
        answer = await self.ask(self.body(picture()), faults=Faults(limited=1, retry_after=9))
        assert (answer.status_code, answer.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
        assert answer.headers["Retry-After"] == "9"


class TestRekognition:
    async def ask(self, body: bytes, headers: dict[str, str], *, faults: Faults | None = None) -> httpx.Response:
        async with wired("rekognition", faults=faults) as client:
            return await client.post("/rekognition/", content=body, headers=headers)

    async def test_a_signed_request_is_answered_with_three_levels(self) -> None:
        body = detect(picture("red"))
        answer = await self.ask(body, signed(body))
        labels = answer.json()["ModerationLabels"]
        assert [(label["Name"], label["ParentName"], label["TaxonomyLevel"]) for label in labels] == [
            ("Violence", "", 1),
            ("Graphic Violence", "Violence", 2),
            ("Physical Violence", "Graphic Violence", 3),
        ]
        assert answer.headers["Content-Type"] == rekognition.CONTENT_TYPE

    @pytest.mark.parametrize(("least", "count"), [({}, 3), ({"MinConfidence": 61}, 0), ({"MinConfidence": 60}, 3)])
    async def test_labels_below_what_is_asked_for_stay_away(self, least: dict[str, int], count: int) -> None:
        body = detect(picture("blue"), **least)
        assert len((await self.ask(body, signed(body))).json()["ModerationLabels"]) == count

    @pytest.mark.parametrize(
        ("changes", "kind"),
        [
            ({"Authorization": ""}, "MissingAuthenticationTokenException"),
            ({"Authorization": "Bearer key"}, "IncompleteSignatureException"),
            ({"X-Amz-Date": "today"}, "IncompleteSignatureException"),
            ({"X-Amz-Target": "RekognitionService.DetectFaces"}, "InvalidSignatureException"),
            ({"X-Amz-Security-Token": "another"}, "InvalidSignatureException"),
            ({"Host": "another"}, "InvalidSignatureException"),
        ],
        ids=["unsigned", "another scheme", "no date", "another target", "another token", "another host"],
    )
    async def test_what_is_signed_may_not_be_changed(self, changes: dict[str, str], kind: str) -> None:
        body = detect(picture())
        answer = await self.ask(body, {**signed(body), **changes})
        assert (answer.status_code, answer.json()["__type"]) == (400, kind)

    async def test_nor_may_the_body(self) -> None:
        answer = await self.ask(detect(picture("red")), signed(detect(picture("green"))))
        assert answer.json()["__type"] == "InvalidSignatureException"

    @pytest.mark.parametrize(
        ("keys", "kind"),
        [
            ({"key": "another"}, "UnrecognizedClientException"),
            ({"secret": "another"}, "InvalidSignatureException"),
        ],
    )
    async def test_the_keys_are_checked(self, keys: dict[str, str], kind: str) -> None:
        body = detect(picture())
        assert (await self.ask(body, signed(body, **keys))).json()["__type"] == kind

    @pytest.mark.parametrize("late", [timedelta(minutes=6), timedelta(minutes=-6)], ids=["stale", "ahead"])
    async def test_a_signature_holds_for_five_minutes(self, late: timedelta) -> None:
        body = detect(picture())
        request = AWSRequest("POST", URL, data=body, headers=AWS)
        stamp = (datetime.now(UTC) - late).strftime(SIGV4_TIMESTAMP)
        request.context["timestamp"] = request.headers["X-Amz-Date"] = stamp
        signer = SigV4Auth(Credentials("key", "secret"), "rekognition", "eu-west-1")
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        scope = f"Credential=key/{stamp[:8]}/eu-west-1/rekognition/aws4_request"
        names = "SignedHeaders=content-type;host;x-amz-date;x-amz-target"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, {names}, Signature={signature}"}
        answer = await self.ask(body, {**AWS, "X-Amz-Date": stamp, **headers})
        assert (answer.status_code, "expired" in answer.json()["Message"]) == (400, True)

    async def test_host_and_date_must_be_signed(self) -> None:
        body = detect(picture())
        headers = signed(body)
        headers["Authorization"] = headers["Authorization"].replace("host;x-amz-date;", "")
        assert (await self.ask(body, headers)).json()["Message"] == "host and x-amz-date must be signed."

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (detect("bm8gcGljdHVyZQ=="), "InvalidImageFormatException"),
            (detect(base64.b64encode(b"x" * (rekognition.MAX_IMAGE + 1)).decode()), "ImageTooLargeException"),
            (detect(""), "InvalidParameterException"),
            (detect("%"), "InvalidParameterException"),
            (detect(picture(), MinConfidence=101), "InvalidParameterException"),
            (b"{}", "InvalidParameterException"),
            (b"[", "InvalidParameterException"),
        ],
        ids=range(7),
    )
    async def test_what_it_cannot_take_is_refused_in_its_format(self, body: bytes, kind: str) -> None:
        answer = await self.ask(body, signed(body))
        assert (answer.status_code, answer.json()["__type"]) == (400, kind)
        assert answer.headers["Content-Type"] == rekognition.CONTENT_TYPE

    @pytest.mark.parametrize(
        ("faults", "status", "kind"),
        [
            (Faults(limited=1), 400, "ProvisionedThroughputExceededException"),
            (Faults(error_rate=1), 500, "InternalServerError"),
            (Faults(down=True), 503, "ServiceUnavailableException"),
        ],
        ids=["limited", "failing", "down"],
    )
    async def test_a_fault_is_said_in_its_format(self, faults: Faults, status: int, kind: str) -> None:
        body = detect(picture())
        answer = await self.ask(body, signed(body), faults=faults)
        assert (answer.status_code, answer.json()["__type"]) == (status, kind)


@pytest.mark.parametrize("name", [*ROUTERS])
async def test_without_a_key_everybody_may_ask(name: str) -> None:
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "openai": ("/openai/v1/moderations", {"json": {"input": "a text"}}),
        "google_vision": ("/google_vision/v1/images:annotate", {"json": TestGoogleVision().body(picture())}),
        "rekognition": ("/rekognition/", {"content": detect(picture()), "headers": AWS}),
    }
    path, request = asked[name]
    async with wired(name, key="") as client:
        assert (await client.post(path, **request)).status_code == 200
