"""Amazon Rekognition's DetectModerationLabels: one picture a call, answered with labels of three levels.

    POST {url}/    X-Amz-Target: RekognitionService.DetectModerationLabels    Content-Type: application/x-amz-json-1.1
    {"Image": {"Bytes": "<base64>"}, "MinConfidence": 10}    signed by Signature Version 4
    → {"ModerationLabels": [{"Name", "ParentName", "Confidence": 0..100, "TaxonomyLevel": 1..3}, …],
       "ModerationModelVersion": "7.0", "ContentTypes": [{"Name", "Confidence"}, …]}

Format: https://docs.aws.amazon.com/rekognition/latest/APIReference/API_DetectModerationLabels.html
Labels: https://docs.aws.amazon.com/rekognition/latest/dg/moderation-api.html
Limits: https://docs.aws.amazon.com/rekognition/latest/dg/limits.html   Price: https://aws.amazon.com/rekognition/pricing/
Errors: https://docs.aws.amazon.com/rekognition/latest/dg/error-handling.html
Signing: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html

Rekognition has no verdict of its own, and what is too much is for the policy to say, so it is asked for labels from
10 % on; a category without one scores 0. A label that we do not know asks for a person from 50 % on, which is where
Rekognition itself starts to report if it is not told otherwise.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from mediagate.errors import MediagateError, VendorUnavailable
from mediagate.moderation.findings import VendorVerdict
from mediagate.vendors import http
from mediagate.vendors.at_once import UNSURE_AT, AtOnceVendor, Look, understood
from mediagate.vendors.interface import Answers, Capabilities, Submission

SERVICE = "rekognition"
TARGET = "RekognitionService.DetectModerationLabels"
CONTENT_TYPE = "application/x-amz-json-1.1"
MAX_IMAGE = 5 * 1024 * 1024
MIN_CONFIDENCE = 10
"""Percent. Below what policies look for in the most severe categories."""

_NONE: tuple[str, ...] = ()
_GENERAL_NUDITY = "Non-Explicit Nudity of Intimate parts and Kissing"

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "Explicit": ("nudity",),
    _GENERAL_NUDITY: ("suggestive",),
    "Kissing on the Lips": _NONE,
    "Swimwear or Underwear": ("suggestive",),
    "Violence": ("violence",),
    "Weapons": ("weapons",),
    "Weapon Violence": ("violence", "weapons"),
    "Self-Harm": ("self_harm",),
    "Blood & Gore": ("gore",),
    "Visually Disturbing": ("gore",),
    "Drugs & Tobacco": ("drugs", "tobacco"),
    "Products": ("drugs",),
    "Smoking": ("tobacco",),
    "Alcohol": ("alcohol",),
    "Rude Gestures": ("harassment",),
    "Gambling": ("gambling",),
    "Hate Symbols": ("hate",),
    "Extremist": ("hate", "extremism"),
}
"""The gate's categories of labels of version 7; a label that is not here has those of its parent."""

PARENTS: Mapping[str, str] = {
    "Explicit Nudity": "Explicit",
    "Explicit Sexual Activity": "Explicit",
    "Sex Toys": "Explicit",
    "Non-Explicit Nudity": _GENERAL_NUDITY,
    "Obstructed Intimate Parts": _GENERAL_NUDITY,
    "Graphic Violence": "Violence",
    "Death and Emaciation": "Visually Disturbing",
    "Crashes": "Visually Disturbing",
    "Drugs & Tobacco Paraphernalia & Use": "Drugs & Tobacco",
    "Alcohol Use": "Alcohol",
    "Alcoholic Beverages": "Alcohol",
}
"""The second-level labels that are not in `CATEGORIES`, for third-level ones whose parent they are."""

# Errors that may pass, or that an operator mends, though their status is 400: throughput, credentials, permissions.
_TRY_AGAIN = frozenset(
    {
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "LimitExceededException",
        "HumanLoopQuotaExceededException",
        "InternalServerError",
        "RequestTimeoutException",
        "ServiceUnavailableException",
        "ResourceNotFoundException",
        "ResourceNotReadyException",
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "IncompleteSignatureException",
        "MissingAuthenticationTokenException",
        "ExpiredTokenException",
        "RequestExpired",
    }
)


class _Sure(BaseModel):
    model_config = ConfigDict(strict=True)

    name: str = Field(alias="Name", min_length=1, max_length=128)
    confidence: float = Field(alias="Confidence", ge=0, le=100, allow_inf_nan=False)


class _Label(_Sure):
    parent: str = Field("", alias="ParentName", max_length=128)


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True)

    labels: list[_Label] = Field(alias="ModerationLabels", max_length=500)
    content: list[_Sure] = Field([], alias="ContentTypes", max_length=500)  # checked, as a sign of a sound answer
    model: str = Field(alias="ModerationModelVersion", min_length=1, max_length=128)
    adapter: str = Field("", alias="ProjectVersion", max_length=2048)


class RekognitionVendor(AtOnceVendor):
    """`ModerationVendor` over Rekognition. `models`: the first is a custom adapter's ARN; none: the base model.

    `api_key` and `api_secret`: access key id and secret access key; `session_token` goes with temporary ones.

    Raises:
        ValueError: one of the keys is missing.
    """

    TITLE = "Amazon Rekognition"

    def __init__(
        self,
        *,
        name: str,
        api_key: SecretStr,
        api_secret: SecretStr,
        region: str,
        client: httpx.AsyncClient,
        session_token: SecretStr | None = None,
        url: str = "",
        models: Sequence[str] = (),
    ) -> None:
        if not (api_key.get_secret_value() and api_secret.get_secret_value()):
            raise ValueError(f"Vendor {name}: rekognition needs api_key and api_secret.")
        super().__init__(name=name, capabilities=capabilities(*models[:1]))
        self._adapter = {"ProjectVersion": models[0]} if models else {}
        self._url = f"{(url or f'https://rekognition.{region}.amazonaws.com').rstrip('/')}/"
        self._keys = (api_key, api_secret, session_token)
        self._region = region
        self._client = client

    async def _look(self, pictures: Sequence[bytes], submission: Submission) -> list[Look]:  # noqa: ARG002
        looks = []
        for picture in pictures:
            image = {"Bytes": base64.b64encode(picture).decode()}
            body = json.dumps({"Image": image, "MinConfidence": MIN_CONFIDENCE, **self._adapter}).encode()
            headers = self._signed(body)
            answer = await http.call(self._client, "POST", self._url, content=body, headers=headers, reads=_refused)
            looks.append(_seen(answer))
        return looks

    def _signed(self, body: bytes) -> dict[str, str]:
        """The headers of a request that is sent within five minutes."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        key, secret, token = (part and part.get_secret_value() for part in self._keys)
        headers = {"Content-Type": CONTENT_TYPE, "X-Amz-Target": TARGET}
        request = AWSRequest("POST", self._url, data=body, headers=headers)
        SigV4Auth(Credentials(key, secret, token or None), SERVICE, self._region).add_auth(request)
        return dict(request.headers.items())


def capabilities(model: str = "7.0") -> Capabilities:
    """As in docs/decisions/0023-vendor-facts.md: $0.001 a picture. How many a second differs by region and account."""
    found = {category for categories in CATEGORIES.values() for category in categories}
    return Capabilities(
        answers=Answers.AT_ONCE,
        model_version=model,
        content_types=("image/jpeg", "image/png"),
        max_bytes=MAX_IMAGE,
        cost_micros=1000,
        categories=tuple(sorted(found)),
    )


def _seen(answer: Mapping[str, Any]) -> Look:
    said = understood(_Answer, answer)
    scores = dict.fromkeys(capabilities().categories, 0.0)
    strange = False
    for label in said.labels:
        categories = _categories(label)
        strange |= categories is None and label.confidence / 100 >= UNSURE_AT
        if not _told_by_another(label, said.labels):
            for category in categories or ():
                scores[category] = max(scores[category], label.confidence / 100)
    return Look(
        verdict=VendorVerdict.REVIEW if strange else VendorVerdict.SCORED,
        scores=scores,
        labels=tuple(label.name for label in said.labels if label.confidence / 100 >= UNSURE_AT),
        model_version=said.adapter or said.model,
        raw=answer,
    )


def _categories(label: _Label) -> tuple[str, ...] | None:
    """Its own, or those of the labels above it; None for one of which nothing is known."""
    for name in (label.name, label.parent, PARENTS.get(label.name, ""), PARENTS.get(label.parent, "")):
        if name in CATEGORIES:
            return CATEGORIES[name]
    return None


def _told_by_another(label: _Label, labels: Sequence[_Label]) -> bool:
    """True if one right below it is as sure: what it says is then said better (drugs or tobacco? tobacco)."""
    return any(below.parent == label.name and below.confidence >= label.confidence for below in labels)


def _refused(response: httpx.Response, body: Mapping[str, Any]) -> MediagateError | None:
    """By the error's name, which may have a namespace: throttling is answered with 400 as well as bad pictures are."""
    kind = str(body.get("__type", "")).rpartition("#")[2].partition(":")[0]
    if not (kind.isascii() and kind.isalnum() and len(kind) <= 64):
        return None
    if kind not in _TRY_AGAIN:
        return http.refusal(response.status_code, kind, response.headers)
    message = f"The moderation vendor answered {response.status_code} {kind}."
    return VendorUnavailable(message, retry_after=http.retry_after(response.headers))
