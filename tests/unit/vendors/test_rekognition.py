"""Amazon Rekognition's DetectModerationLabels as `RekognitionVendor` speaks it."""

import re
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from mediagate.errors import InvalidRequest, VendorUnavailable
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.vendors.interface import SubmissionReceipt
from mediagate.vendors.rekognition import RekognitionVendor
from tests.submissions import reading
from tests.unit.vendors.recorded import FRAME, PICTURE, Line, recorded, submission

ADAPTER = "arn:aws:rekognition:eu-west-1:123456789012:project/gate/version/gate.1/1700000000000"


def vendor(line: Line, **settings: Any) -> RekognitionVendor:
    keys = {"api_key": SecretStr("AKIAEXAMPLE"), "api_secret": SecretStr("a secret")}
    return RekognitionVendor(name="aws", client=line.client, **{**keys, "region": "eu-west-1", **settings})


async def submitted(answer: object) -> SubmissionReceipt:
    return await vendor(Line(answer)).submit(submission(), reading(PICTURE))


async def said(answer: object) -> VendorEvent:
    (event,) = (await submitted(answer)).events
    return event


def labelled(*labels: tuple[str, str, float]) -> dict[str, Any]:
    """An answer with these labels: name, parent, confidence."""
    found = [{"Name": name, "ParentName": parent, "Confidence": sure} for name, parent, sure in labels]
    return {"ModerationLabels": found, "ModerationModelVersion": "7.0"}


class TestRequest:
    async def test_is_as_documented(self) -> None:
        line = Line(recorded("rekognition", "response_clean"))
        await vendor(line).submit(submission(), reading(PICTURE))
        (request,) = line.sent
        assert (request.method, str(request.url)) == ("POST", "https://rekognition.eu-west-1.amazonaws.com/")
        assert request.headers["X-Amz-Target"] == "RekognitionService.DetectModerationLabels"
        assert request.headers["Content-Type"] == "application/x-amz-json-1.1"
        assert line.bodies == [recorded("rekognition", "request")]

    async def test_is_signed(self) -> None:
        line = Line(recorded("rekognition", "response_clean"))
        await vendor(line).submit(submission(), reading(PICTURE))
        assert re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/\d{8}/eu-west-1/rekognition/aws4_request, "
            r"SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=[0-9a-f]{64}",
            line.sent[0].headers["Authorization"],
        )
        assert "X-Amz-Security-Token" not in line.sent[0].headers

    async def test_a_session_token_is_signed_too(self) -> None:
        line = Line(recorded("rekognition", "response_clean"))
        temporary = vendor(line, session_token=SecretStr("token"))
        await temporary.submit(submission(), reading(PICTURE))
        assert line.sent[0].headers["X-Amz-Security-Token"] == "token"
        assert "x-amz-security-token" in line.sent[0].headers["Authorization"]

    async def test_a_custom_adapter_at_another_address(self) -> None:
        line = Line({**recorded("rekognition", "response_clean"), "ProjectVersion": ADAPTER})
        custom = vendor(line, url="http://127.0.0.1:9/aws", models=(ADAPTER,))
        (event,) = (await custom.submit(submission(), reading(PICTURE))).events
        assert str(line.sent[0].url) == "http://127.0.0.1:9/aws/"
        assert line.bodies[0]["ProjectVersion"] == ADAPTER
        assert event.model_version == custom.capabilities.model_version == ADAPTER


class TestAnswer:
    async def test_the_most_specific_label_says_what_it_is(self) -> None:
        event = await said(recorded("rekognition", "response_smoking"))
        assert {name: score for name, score in event.scores.items() if score} == pytest.approx(
            {"tobacco": 0.973312, "alcohol": 0.31204}
        )
        assert event.verdict is VendorVerdict.SCORED
        assert event.labels == ("Smoking", "Drugs & Tobacco Paraphernalia & Use", "Drugs & Tobacco")
        assert event.model_version == "7.0"
        assert event.raw == {"answers": [recorded("rekognition", "response_smoking")]}

    async def test_a_label_counts_itself_if_none_below_it_is_as_sure(self) -> None:
        surer = labelled(("Violence", "", 95.0), ("Weapons", "Violence", 60.0))
        event = await said(surer)
        assert (event.scores["violence"], event.scores["weapons"]) == (0.95, 0.6)

    async def test_a_label_that_one_below_explains_does_not(self) -> None:
        event = await said(recorded("rekognition", "response_battle"))
        found = {name: score for name, score in event.scores.items() if score}
        assert found == pytest.approx({"weapons": 0.9502, "gore": 0.615})

    async def test_a_category_without_a_label_scores_nothing(self) -> None:
        event = await said(recorded("rekognition", "response_clean"))
        assert (event.verdict, event.labels) == (VendorVerdict.SCORED, ())
        assert {*event.scores.values()} == {0.0}
        assert event.scores.keys() == {*vendor(Line()).capabilities.categories}

    @pytest.mark.parametrize(
        ("name", "parent", "categories"),
        [
            ("Exposed Male Genitalia", "Explicit Nudity", {"nudity"}),
            ("Sex Toys", "Explicit", {"nudity"}),
            ("Bare Back", "Non-Explicit Nudity", {"suggestive"}),
            ("Kissing on the Lips", "Non-Explicit Nudity of Intimate parts and Kissing", set()),
            ("Female Swimwear or Underwear", "Swimwear or Underwear", {"suggestive"}),
            ("Weapon Violence", "Graphic Violence", {"violence", "weapons"}),
            ("Explosions and Blasts", "Graphic Violence", {"violence"}),
            ("Self-Harm", "Graphic Violence", {"self_harm"}),
            ("Corpses", "Death and Emaciation", {"gore"}),
            ("Air Crash", "Crashes", {"gore"}),
            ("Pills", "Products", {"drugs"}),
            ("Drugs & Tobacco", "", {"drugs", "tobacco"}),
            ("Drinking", "Alcohol Use", {"alcohol"}),
            ("Middle Finger", "Rude Gestures", {"harassment"}),
            ("Gambling", "", {"gambling"}),
            ("Nazi Party", "Hate Symbols", {"hate"}),
            ("Extremist", "Hate Symbols", {"hate", "extremism"}),
            ("Something New", "Graphic Violence", {"violence"}),
        ],
    )
    async def test_each_label_has_its_categories(self, name: str, parent: str, categories: set[str]) -> None:
        event = await said(labelled((name, parent, 90.0)))
        assert {category for category, score in event.scores.items() if score} == categories

    @pytest.mark.parametrize(("sure", "verdict"), [(49.9, VendorVerdict.SCORED), (50.0, VendorVerdict.REVIEW)])
    async def test_a_label_nobody_knows_asks_for_a_person(self, sure: float, verdict: VendorVerdict) -> None:
        event = await said(labelled(("Something New", "", sure)))
        assert (event.verdict, {*event.scores.values()}) == (verdict, {0.0})

    async def test_the_worst_frame_counts_in_each_category(self) -> None:
        line = Line(recorded("rekognition", "response_battle"), recorded("rekognition", "response_smoking"))
        receipt = await vendor(line).submit(submission(frames=1), reading(PICTURE, FRAME))
        (event,) = receipt.events
        assert receipt.calls == len(line.sent) == 2
        assert (event.scores["weapons"], event.scores["tobacco"]) == pytest.approx((0.9502, 0.973312))

    @pytest.mark.parametrize(
        "unusable",
        [
            {},
            {"ModerationLabels": []},
            {"ModerationModelVersion": "7.0"},
            {"ModerationLabels": {}, "ModerationModelVersion": "7.0"},
            {"ModerationLabels": [{}], "ModerationModelVersion": "7.0"},
            {"ModerationLabels": [{"Name": "Violence"}], "ModerationModelVersion": "7.0"},
            {"ModerationLabels": [{"Confidence": 99.0}], "ModerationModelVersion": "7.0"},
            labelled(("Violence", "", 100.1)),
            labelled(("Violence", "", -1)),
            {**labelled(), "ContentTypes": [{"Name": "Illustrated", "Confidence": 700.0}]},
            {**labelled(), "ModerationModelVersion": ""},
        ],
        ids=range(11),
    )
    async def test_that_says_nothing_usable_is_no_verdict(self, unusable: Any) -> None:
        with pytest.raises(VendorUnavailable, match="not understood"):
            await submitted(unusable)


class TestRefusal:
    @pytest.mark.parametrize("name", ["throttled", "token"])
    async def test_that_may_pass_comes_as_a_bad_request(self, name: str) -> None:
        body = recorded("rekognition", f"error_{name}")
        with pytest.raises(VendorUnavailable, match=body["__type"]):
            await submitted(httpx.Response(400, json=body))

    async def test_may_have_a_namespace_and_say_when_to_try_again(self) -> None:
        body = {"__type": "com.amazon.coral.service#ThrottlingException:http://internal.amazon.com/"}
        with pytest.raises(VendorUnavailable, match="ThrottlingException") as caught:
            await submitted(httpx.Response(400, json=body, headers={"Retry-After": "3"}))
        assert caught.value.retry_after == 3

    async def test_of_the_picture_is_for_good(self) -> None:
        with pytest.raises(InvalidRequest, match="InvalidImageFormatException"):
            await submitted(httpx.Response(400, json=recorded("rekognition", "error_image")))

    @pytest.mark.parametrize(
        ("status", "error"), [(400, InvalidRequest), (403, VendorUnavailable), (500, VendorUnavailable)]
    )
    @pytest.mark.parametrize("body", [b"", b"<html>", b'{"__type": 7}', b'{"__type": "<b>"}'], ids=range(4))
    async def test_without_a_name_is_known_by_its_status(
        self, status: int, error: type[Exception], body: bytes
    ) -> None:
        with pytest.raises(error, match=str(status)):
            await submitted(httpx.Response(status, content=body))

    @pytest.mark.parametrize("status", [403, 500])
    async def test_with_a_name_nobody_knows_too(self, status: int) -> None:
        with pytest.raises(VendorUnavailable, match=f"{status} SomethingElse"):
            await submitted(httpx.Response(status, json={"__type": "SomethingElse"}))
