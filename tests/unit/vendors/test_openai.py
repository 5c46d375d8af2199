"""OpenAI's moderation endpoint as `OpenAIVendor` speaks it."""

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from mediagate.errors import InvalidRequest, VendorUnavailable
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.vendors.http import MAX_RETRY_AFTER
from mediagate.vendors.interface import SubmissionReceipt
from mediagate.vendors.openai import OpenAIVendor
from tests.submissions import reading
from tests.unit.vendors.recorded import FRAME, PICTURE, Line, recorded, submission


def vendor(line: Line, **settings: Any) -> OpenAIVendor:
    return OpenAIVendor(name="oai", api_key=SecretStr("sk-x"), client=line.client, **settings)


async def submitted(answer: object, *, caption: str = "") -> SubmissionReceipt:
    return await vendor(Line(answer)).submit(submission(caption=caption), reading(PICTURE))


async def said(answer: object, *, caption: str = "") -> VendorEvent:
    (event,) = (await submitted(answer, caption=caption)).events
    return event


def answer(**changes: Any) -> Any:
    """The recorded answer to a clean picture, some fields of its result changed; None drops one."""
    whole = recorded("openai", "response_clean")
    result = whole["results"][0] | changes
    return whole | {"results": [{name: value for name, value in result.items() if value is not None}]}


class TestRequest:
    async def test_is_as_documented(self) -> None:
        line = Line(recorded("openai", "response_clean"))
        await vendor(line).submit(submission(), reading(PICTURE))
        (request,) = line.sent
        assert (request.method, str(request.url)) == ("POST", "https://api.openai.com/v1/moderations")
        assert request.headers["Authorization"] == "Bearer sk-x"
        assert line.bodies == [recorded("openai", "request_picture")]

    async def test_a_caption_goes_with_the_first_picture(self) -> None:
        line = Line(recorded("openai", "response_caption"), recorded("openai", "response_clean"))
        await vendor(line).submit(submission(caption="a caption", frames=1), reading(PICTURE, FRAME))
        first, second = line.bodies
        assert first == recorded("openai", "request_caption")
        assert [part["type"] for part in second["input"]] == ["image_url"]

    async def test_a_pinned_model_at_another_address(self) -> None:
        line = Line(recorded("openai", "response_clean"))
        pinned = vendor(line, url="http://127.0.0.1:9/proxy/", models=("omni-moderation-2024-09-26",))
        await pinned.submit(submission(), reading(PICTURE))
        assert str(line.sent[0].url) == "http://127.0.0.1:9/proxy/v1/moderations"
        assert line.bodies[0]["model"] == pinned.capabilities.model_version == "omni-moderation-2024-09-26"


class TestAnswer:
    async def test_flagged_asks_for_a_person_and_leaves_the_rest_to_the_scores(self) -> None:
        event = await said(recorded("openai", "response_war_film"))
        assert event.verdict is VendorVerdict.REVIEW
        assert event.labels == ("violence",)
        assert event.scores == {"nudity": 2.34e-05, "self_harm": 0.00113, "violence": 0.8612, "gore": 0.3719}
        assert event.settles
        assert event.model_version == "omni-moderation-latest"
        assert event.raw == {"answers": [recorded("openai", "response_war_film")]}

    async def test_not_flagged_is_approved(self) -> None:
        assert (await said(recorded("openai", "response_clean"))).verdict is VendorVerdict.APPROVE

    async def test_a_category_that_was_not_applied_is_no_finding(self) -> None:
        event = await said(recorded("openai", "response_clean"))
        assert {"hate", "harassment", "sexual_minors"}.isdisjoint(event.scores)

    async def test_a_caption_is_looked_at_as_well(self) -> None:
        event = await said(recorded("openai", "response_caption"), caption="a caption")
        assert event.labels == ("harassment", "illicit")
        assert (event.scores["harassment"], event.scores["hate"]) == (0.9134, 0.2219)
        assert event.scores["sexual_minors"] == 0.0004

    async def test_the_worst_frame_counts_in_each_category(self) -> None:
        line = Line(recorded("openai", "response_clean"), recorded("openai", "response_war_film"))
        receipt = await vendor(line).submit(submission(frames=1), reading(PICTURE, FRAME))
        (event,) = receipt.events
        assert receipt.calls == 2
        assert event.verdict is VendorVerdict.REVIEW
        assert (event.scores["violence"], event.scores["nudity"]) == (0.8612, 0.000412)

    async def test_a_category_of_the_future_is_a_label(self) -> None:
        scores = answer()["results"][0]["category_scores"] | {"scams": 0.99}
        applied = answer()["results"][0]["category_applied_input_types"] | {"scams": ["image"]}
        future = answer(
            flagged=True, categories={"scams": True}, category_scores=scores, category_applied_input_types=applied
        )
        event = await said(future)
        assert (event.verdict, event.labels) == (VendorVerdict.REVIEW, ("scams",))
        assert {"scams"}.isdisjoint(event.scores)

    @pytest.mark.parametrize(
        "unusable",
        [
            {},
            {"model": "m", "results": []},
            {"model": "m", "results": answer()["results"] * 2},
            {"results": answer()["results"]},
            answer(flagged=None),
            answer(flagged="false"),
            answer(categories=None),
            answer(category_scores=None),
            answer(category_scores={}),
            answer(category_scores={"sexual": 1.5}),
            answer(category_scores={"sexual": -0.1}),
            answer(category_scores={"sexual": "0.1"}),
            answer(category_applied_input_types=None),
            answer(category_applied_input_types={}),
            answer(category_applied_input_types={"sexual": ["text"]}),
            answer(category_applied_input_types={"sexual": ["audio"]}),
        ],
        ids=range(16),
    )
    async def test_that_says_nothing_usable_is_no_verdict(self, unusable: Any) -> None:
        with pytest.raises(VendorUnavailable, match="not understood"):
            await submitted(unusable)

    async def test_a_score_that_is_no_number_is_no_verdict(self) -> None:
        with pytest.raises(VendorUnavailable, match="not understood"):
            await submitted(httpx.Response(200, content=b'{"model": "m", "results": [{"category_scores": NaN}]}'))


class TestRefusal:
    async def test_of_the_key_passes_once_an_operator_mends_it(self) -> None:
        with pytest.raises(VendorUnavailable, match="401"):
            await submitted(httpx.Response(401, json=recorded("openai", "error_key")))

    async def test_of_the_request_is_for_good(self) -> None:
        with pytest.raises(InvalidRequest, match="400"):
            await submitted(httpx.Response(400, json=recorded("openai", "error_too_many_images")))

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Retry-After": "7", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s"}, 7.0),
            ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
            ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, 0.12),
            (
                {
                    "x-ratelimit-remaining-requests": "3",
                    "x-ratelimit-reset-requests": "9h",
                    "x-ratelimit-remaining-tokens": "0",
                    "x-ratelimit-reset-tokens": "1m2.5s",
                },
                62.5,
            ),
            ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "24h0m0s"}, MAX_RETRY_AFTER),
            ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, None),
            ({"x-ratelimit-remaining-requests": "0"}, None),
            ({}, None),
        ],
        ids=["retry-after", "minutes", "milliseconds", "tokens", "too long", "no duration", "no reset", "nothing"],
    )
    async def test_of_too_many_calls_says_when_to_try_again(
        self, headers: dict[str, str], seconds: float | None
    ) -> None:
        refusal = httpx.Response(429, json=recorded("openai", "error_rate_limit"), headers=headers)
        with pytest.raises(VendorUnavailable, match="429") as caught:
            await submitted(refusal)
        assert caught.value.retry_after == seconds
