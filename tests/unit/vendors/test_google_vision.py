"""Google Vision's SafeSearch as `GoogleVisionVendor` speaks it."""

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from mediagate.errors import InvalidRequest, VendorUnavailable
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.vendors.google_vision import LIKELIHOODS, MAX_IMAGE, MAX_JSON, GoogleVisionVendor
from mediagate.vendors.interface import SubmissionReceipt
from tests.submissions import reading
from tests.unit.vendors.recorded import FRAME, PICTURE, Line, recorded, submission


def vendor(line: Line, **settings: Any) -> GoogleVisionVendor:
    return GoogleVisionVendor(name="gv", api_key=SecretStr("AIza"), client=line.client, **settings)


async def submitted(answer: object) -> SubmissionReceipt:
    return await vendor(Line(answer)).submit(submission(), reading(PICTURE))


async def said(answer: object) -> VendorEvent:
    (event,) = (await submitted(answer)).events
    return event


def clean(count: int) -> dict[str, Any]:
    return {"responses": recorded("google_vision", "response_clean")["responses"] * count}


def saying(**words: Any) -> dict[str, Any]:
    """The recorded answer to a clean picture with other words; None leaves one out."""
    annotation = clean(1)["responses"][0]["safeSearchAnnotation"] | words
    return {"responses": [{"safeSearchAnnotation": {name: word for name, word in annotation.items() if word}}]}


class TestRequest:
    async def test_is_as_documented_with_all_frames_in_one(self) -> None:
        line = Line(recorded("google_vision", "response_frames"))
        receipt = await vendor(line).submit(submission(frames=1), reading(PICTURE, FRAME))
        (request,) = line.sent
        assert (request.method, str(request.url)) == ("POST", "https://vision.googleapis.com/v1/images:annotate")
        assert request.headers["x-goog-api-key"] == "AIza"
        assert line.bodies == [recorded("google_vision", "request_frames")]
        assert receipt.calls == 2

    async def test_carries_sixteen_pictures_at_most(self) -> None:
        line = Line(clean(16), clean(1))
        receipt = await vendor(line).submit(submission(frames=16), reading(*[PICTURE] * 17))
        assert [len(body["requests"]) for body in line.bodies] == [16, 1]
        assert receipt.calls == 17

    async def test_stays_below_the_limit_of_its_size(self) -> None:
        large = b"x" * (MAX_IMAGE // 2 + 3)
        line = Line(clean(1), clean(3))
        await vendor(line).submit(submission(frames=3), reading(large, large, PICTURE, PICTURE))
        assert [len(body["requests"]) for body in line.bodies] == [1, 3]
        assert all(len(request.content) < MAX_JSON for request in line.sent)

    async def test_another_model_at_another_address(self) -> None:
        line = Line(clean(1))
        latest = vendor(line, url="http://127.0.0.1:9/", models=("builtin/latest",))
        await latest.submit(submission(), reading(PICTURE))
        assert str(line.sent[0].url) == "http://127.0.0.1:9/v1/images:annotate"
        assert line.bodies[0]["requests"][0]["features"][0]["model"] == "builtin/latest"
        assert latest.capabilities.model_version == "builtin/latest"


class TestAnswer:
    async def test_words_become_scores_and_the_worst_frame_counts(self) -> None:
        line = Line(recorded("google_vision", "response_frames"))
        (event,) = (await vendor(line).submit(submission(frames=1), reading(PICTURE, FRAME))).events
        assert event.scores == {
            "nudity": LIKELIHOODS["VERY_UNLIKELY"],
            "suggestive": LIKELIHOODS["POSSIBLE"],
            "violence": LIKELIHOODS["VERY_LIKELY"],
        }
        assert event.verdict is VendorVerdict.SCORED
        assert event.labels == ("racy POSSIBLE", "violence VERY_LIKELY")
        assert event.raw == {"answers": recorded("google_vision", "response_frames")["responses"]}

    async def test_unlikely_is_clean_whatever_is_a_spoof(self) -> None:
        event = await said(recorded("google_vision", "response_clean"))
        assert (event.verdict, event.labels) == (VendorVerdict.SCORED, ())

    @pytest.mark.parametrize(("word", "score"), [*LIKELIHOODS.items()])
    async def test_each_word_has_its_score(self, word: str, score: float) -> None:
        assert (await said(saying(adult=word))).scores["nudity"] == score

    def test_the_scores_rise_with_the_words(self) -> None:
        assert [*LIKELIHOODS.values()] == sorted(LIKELIHOODS.values())

    @pytest.mark.parametrize("word", ["UNKNOWN", None])
    async def test_an_unknown_category_is_no_finding_and_not_clean(self, word: str | None) -> None:
        event = await said(saying(adult=word))
        assert event.verdict is VendorVerdict.REVIEW
        assert event.scores.keys() == {"suggestive", "violence"}
        assert event.labels == ("adult UNKNOWN",)

    async def test_if_all_are_unknown_a_person_decides(self) -> None:
        event = await said({"responses": [{"safeSearchAnnotation": {}}]})
        assert (event.verdict, event.scores) == (VendorVerdict.REVIEW, {})

    @pytest.mark.parametrize(
        "unusable",
        [
            {},
            {"responses": []},
            {"responses": {}},
            clean(2),
            {"responses": [{}]},
            {"responses": [{"safeSearchAnnotation": None}]},
            {"responses": [{"safeSearchAnnotation": "clean"}]},
            saying(adult="NEVER"),
            saying(adult=0.1),
            saying(adult=5),
            recorded("google_vision", "response_internal"),
            {"responses": [{"error": {}}]},
        ],
        ids=range(12),
    )
    async def test_that_says_nothing_usable_is_no_verdict(self, unusable: Any) -> None:
        with pytest.raises(VendorUnavailable, match="not understood"):
            await submitted(unusable)

    async def test_an_error_beside_a_clean_frame_is_no_verdict(self) -> None:
        failed = recorded("google_vision", "response_internal")
        line = Line({"responses": [*clean(1)["responses"], *failed["responses"]]})
        with pytest.raises(VendorUnavailable, match="error 13"):
            await vendor(line).submit(submission(frames=1), reading(PICTURE, FRAME))

    async def test_a_picture_that_is_none_will_never_be_taken(self) -> None:
        with pytest.raises(InvalidRequest, match="cannot read the picture"):
            await submitted(recorded("google_vision", "response_bad_image"))


class TestRefusal:
    async def test_of_the_key_passes_once_an_operator_mends_it(self) -> None:
        with pytest.raises(VendorUnavailable, match="API key"):
            await submitted(httpx.Response(400, json=recorded("google_vision", "error_key")))

    async def test_of_too_many_calls_passes(self) -> None:
        refusal = httpx.Response(429, json=recorded("google_vision", "error_quota"), headers={"Retry-After": "30"})
        with pytest.raises(VendorUnavailable, match="429") as caught:
            await submitted(refusal)
        assert caught.value.retry_after == 30

    @pytest.mark.parametrize(
        "body",
        [
            recorded("google_vision", "error_argument"),
            [],
            {"error": "bad"},
            {"error": {"details": {}}},
            {"error": {"details": [1]}},
            {"error": {"details": [{"reason": {}}]}},
        ],
        ids=range(6),
    )
    async def test_of_the_request_is_for_good(self, body: Any) -> None:
        with pytest.raises(InvalidRequest, match="400"):
            await submitted(httpx.Response(400, json=body))
