"""Google Cloud Vision's side of `mediagate.vendors.google_vision`: SafeSearch of up to 16 pictures."""

import base64
import binascii
import hmac
import json
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from devstack.wires import looks
from devstack.wires.refusals import refusing
from devstack.wires.wire import Wire

MAX_IMAGES = 16
MAX_JSON = 10_000_000
BAD_IMAGE = {"error": {"code": 3, "message": "Bad image data."}}

_WORDS = ((0.9, "VERY_LIKELY"), (0.75, "LIKELY"), (0.4, "POSSIBLE"), (0.1, "UNLIKELY"), (0.0, "VERY_UNLIKELY"))
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


def router(wire: Wire) -> APIRouter:
    """`/v1/images:annotate`."""
    routes = APIRouter(dependencies=[Depends(wire.admit)], route_class=refusing(_error))

    @routes.post("/v1/images:annotate")
    async def annotate(request: Request) -> Response:
        _check_key(wire, request.headers.get("x-goog-api-key", request.query_params.get("key", "")))
        body = await request.body()
        if len(body) > MAX_JSON:
            raise HTTPException(400, "Request payload size exceeds the limit: 10485760 bytes.")
        requests = _read(body)
        return wire.answer({"responses": [await _annotated(wire, one) for one in requests]}, is_score=_is_word)

    return routes


def _check_key(wire: Wire, key: str) -> None:
    if wire.key and not key:
        raise HTTPException(403, "Method doesn't allow unregistered callers.")
    if wire.key and not hmac.compare_digest(key.encode(), wire.key.encode()):
        info = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "vision.googleapis.com"},
        }
        raise HTTPException(400, {"message": "API key not valid. Please pass a valid API key.", "details": [info]})


def _read(body: bytes) -> list[dict[str, Any]]:
    try:
        requests = json.loads(body)["requests"]
        asked = {feature["type"] for one in requests for feature in one["features"]}
        models = {feature.get("model", "builtin/stable") for one in requests for feature in one["features"]}
        images = [dict(one["image"]) for one in requests]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HTTPException(400, "Invalid JSON payload received.") from error
    if asked != {"SAFE_SEARCH_DETECTION"} or not models <= {"builtin/stable", "builtin/latest"}:
        raise HTTPException(400, "Invalid feature.")
    if len(images) > MAX_IMAGES:
        raise HTTPException(400, f"Too many images per request: {len(images)}, at most {MAX_IMAGES}.")
    return images


async def _annotated(wire: Wire, image: dict[str, Any]) -> dict[str, Any]:
    source = image.get("source")
    if isinstance(source, dict):
        picture = await wire.fetch(str(source.get("imageUri", "")))
    else:
        try:
            picture = base64.b64decode(str(image.get("content", "")), validate=True)
        except binascii.Error:
            picture = None
    seen = looks.look(picture) if picture else None
    if seen is None:
        return BAD_IMAGE
    annotation = {
        "adult": _word(seen.get("nudity", 0.0)),
        "spoof": "VERY_UNLIKELY",
        "medical": _word(seen.get("gore", 0.0)),
        "violence": _word(max(seen.get("violence", 0.0), seen.get("gore", 0.0))),
        "racy": _word(max(seen.get("suggestive", 0.0), seen.get("nudity", 0.0))),
    }
    return {"safeSearchAnnotation": annotation}


def _word(score: float) -> str:
    return next(word for bound, word in _WORDS if score >= bound)


def _is_word(value: object) -> bool:
    return isinstance(value, str) and any(value == word for _, word in _WORDS)


def _error(refusal: HTTPException) -> Response:
    """A `google.rpc.Status`, as JSON."""
    said: Any = refusal.detail
    named = said if isinstance(said, dict) else {"message": str(said)}
    status = refusal.status_code
    return JSONResponse({"error": {"code": status, "status": _STATUS.get(status, "UNKNOWN"), **named}}, status)
