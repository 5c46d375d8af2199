"""OpenAI's moderation endpoint with an omni-moderation model: one picture a call, the caption with the first one.

    POST {url}/v1/moderations    Authorization: Bearer <API key>
    {"model": "omni-moderation-latest", "input": [{"type": "text", "text": "…"},
     {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,…"}}]}
    → {"id", "model", "results": [{"flagged", "categories": {name: bool}, "category_scores": {name: 0..1},
       "category_applied_input_types": {name: ["text", "image"]}}]}

Formats, categories, sizes: https://developers.openai.com/api/docs/guides/moderation
and https://developers.openai.com/api/docs/api-reference/moderations
Rate limits by tier: https://developers.openai.com/api/docs/models/omni-moderation-latest
Errors and headers: https://developers.openai.com/api/docs/guides/error-codes and …/guides/rate-limits
More than one picture is refused (400 `too_many_images`): https://github.com/antiwork/gumroad/pull/4709

A category that was not applied to the input is scored 0 and says nothing, so it is no finding. `flagged` means
"potentially harmful" in the guide's words: that asks for a person, and the policy's thresholds may decide without one.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from mediagate.errors import VendorUnavailable
from mediagate.moderation.findings import VendorVerdict
from mediagate.vendors import http
from mediagate.vendors.at_once import AtOnceVendor, Look, not_understood, understood, worst
from mediagate.vendors.generic_result import Score
from mediagate.vendors.interface import Answers, Capabilities, Submission

URL = "https://api.openai.com"
MODEL = "omni-moderation-latest"
MAX_IMAGE = 20_000_000

CATEGORIES: Mapping[str, str | None] = {
    "sexual": "nudity",
    "sexual/minors": "sexual_minors",
    "violence": "violence",
    "violence/graphic": "gore",
    "self-harm": "self_harm",
    "self-harm/intent": "self_harm",
    "self-harm/instructions": "self_harm",
    "hate": "hate",
    "hate/threatening": "hate",
    "harassment": "harassment",
    "harassment/threatening": "harassment",
    "illicit": None,  # advice on any wrongdoing: the gate has no such category; a label, and `flagged`, tell of it
    "illicit/violent": "violence",
}
"""The gate's category of each of OpenAI's."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class _Result(BaseModel):
    model_config = ConfigDict(strict=True)

    flagged: bool
    categories: dict[str, bool | None]
    category_scores: dict[str, Score | None]
    category_applied_input_types: dict[str, list[Literal["text", "image"]] | None]


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True)

    model: str = Field(min_length=1, max_length=128)
    results: list[_Result] = Field(min_length=1, max_length=1)


class OpenAIVendor(AtOnceVendor):
    """`ModerationVendor` over OpenAI's API. `models`: the first is asked, such as a pinned snapshot.

    Raises:
        ValueError: there is no API key.
    """

    TITLE = "OpenAI"

    def __init__(
        self, *, name: str, api_key: SecretStr, client: httpx.AsyncClient, url: str = "", models: Sequence[str] = ()
    ) -> None:
        if not api_key.get_secret_value():
            raise ValueError(f"Vendor {name}: openai needs api_key.")
        self._model = models[0] if models else MODEL
        super().__init__(name=name, capabilities=capabilities(self._model))
        self._url = f"{(url or URL).rstrip('/')}/v1/moderations"
        self._headers = {"Authorization": f"Bearer {api_key.get_secret_value()}"}
        self._client = client

    async def _look(self, pictures: Sequence[bytes], submission: Submission) -> list[Look]:
        content_type = submission.content_type or "image/jpeg"
        looks = []
        for place, picture in enumerate(pictures):
            caption = submission.caption if place == 0 else ""
            text = [{"type": "text", "text": caption}] if caption else []
            data = f"data:{content_type};base64,{base64.b64encode(picture).decode()}"
            image = {"type": "image_url", "image_url": {"url": data}}
            answer = await http.call(
                self._client,
                "POST",
                self._url,
                json={"model": self._model, "input": [*text, image]},
                headers=self._headers,
                reads=_limited,
            )
            looks.append(_seen(answer))
        return looks


def capabilities(model: str = MODEL) -> Capabilities:
    """As documented in November 2026. The rate is that of the lowest paid tier, 500 a minute."""
    return Capabilities(
        answers=Answers.AT_ONCE,
        model_version=model,
        content_types=("image/jpeg", "image/png"),
        max_bytes=MAX_IMAGE,
        texts=True,
        calls_per_second=500 / 60,
        categories=tuple(sorted({category for category in CATEGORIES.values() if category})),
    )


def _seen(answer: Mapping[str, Any]) -> Look:
    said = understood(_Answer, answer)
    result = said.results[0]
    applied = {name: kinds for name, kinds in result.category_applied_input_types.items() if kinds}
    if not any("image" in kinds for kinds in applied.values()):
        raise not_understood("no category was applied to the picture")
    scores = []
    for name in applied:
        score = result.category_scores.get(name)
        if score is None:
            raise not_understood(f"category_scores lacks {name}")
        if category := CATEGORIES.get(name):
            scores.append({category: score})
    return Look(
        verdict=VendorVerdict.REVIEW if result.flagged else VendorVerdict.APPROVE,
        scores=worst(scores),
        labels=tuple(sorted(name for name, flagged in result.categories.items() if flagged)),
        model_version=said.model,
        raw=answer,
    )


def _limited(response: httpx.Response, body: Mapping[str, Any]) -> VendorUnavailable | None:  # noqa: ARG001
    """When to try again after a 429 that has no `Retry-After`: when the limit that is used up starts anew."""
    if response.status_code != 429 or "Retry-After" in response.headers:
        return None
    resets = [
        seconds
        for what in ("requests", "tokens")
        if response.headers.get(f"x-ratelimit-remaining-{what}") == "0"
        and (seconds := _seconds(response.headers.get(f"x-ratelimit-reset-{what}", ""))) is not None
    ]
    return VendorUnavailable("The moderation vendor answered 429.", retry_after=max(resets)) if resets else None


def _seconds(text: str) -> float | None:
    """Seconds of a duration such as `6m0s` or `20ms`, at most `http.MAX_RETRY_AFTER`; None if it is none."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return min(sum(float(number) * _SECONDS[unit] for number, unit in parts), http.MAX_RETRY_AFTER)
