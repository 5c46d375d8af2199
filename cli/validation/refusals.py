"""Who is turned away, and how that is said."""

import json
import time
from typing import Any
from uuid import uuid4

import httpx

from cli.validation.walk import Skip, Walk, Wrong, expect

FIELDS = {"type", "title", "status", "detail", "code", "tracking_id"}
"""Of a problem document (RFC 9457)."""
MOST_BODY = 1 << 20
"""Bytes of JSON that the API takes."""
HUGE = 1 << 50
"""Bytes of a file that no limit allows."""


async def problems(walk: Walk) -> str:
    """What does not exist is answered with a problem document."""
    _problem(await walk.public.get(f"/api/v1/{uuid4().hex}"), 404, "not_found")
    return "problem+json with code and tracking id"


async def without_key(walk: Walk) -> str:
    """No key, and a wrong one, open nothing."""
    paths = [f"/api/v1/libraries/{walk.options.library or 'any'}/media", f"/api/v1/media/{uuid4()}"]
    wrong_key = {"Authorization": f"Bearer mg_{'0' * 12}_{'0' * 43}"}
    for path in paths:
        for headers in ({}, wrong_key):
            answer = await walk.public.get(path, headers=headers)
            _problem(answer, 401, "not_authenticated")
            expect(answer.headers.get("www-authenticate") == "Bearer", f"{path}: no WWW-Authenticate")
    return "without a key, and with a wrong one: 401"


async def key(walk: Walk) -> str:
    """The key reads the library."""
    if not walk.options.key:
        raise Skip("no key was given: MEDIAGATE_API_KEY, or --key-file")
    answer = await walk.http.get(_library(walk, walk.options.library), params={"limit": 1})
    expect(answer.status_code == httpx.codes.OK, f"{walk.options.library}: {_said(answer)}")
    return f"reads {walk.options.library}"


async def tenants(walk: Walk) -> str:
    """Another tenant's library is as unknown as one that does not exist."""
    unknown = _problem(await walk.http.get(_library(walk, f"no-such-{uuid4().hex[:12]}")), 404, "not_found")
    if not walk.options.foreign_library:
        return "a library that does not exist: 404; name a real one with --foreign-library"
    foreign = _problem(await walk.http.get(_library(walk, walk.options.foreign_library)), 404, "not_found")
    expect(foreign["detail"] == unknown["detail"], "the answer tells that the other library exists")
    return f"{walk.options.foreign_library} is as unknown as one that does not exist: 404"


async def operators(walk: Walk) -> str:
    """What concerns the whole deployment takes an operator's key; with one, every circuit breaker is closed."""
    ordinary = await walk.http.get("/api/v1/vendors")
    expect(ordinary.status_code == httpx.codes.FORBIDDEN, f"the library's key is answered {ordinary.status_code}")
    if not walk.options.operator_key:
        return "the library's key: 403"
    headers = {"Authorization": f"Bearer {walk.options.operator_key}"}
    answer = await walk.public.get("/api/v1/vendors", headers=headers)
    expect(answer.status_code == httpx.codes.OK, f"the operator's key: {_said(answer)}")
    broken = [vendor["name"] for vendor in answer.json()["items"] if vendor["state"] != "closed"]
    expect(not broken, f"circuit breakers are not closed: {', '.join(broken)}")
    return "the library's key: 403; the operator's: every circuit breaker is closed"


async def limits(walk: Walk) -> str:
    """What is too large is refused before it is read."""
    announced = {"filename": "huge.png", "content_type": "image/png", "file_size": HUGE}
    path = f"/api/v1/libraries/{walk.options.library}/uploads"
    file = _problem(await walk.http.post(path, json=announced), 413, "too_large")
    body = json.dumps({"filename": "x" * MOST_BODY}).encode()
    _problem(await walk.http.post(path, content=body, headers={"content-type": "application/json"}), 413, "too_large")
    return str(file["detail"])


async def webhooks(walk: Walk) -> str:
    """A webhook that is unsigned, or signed by somebody else, is turned away."""
    names = [name.partition(":")[2] for name in walk.deep if name.startswith("vendor:")]
    if not names:
        raise Skip("no vendor is known")
    body = json.dumps({"event_id": uuid4().hex, "media_id": str(uuid4()), "verdict": "approve"})
    forged = {
        "webhook-id": f"msg_{uuid4().hex}",
        "webhook-timestamp": str(int(time.time())),
        "webhook-signature": "v1,Zm9yZ2VkIGZvcmdlZCBmb3JnZWQgZm9yZ2VkIGZvcmc=",
    }
    wrong = []
    for name in names:
        for how, headers in (("unsigned", {}), ("forged", forged)):
            answer = await walk.public.post(
                f"/api/v1/webhooks/moderation/{name}",
                content=body,
                headers={"content-type": "application/json", **headers},
            )
            # A vendor that sends none has no secret, so whatever comes is refused as not understood.
            if answer.status_code not in {400, 401, 403, 404}:
                wrong.append(f"{name}, {how}: {answer.status_code}")
    expect(not wrong, "; ".join(wrong))
    return f"{', '.join(names)}: refused"


def _library(walk: Walk, name: str) -> str:
    del walk
    return f"/api/v1/libraries/{name}/media"


def _problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    where = f"{answer.request.method} {answer.request.url.path}"
    expect(answer.status_code == status, f"{where}: {_said(answer)} in place of {status}")
    expect(
        answer.headers.get("content-type", "").partition(";")[0] == "application/problem+json",
        f"{where}: {status} without a problem document",
    )
    document = answer.json()
    if not isinstance(document, dict) or set(document) != FIELDS:
        raise Wrong(f"{where}: a problem document with other fields than {', '.join(sorted(FIELDS))}")
    expect(document["code"] == code, f"{where}: code {document['code']} in place of {code}")
    return document


def _said(answer: httpx.Response) -> str:
    try:
        document = answer.json()
    except ValueError:
        document = {}
    code = document.get("code", "") if isinstance(document, dict) else ""
    return f"{answer.status_code} {code}".strip()
