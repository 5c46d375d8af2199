"""Amazon Rekognition's side of `mediagate.vendors.rekognition`: DetectModerationLabels, signatures, AWS's errors."""

import base64
import binascii
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from fastapi import APIRouter, Depends, HTTPException, Request, Response

from devstack.wires import looks
from devstack.wires.refusals import refusing
from devstack.wires.wire import Wire

TARGET = "RekognitionService.DetectModerationLabels"
CONTENT_TYPE = "application/x-amz-json-1.1"
MAX_IMAGE = 5 * 1024 * 1024
CONTENT = [{"Confidence": 91.25, "Name": "Illustrated"}]
SKEW = timedelta(minutes=5)
"""How old, or how far ahead, a signature may be."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request, "
    r"SignedHeaders=([^,\s]+), Signature=([0-9a-f]{64})"
)
_SIGNED = {"host", "x-amz-date"}

# The labels of the gate's categories, from the top level down.
_LABELS = {
    "nudity": ("Explicit", "Explicit Nudity", "Exposed Female Nipple"),
    "suggestive": ("Swimwear or Underwear", "Female Swimwear or Underwear"),
    "violence": ("Violence", "Graphic Violence", "Physical Violence"),
    "gore": ("Violence", "Graphic Violence", "Blood & Gore"),
    "weapons": ("Violence", "Weapons"),
    "self_harm": ("Violence", "Graphic Violence", "Self-Harm"),
    "drugs": ("Drugs & Tobacco", "Products", "Pills"),
    "tobacco": ("Drugs & Tobacco", "Drugs & Tobacco Paraphernalia & Use", "Smoking"),
    "alcohol": ("Alcohol", "Alcoholic Beverages"),
    "harassment": ("Rude Gestures", "Middle Finger"),
    "gambling": ("Gambling",),
    "hate": ("Hate Symbols", "Nazi Party"),
    "extremism": ("Hate Symbols", "Extremist"),
}


class _Claim(NamedTuple):
    """What an `Authorization` header says."""

    key: str
    day: str
    region: str
    service: str
    headers: list[str]
    signature: str


def router(wire: Wire) -> APIRouter:
    """The one path there is; `X-Amz-Target` names the operation."""
    routes = APIRouter(dependencies=[Depends(wire.admit)], route_class=refusing(_error))

    @routes.post("/")
    async def operate(request: Request) -> Response:
        body = await request.body()
        if wire.key:
            _verify(wire, request, body, now=datetime.now(UTC))
        if request.headers.get("X-Amz-Target") != TARGET:
            raise _refusal("UnknownOperationException", "", status=404)
        if request.headers.get("Content-Type") != CONTENT_TYPE:
            raise _refusal("SerializationException", "Unexpected content type.")
        seen, least = _read(body)
        answer = wire.answer(_result(seen, least))
        answer.headers["Content-Type"] = CONTENT_TYPE
        return answer

    return routes


def _verify(wire: Wire, request: Request, body: bytes, *, now: datetime) -> None:
    """Signature Version 4: the request is signed anew by the wire's secret, and must come to the same."""
    claim = _claim(request)
    if claim.key != wire.key:
        raise _refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
    stamp = request.headers.get("X-Amz-Date", "")
    try:
        moment = datetime.strptime(stamp, SIGV4_TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        raise _refusal("IncompleteSignatureException", "Date is not of the form YYYYMMDDTHHMMSSZ.") from None
    if abs(now - moment) > SKEW or not stamp.startswith(claim.day) or claim.service != "rekognition":
        raise _refusal("InvalidSignatureException", "Signature expired, or its scope is wrong.")
    signed = AWSRequest(
        "POST", str(request.url), data=body, headers={name: request.headers.get(name, "") for name in claim.headers}
    )
    signed.context["timestamp"] = stamp
    signer = SigV4Auth(Credentials(claim.key, wire.secret), claim.service, claim.region)
    expected = signer.signature(signer.string_to_sign(signed, signer.canonical_request(signed)), signed)
    if not (claim.headers and hmac.compare_digest(expected, claim.signature)):
        raise _refusal("InvalidSignatureException", "The request signature we calculated does not match yours.")


def _claim(request: Request) -> _Claim:
    header = request.headers.get("Authorization", "")
    if not header:
        raise _refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
    found = _AUTHORIZATION.fullmatch(header)
    if not found:
        raise _refusal("IncompleteSignatureException", "The Authorization header is not understood.")
    key, day, region, service, headers, signature = found.groups()
    names = headers.split(";")
    if not {*names} >= _SIGNED:
        raise _refusal("InvalidSignatureException", "host and x-amz-date must be signed.")
    return _Claim(key, day, region, service, names, signature)


def _read(body: bytes) -> tuple[dict[str, float], float]:
    """What is seen in the picture of a request, and the least confidence that is asked for."""
    try:
        sent = json.loads(body)
        picture = base64.b64decode(sent["Image"]["Bytes"], validate=True)
        least = float(sent.get("MinConfidence", 50))
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise _refusal("InvalidParameterException", "Request has invalid parameters") from None
    if not 0 <= least <= 100 or not picture:
        raise _refusal("InvalidParameterException", "Request has invalid parameters")
    if len(picture) > MAX_IMAGE:
        raise _refusal("ImageTooLargeException", "Request image is too large")
    seen = looks.look(picture)
    if seen is None:
        raise _refusal("InvalidImageFormatException", "Request has invalid image format")
    return seen, least


def _result(seen: dict[str, float], least: float) -> dict[str, Any]:
    found: dict[str, tuple[float, str, int]] = {}
    for category, score in seen.items():
        parent = ""
        for level, name in enumerate(_LABELS.get(category, ()), start=1):
            confidence = max(round(score * 100, 4), found.get(name, (0.0, "", 0))[0])
            found[name], parent = (confidence, parent, level), name
    labels = [
        {"Confidence": confidence, "Name": name, "ParentName": parent, "TaxonomyLevel": level}
        for name, (confidence, parent, level) in found.items()
        if confidence >= least
    ]
    return {"ModerationLabels": labels, "ModerationModelVersion": "7.0", "ContentTypes": CONTENT}


def _refusal(kind: str, message: str, *, status: int = 400) -> HTTPException:
    return HTTPException(status, {"__type": kind, "Message": message})


# What a fault is called here; too many calls are a bad request to this vendor.
_FAULTS = {
    429: (400, "ProvisionedThroughputExceededException", "Provisioned rate exceeded"),
    500: (500, "InternalServerError", "Internal server error"),
    503: (503, "ServiceUnavailableException", "Service unavailable"),
}


def _error(refusal: HTTPException) -> Response:
    said: Any = refusal.detail
    status = refusal.status_code
    if not isinstance(said, dict):
        status, kind, message = _FAULTS.get(status, (status, "InternalFailure", ""))
        said = {"__type": kind, "Message": message}
    said = {"Code": said["__type"], **said}
    return Response(json.dumps(said), status, media_type=CONTENT_TYPE)
