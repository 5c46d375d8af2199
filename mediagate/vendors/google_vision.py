"""Google Cloud Vision's SafeSearch: up to 16 pictures a call, answered in words of likelihood.

    POST {url}/v1/images:annotate    x-goog-api-key: <API key>
    {"requests": [{"image": {"content": "<base64>"}, "features": [{"type": "SAFE_SEARCH_DETECTION"}]}, …]}
    → {"responses": [{"safeSearchAnnotation": {"adult": "VERY_UNLIKELY", "spoof": …, "medical": …, "violence": …,
       "racy": …}} or {"error": {"code": 3, "message": "…"}}, …]}

Format: https://docs.cloud.google.com/vision/docs/reference/rest/v1/images/annotate
and https://docs.cloud.google.com/vision/docs/detecting-safe-search
Limits: https://docs.cloud.google.com/vision/quotas   Price: https://cloud.google.com/vision/pricing
Errors: https://docs.cloud.google.com/apis/design/errors   API keys: https://docs.cloud.google.com/docs/authentication/api-keys-use

Google publishes no numbers behind its words. `LIKELIHOODS` is our reading of them, spread so that the policy's usual
thresholds fall between two words. UNKNOWN (which JSON leaves out) is no finding, and it is not clean either: a picture
of which adult, racy or violence is unknown goes to a person. Whether a picture is a spoof or medical is no finding.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from mediagate.errors import InvalidRequest, MediagateError, VendorUnavailable
from mediagate.moderation.findings import VendorVerdict
from mediagate.vendors import http
from mediagate.vendors.at_once import UNSURE_AT, AtOnceVendor, Look, not_understood, understood
from mediagate.vendors.interface import Answers, Capabilities, Submission

URL = "https://vision.googleapis.com"
MODEL = "builtin/stable"
MAX_BATCH = 16
MAX_JSON = 10_000_000
"""Bytes of a request."""

_ENVELOPE = 256
"""Bytes of JSON around one picture, at most."""

MAX_IMAGE = (MAX_JSON - 2 * _ENVELOPE) // 4 * 3
"""Bytes of a picture that is sent inside the request: less than the 20 MB it may have elsewhere, for base64's sake."""

LIKELIHOODS: Mapping[str, float] = {
    "VERY_UNLIKELY": 0.02,
    "UNLIKELY": 0.15,
    "POSSIBLE": 0.5,
    "LIKELY": 0.8,
    "VERY_LIKELY": 0.96,
}
"""The score of each word. Default thresholds (0.5 review, 0.85 reject): POSSIBLE and LIKELY are for a person to see."""

CATEGORIES: Mapping[str, str] = {"adult": "nudity", "racy": "suggestive", "violence": "violence"}
"""The gate's category of each of SafeSearch's that is one."""

_INVALID_ARGUMENT = 3
"""`google.rpc.Code`: the picture is no picture. Every other code may pass."""

_Word = Literal["UNKNOWN", "VERY_UNLIKELY", "UNLIKELY", "POSSIBLE", "LIKELY", "VERY_LIKELY"]


class _Annotation(BaseModel):
    model_config = ConfigDict(strict=True)

    adult: _Word = "UNKNOWN"
    racy: _Word = "UNKNOWN"
    violence: _Word = "UNKNOWN"


class _Status(BaseModel):
    code: int


class _Response(BaseModel):
    model_config = ConfigDict(strict=True)

    annotation: _Annotation | None = Field(None, alias="safeSearchAnnotation")
    error: _Status | None = None


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True)

    responses: list[dict[str, Any]]


class GoogleVisionVendor(AtOnceVendor):
    """`ModerationVendor` over the Cloud Vision API. `models`: the first is asked, `builtin/stable` or `builtin/latest`.

    Raises:
        ValueError: there is no API key.
    """

    TITLE = "Google Vision"

    def __init__(
        self, *, name: str, api_key: SecretStr, client: httpx.AsyncClient, url: str = "", models: Sequence[str] = ()
    ) -> None:
        if not api_key.get_secret_value():
            raise ValueError(f"Vendor {name}: google_vision needs api_key.")
        self._model = models[0] if models else MODEL
        super().__init__(name=name, capabilities=capabilities(self._model))
        self._url = f"{(url or URL).rstrip('/')}/v1/images:annotate"
        self._headers = {"x-goog-api-key": api_key.get_secret_value()}
        self._client = client

    async def _look(self, pictures: Sequence[bytes], submission: Submission) -> list[Look]:  # noqa: ARG002
        return [look for batch in _batches(pictures) for look in await self._annotate(batch)]

    async def _annotate(self, batch: Sequence[str]) -> list[Look]:
        features = [{"type": "SAFE_SEARCH_DETECTION", "model": self._model}]
        requests = [{"image": {"content": content}, "features": features} for content in batch]
        answer = await http.call(
            self._client, "POST", self._url, json={"requests": requests}, headers=self._headers, reads=_refused
        )
        responses = understood(_Answer, answer).responses
        if len(responses) != len(batch):
            raise not_understood(f"{len(responses)} responses to {len(batch)} pictures")
        return [_seen(response, self._model) for response in responses]


def capabilities(model: str = MODEL) -> Capabilities:
    """As in docs/decisions/0023-vendor-facts.md: 1,800 requests a minute, $1.50 for 1,000 pictures."""
    return Capabilities(
        answers=Answers.AT_ONCE,
        model_version=model,
        content_types=("image/jpeg", "image/png"),
        max_bytes=MAX_IMAGE,
        batch=MAX_BATCH,
        calls_per_second=30,
        cost_micros=1500,
        categories=tuple(sorted(CATEGORIES.values())),
    )


def _batches(pictures: Sequence[bytes]) -> Iterator[list[str]]:
    """The pictures in base64, as many at once as a request may carry by their number and by its size."""
    batch: list[str] = []
    size = 0
    for picture in pictures:
        content = base64.b64encode(picture).decode()
        if batch and (len(batch) == MAX_BATCH or size + len(content) + _ENVELOPE > MAX_JSON - _ENVELOPE):
            yield batch
            batch, size = [], 0
        batch.append(content)
        size += len(content) + _ENVELOPE
    if batch:
        yield batch


def _seen(response: Mapping[str, Any], model: str) -> Look:
    said = understood(_Response, response)
    if said.error:
        if said.error.code == _INVALID_ARGUMENT:
            raise InvalidRequest("Google Vision cannot read the picture.")
        raise not_understood(f"a picture was answered with error {said.error.code}")
    if said.annotation is None:
        raise not_understood("a picture was not looked at")
    words = {name: getattr(said.annotation, name) for name in CATEGORIES}
    scores = {CATEGORIES[name]: LIKELIHOODS[word] for name, word in words.items() if word in LIKELIHOODS}
    return Look(
        verdict=VendorVerdict.SCORED if len(scores) == len(CATEGORIES) else VendorVerdict.REVIEW,
        scores=scores,
        labels=tuple(f"{name} {word}" for name, word in words.items() if LIKELIHOODS.get(word, 1.0) >= UNSURE_AT),
        model_version=model,
        raw=response,
    )


def _refused(response: httpx.Response, body: Mapping[str, Any]) -> MediagateError | None:
    """A bad API key is answered with 400: an operator mends that, and then the same call works."""
    error = body.get("error")
    details = error.get("details") if isinstance(error, dict) else None
    reasons = [one.get("reason") for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    if response.status_code == 400 and {"API_KEY_INVALID", "API_KEY_EXPIRED"} & {*map(str, reasons)}:
        return VendorUnavailable("The moderation vendor does not know the API key.")
    return None
