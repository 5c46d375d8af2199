"""Sightengine: one picture a call, answered with one object of scores for each model.

    POST {url}/1.0/check.json, multipart: `media` (the picture), `models` (comma-separated), `api_user`, `api_secret`
    → {"status": "success", "request": {"id", "timestamp", "operations"}, "media": {"id", "uri"},
       "nudity": {"sexual_activity": 0..1, …}, "weapon": {"classes": {…}}, …}
    → 4xx or 5xx {"status": "failure", "request": {…}, "error": {"type", "code", "message"}}

Documented at (docs/decisions/0023-vendor-facts.md says what was read there, in November 2026):

- https://sightengine.com/docs/reference: request, answer, authentication
- https://sightengine.com/docs/api-error-codes-and-responses: errors
- https://sightengine.com/docs/nudity-detection-model, …/weapon-firearm-knife-detection, …/drug-detection,
  …/hate-and-offensive-content-detection-model, …/gore-disgusting-horrific-content-detection,
  …/violence-detection-model, …/self-harm-detection-model, …/getstarted: models and their classes
- https://sightengine.com/faq/what-is-an-operation and https://sightengine.com/pricing: one operation per model and
  picture; 29 USD a month for 10,000, each further one 0.002 USD. No rate limit is published
- https://sightengine.com/docs/callback-signature: callbacks are for videos and streams; there are none about pictures
- https://sightengine.com/docs/bulk-image-moderation: up to 6 pictures and 24 MB in one request. Frames are sent one by
  one nevertheless, because that page does not show the answer to such a request

The file's name is ours and comes back as `media.uri`: so an answer about another picture is found out.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from mediagate.errors import MediagateError, VendorUnavailable
from mediagate.moderation.findings import VendorVerdict
from mediagate.vendors import http
from mediagate.vendors.at_once import UNSURE_AT, AtOnceVendor, Look, not_understood, understood, worst
from mediagate.vendors.generic_result import Score
from mediagate.vendors.interface import Answers, Capabilities, Submission
from mediagate.vendors.minors import with_minors

URL = "https://api.sightengine.com"
MAX_BYTES = 24_000_000
OPERATION_MICROS = 2_900

MODELS: Mapping[str, Mapping[str, str]] = {
    "nudity-2.1": {
        "nudity.sexual_activity": "nudity",
        "nudity.sexual_display": "nudity",
        "nudity.erotica": "nudity",
        "nudity.very_suggestive": "suggestive",
        "nudity.suggestive": "suggestive",
    },
    "weapon": {"weapon.classes.firearm": "weapons", "weapon.classes.knife": "weapons"},
    "recreational_drug": {"recreational_drug.prob": "drugs"},
    "alcohol": {"alcohol.prob": "alcohol"},
    "tobacco": {"tobacco.prob": "tobacco"},
    "gambling": {"gambling.prob": "gambling"},
    "offensive-2.0": {
        "offensive.nazi": "hate",
        "offensive.confederate": "hate",
        "offensive.supremacist": "hate",
        "offensive.terrorist": "terrorism",
        "offensive.middle_finger": "harassment",
    },
    "gore-2.0": {"gore.prob": "gore"},
    # Not `prob`, the highest of all classes: one of them is combat sports.
    "violence": {"violence.classes.physical_violence": "violence", "violence.classes.firearm_threat": "violence"},
    "self-harm": {"self-harm.prob": "self_harm"},
    "face-attributes": {"faces.attributes.minor": "minors"},
    "scam": {"scam.prob": "scam"},
}
"""What each model says, as places in the answer and the gate's categories; `faces` is a list."""

DEFAULT_MODELS = tuple(name for name in MODELS if name != "scam")

_SCORE: TypeAdapter[float] = TypeAdapter(Score, config=ConfigDict(strict=True))

# Errors that are about the account and not about the picture, whatever their status: an operator mends them.
_TRY_AGAIN = frozenset({"usage_limit", "api_error", "internal_error"})
_CREDENTIALS = 1


class _Media(BaseModel):
    uri: str


class _Request(BaseModel):
    id: str = Field(min_length=1, max_length=128)


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True)

    status: Literal["success"]
    request: _Request
    media: _Media


class SightengineVendor(AtOnceVendor):
    """`ModerationVendor` over Sightengine. `models`: those that are run on each picture, and billed one by one.

    Raises:
        ValueError: there are no credentials, or a model is not known here.
    """

    TITLE = "Sightengine"

    def __init__(
        self,
        *,
        name: str,
        api_user: SecretStr,
        api_secret: SecretStr,
        client: httpx.AsyncClient,
        url: str = "",
        models: Sequence[str] = (),
    ) -> None:
        self._models = tuple(models) or DEFAULT_MODELS
        if not (api_user.get_secret_value() and api_secret.get_secret_value()):
            raise ValueError(f"Vendor {name}: sightengine needs api_key, which is the API user, and api_secret.")
        if unknown := [model for model in self._models if model not in MODELS]:
            raise ValueError(f"Vendor {name}: {', '.join(unknown)} is not among the models {', '.join(MODELS)}.")
        super().__init__(name=name, capabilities=capabilities(self._models))
        self._url = f"{(url or URL).rstrip('/')}/1.0/check.json"
        self._credentials = {
            "api_user": api_user.get_secret_value(),
            "api_secret": api_secret.get_secret_value(),
        }
        self._client = client

    async def _look(self, pictures: Sequence[bytes], submission: Submission) -> list[Look]:
        looks = []
        for place, picture in enumerate(pictures):
            filename = f"{submission.media_id}-{place}.jpg"
            answer = await http.call(
                self._client,
                "POST",
                self._url,
                data={"models": ",".join(self._models), **self._credentials},
                files={"media": (filename, picture, submission.content_type or "image/jpeg")},
                reads=_refused,
            )
            looks.append(_seen(answer, self._models, filename))
        return looks


def capabilities(models: Sequence[str] = DEFAULT_MODELS) -> Capabilities:
    """As in docs/decisions/0023-vendor-facts.md, at the price of the smallest paid plan."""
    found = {category for model in models for category in MODELS[model].values()}
    return Capabilities(
        answers=Answers.AT_ONCE,
        model_version=",".join(models),
        content_types=("image/jpeg", "image/png", "image/webp"),
        max_bytes=MAX_BYTES,
        cost_micros=OPERATION_MICROS * len(models),
        categories=tuple(sorted(with_minors(dict.fromkeys(found, 0.0)))),
    )


def _seen(answer: Mapping[str, Any], models: Sequence[str], filename: str) -> Look:
    said = understood(_Answer, answer)
    if said.media.uri != filename:
        raise not_understood(f"media.uri is not {filename}, the picture that was sent")
    found = [
        (place, category, score)
        for model in models
        for place, category in MODELS[model].items()
        for score in _scores(answer, place)
    ]
    scores = with_minors(worst([{category: score} for _, category, score in found]))
    return Look(
        verdict=VendorVerdict.SCORED,
        scores=scores,
        labels=tuple(dict.fromkeys(place for place, _, score in found if score >= UNSURE_AT)),
        model_version=",".join(models),
        raw=answer,
    )


def _scores(answer: Mapping[str, Any], place: str) -> Iterator[float]:
    """The score at a place. Of `faces` the highest, and 0 without any."""
    key, *rest = place.split(".")
    if key != "faces":
        yield _score(answer, [key, *rest], place)
        return
    faces = answer.get(key)
    if not isinstance(faces, list):
        raise not_understood("faces is no list")
    yield max((_score(face, rest, place) for face in faces), default=0.0)


def _score(value: object, keys: Sequence[str], place: str) -> float:
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise not_understood(f"{place} is missing")
        value = value[key]
    try:
        return _SCORE.validate_python(value)
    except ValidationError:
        raise not_understood(f"{place} is no score") from None


def _refused(response: httpx.Response, body: Mapping[str, Any]) -> MediagateError | None:
    """Wrong credentials and used-up quotas come as errors of the request, and are none."""
    error = body.get("error")
    if not isinstance(error, dict):
        return None
    kind, code = error.get("type"), error.get("code")
    if kind in _TRY_AGAIN or (kind == "argument_error" and code == _CREDENTIALS):
        return VendorUnavailable(
            f"The moderation vendor answered {response.status_code}: {kind}.",
            retry_after=http.retry_after(response.headers),
        )
    return None
