"""Sightengine's side of its format; documents: `mediagate.vendors.sightengine`."""

import hmac
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Depends, File, Form, HTTPException, Response, UploadFile
from fastapi.responses import JSONResponse

from devstack.wires.looks import look
from devstack.wires.refusals import refusing
from devstack.wires.wire import Wire

_CLASSES: Mapping[str, Mapping[str, str]] = {
    "nudity-2.1": {
        "nudity.sexual_activity": "nudity",
        "nudity.sexual_display": "nudity",
        "nudity.erotica": "nudity",
        "nudity.very_suggestive": "suggestive",
        "nudity.suggestive": "suggestive",
        "nudity.mildly_suggestive": "suggestive",
    },
    "weapon": {
        "weapon.classes.firearm": "weapons",
        "weapon.classes.firearm_gesture": "",
        "weapon.classes.firearm_toy": "",
        "weapon.classes.knife": "weapons",
    },
    "recreational_drug": {"recreational_drug.prob": "drugs"},
    "alcohol": {"alcohol.prob": "alcohol"},
    "tobacco": {"tobacco.prob": "tobacco"},
    "gambling": {"gambling.prob": "gambling"},
    "offensive-2.0": {
        "offensive.nazi": "hate",
        "offensive.asian_swastika": "",
        "offensive.confederate": "hate",
        "offensive.supremacist": "hate",
        "offensive.terrorist": "terrorism",
        "offensive.middle_finger": "harassment",
    },
    "gore-2.0": {"gore.prob": "gore", "gore.classes.very_bloody": "gore"},
    "violence": {
        "violence.prob": "violence",
        "violence.classes.physical_violence": "violence",
        "violence.classes.firearm_threat": "violence",
        "violence.classes.combat_sport": "",
    },
    "self-harm": {"self-harm.prob": "self_harm"},
    "scam": {"scam.prob": "scam"},
}
"""Where which model puts what is seen; without a category: never seen."""

UNSEEN = 0.01


def router(wire: Wire) -> APIRouter:
    """The paths under `/1.0`."""
    routes = APIRouter(prefix="/1.0", dependencies=[Depends(wire.admit)], route_class=refusing(_failure))

    @routes.post("/check.json")
    async def check(
        media: Annotated[UploadFile, File()],
        models: Annotated[str, Form()],
        api_user: Annotated[str, Form()] = "",
        api_secret: Annotated[str, Form()] = "",
    ) -> Response:
        """One picture; its name is told back, as is documented for uploads."""
        if not (_same(wire.key, api_user) and _same(wire.secret, api_secret)):
            raise _error("argument_error", 1, "Incorrect API user or API secret")
        wanted = models.split(",")
        if unknown := [model for model in wanted if model not in {*_CLASSES, "face-attributes"}]:
            raise _error("argument_error", 9, f"Unknown model: {unknown[0]}")
        picture = await media.read()
        seen = look(picture)
        if seen is None:
            raise _error("media_error", 14, "Invalid media content")
        answer = _answer(seen, wanted, sha256(picture).hexdigest(), media.filename or "")
        return wire.answer(answer, other=answer | {"media": {"id": "med_other", "uri": f"{uuid4()}-0.jpg"}})

    return routes


def _same(expected: str, given: str) -> bool:
    return not expected or hmac.compare_digest(expected.encode(), given.encode())


def _answer(seen: Mapping[str, float], models: Iterable[str], digest: str, uri: str) -> dict[str, Any]:
    wanted = list(models)
    answer: dict[str, Any] = {"status": "success", "request": _request(len(wanted))}
    for model in wanted:
        for place, category in _CLASSES.get(model, {}).items():
            *parents, name = place.split(".")
            target = answer
            for parent in parents:
                target = target.setdefault(parent, {})
            target[name] = seen.get(category, UNSEEN)
    if "face-attributes" in wanted:
        minor = seen.get("sexual_minors")
        box = {"x1": 0.1, "y1": 0.1, "x2": 0.3, "y2": 0.4}
        answer["faces"] = [{**box, "attributes": {"minor": minor, "sunglasses": UNSEEN}}] if minor is not None else []
    answer["media"] = {"id": f"med_{digest[:21]}", "uri": uri}
    return answer


def _error(kind: str, code: int, message: str) -> HTTPException:
    return HTTPException(400, {"type": kind, "code": code, "message": message})


def _failure(refusal: HTTPException) -> Response:
    """The error format; what a fault refuses is about the account or the service."""
    said: Any = refusal.detail
    if not isinstance(said, dict):
        kind, code = ("usage_limit", 32) if refusal.status_code == 429 else ("api_error", 0)
        said = {"type": kind, "code": code, "message": str(said)}
    body = {"status": "failure", "request": _request(0), "error": said}
    return JSONResponse(body, refusal.status_code)


def _request(operations: int) -> dict[str, Any]:
    return {"id": f"req_{uuid4().hex[:21]}", "timestamp": round(time.time(), 6), "operations": operations}
