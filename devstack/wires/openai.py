"""OpenAI's side of `mediagate.vendors.openai`: the moderation endpoint, its errors and its rate-limit headers."""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from devstack.wires import looks
from devstack.wires.refusals import refusing
from devstack.wires.wire import Wire

MAX_INPUTS = 32
FLAGGED_AT = 0.5

# Of the gate's categories; those that are not looked for in pictures need a text.
_IN_BOTH = {
    "sexual": "nudity",
    "violence": "violence",
    "violence/graphic": "gore",
    "self-harm": "self_harm",
    "self-harm/intent": "self_harm",
    "self-harm/instructions": "self_harm",
}
_IN_TEXTS = {
    "sexual/minors": "sexual_minors",
    "hate": "hate",
    "hate/threatening": "hate",
    "harassment": "harassment",
    "harassment/threatening": "harassment",
    "illicit": "drugs",
    "illicit/violent": "weapons",
}


def router(wire: Wire) -> APIRouter:
    """`/v1/moderations`."""
    routes = APIRouter(dependencies=[Depends(wire.admit)], route_class=refusing(_error))

    @routes.post("/v1/moderations")
    async def moderate(request: Request) -> Response:
        token = request.headers.get("Authorization", "")
        if wire.key and not hmac.compare_digest(token.encode(), f"Bearer {wire.key}".encode()):
            raise HTTPException(401, _detail("Incorrect API key provided.", code="invalid_api_key"))
        model, texts, urls = _read(await request.body())
        scores = await _look(wire, texts, urls)
        answer = wire.answer(_result(model, scores, texts=bool(texts), pictures=bool(urls)))
        answer.headers["x-ratelimit-limit-requests"] = "500"
        answer.headers["x-ratelimit-remaining-requests"] = "499"
        answer.headers["x-ratelimit-reset-requests"] = "120ms"
        return answer

    return routes


def _read(body: bytes) -> tuple[str, list[str], list[str]]:
    """Model, texts and URLs of pictures in a request."""
    try:
        sent = json.loads(body)
        inputs = sent["input"]
        inputs = [{"type": "text", "text": inputs}] if isinstance(inputs, str) else inputs
        texts = [str(one["text"]) for one in inputs if one["type"] == "text"]
        urls = [str(one["image_url"]["url"]) for one in inputs if one["type"] == "image_url"]
        model = str(sent.get("model", "omni-moderation-latest"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HTTPException(400, _detail("Invalid input.", param="input")) from error
    if not model.startswith("omni-moderation-"):
        raise HTTPException(404, _detail("The model does not exist.", param="model", code="model_not_found"))
    if len(urls) > 1:
        message = f"Number of images ({len(urls)}) exceeds maximum of 1"
        raise HTTPException(400, _detail(message, param="input", code="too_many_images"))
    if not 0 < len(texts) + len(urls) == len(inputs) <= MAX_INPUTS:
        raise HTTPException(400, _detail("Invalid input.", param="input"))
    return model, texts, urls


async def _look(wire: Wire, texts: list[str], urls: list[str]) -> dict[str, float]:
    if not urls:
        return {}
    picture = await _picture(wire, urls[0])
    seen = looks.look(picture, " ".join(texts)) if picture else None
    if seen is None:
        raise HTTPException(400, _detail("Failed to read the image.", param="input", code="invalid_image"))
    return seen


async def _picture(wire: Wire, url: str) -> bytes | None:
    if not url.startswith("data:"):
        return await wire.fetch(url)
    kind, _, data = url.partition(";base64,")
    try:
        return base64.b64decode(data, validate=True) if kind in ("data:image/jpeg", "data:image/png") else None
    except binascii.Error:
        return None


def _result(model: str, seen: dict[str, float], *, texts: bool, pictures: bool) -> dict[str, Any]:
    kinds = [kind for kind, there in (("text", texts), ("image", pictures)) if there]
    applied = {**dict.fromkeys(_IN_BOTH, kinds), **dict.fromkeys(_IN_TEXTS, ["text"] if texts else [])}
    named = {**_IN_BOTH, **_IN_TEXTS}
    # A category that was not applied to what was sent is scored 0.
    scores = {name: float(seen.get(category, 0.0)) if applied[name] else 0.0 for name, category in named.items()}
    flags = {name: score >= FLAGGED_AT for name, score in scores.items()}
    digest = hashlib.sha256(json.dumps([model, scores]).encode()).hexdigest()
    return {
        "id": f"modr-{digest[:32]}",
        "model": model,
        "results": [
            {
                "flagged": any(flags.values()),
                "categories": flags,
                "category_scores": scores,
                "category_applied_input_types": applied,
            }
        ],
    }


def _detail(message: str, *, param: str | None = None, code: str | None = None) -> Any:
    return {"message": message, "type": "invalid_request_error", "param": param, "code": code}


_FAULTS = {
    429: {"message": "Rate limit reached.", "type": "requests", "param": None, "code": "rate_limit_exceeded"},
    500: {"message": "The server had an error.", "type": "server_error", "param": None, "code": None},
    503: {"message": "The engine is overloaded.", "type": "server_error", "param": None, "code": None},
}


def _error(refusal: HTTPException) -> Response:
    return JSONResponse({"error": _FAULTS.get(refusal.status_code, refusal.detail)}, status_code=refusal.status_code)
