"""The service as it stands: does it answer, are its parts there, how is the way to it, what does it say of itself."""

import asyncio
import ssl
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from cli.validation.walk import Skip, Walk, Wrong, expect
from mediagate import __version__

MOST_SKEW = 5.0
"""Seconds. Signed URLs and webhooks allow minutes; a clock that is synchronised is off by less than this."""
LEAST_DAYS = 14
"""For which the certificate must hold still."""
SECURITY_HEADERS = ("x-content-type-options", "content-security-policy", "referrer-policy", "x-tracking-id")
CALLS = (
    "/api/v1/libraries/{slug}/uploads",
    "/api/v1/uploads/{media_id}/complete",
    "/api/v1/libraries/{slug}/media",
    "/api/v1/media/{media_id}",
    "/api/v1/media/{media_id}/timeline",
    "/api/v1/webhooks/moderation/{vendor}",
)


async def answers(walk: Walk) -> str:
    """`/health/live`, and the public address if that is another one."""
    began = time.monotonic()
    await _health(walk, "live", {200})
    if walk.options.internal:
        await _page(walk)
    return f"{walk.options.url} in {1000 * (time.monotonic() - began):.0f} ms"


async def parts(walk: Walk) -> str:
    """`/health/ready`: Postgres, S3, Temporal."""
    walk.ready = (await _health(walk, "ready", {200, 503}))["checks"]
    away = {name: said for name, said in walk.ready.items() if said != "ok"}
    expect(not away, "; ".join(f"{name}: {said}" for name, said in away.items()))
    return ", ".join(walk.ready)


async def deep(walk: Walk) -> None:
    """Ask `/health/deep` once for the checks that look at it."""
    if not walk.deep:
        walk.deep = (await _health(walk, "deep", {200, 503}))["checks"]


async def schema(walk: Walk) -> str:
    """Every migration of the release that runs is applied."""
    if walk.ready.get("postgres", "ok") != "ok":
        raise Skip("the database does not answer")
    await deep(walk)
    expect(walk.deep.get("schema") == "ok", walk.deep.get("schema", "nothing is said of the schema"))
    return "every migration is applied"


async def workers(walk: Walk) -> str:
    """A worker polls each task queue."""
    if walk.ready.get("temporal", "ok") != "ok":
        raise Skip("Temporal does not answer")
    await deep(walk)
    queues = {name.partition(":")[2]: said for name, said in walk.deep.items() if name.startswith("worker:")}
    expect(queues, "nothing is said of workers")
    idle = {name: said for name, said in queues.items() if said != "ok"}
    expect(not idle, "; ".join(f"{name}: {said}" for name, said in idle.items()))
    return ", ".join(queues)


async def vendors(walk: Walk) -> str:
    """Those who look at pictures answer, and take our keys."""
    await deep(walk)
    asked = {name: said for name, said in walk.deep.items() if name.startswith("vendor:") or name == "scanner"}
    if not asked:
        raise Skip("none is configured")
    away = {name: said for name, said in asked.items() if said != "ok"}
    expect(not away, "; ".join(f"{name.removeprefix('vendor:')}: {said}" for name, said in away.items()))
    return ", ".join(name.removeprefix("vendor:") for name in asked)


async def transport(walk: Walk) -> str:
    """TLS with a certificate that holds for a while yet."""
    parts = urlsplit(walk.options.url)
    if parts.scheme != "https":
        if walk.options.is_local:
            raise Skip("loopback, without TLS")
        raise Wrong("the address is http: keys travel in the clear")
    context = ssl.create_default_context()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=context)
    try:
        tls = writer.get_extra_info("ssl_object")
        until = datetime.fromtimestamp(ssl.cert_time_to_seconds(tls.getpeercert()["notAfter"]), UTC)
    finally:
        writer.close()
        await writer.wait_closed()
        del reader
    days = (until - datetime.now(UTC)).days
    expect(days >= LEAST_DAYS, f"the certificate ends on {until:%Y-%m-%d}, in {days} days")
    return f"{tls.version()}, certificate until {until:%Y-%m-%d}"


async def headers(walk: Walk) -> str:
    """What keeps browsers from doing more with an answer than is meant, and the tracking id."""
    answer = await _page(walk, {"X-Tracking-Id": "validate-tracking-id"})
    absent = [name for name in SECURITY_HEADERS if name not in answer.headers]
    expect(not absent, f"missing: {', '.join(absent)}")
    expect(answer.headers["x-content-type-options"] == "nosniff", "x-content-type-options is not nosniff")
    expect(answer.headers["x-tracking-id"] == "validate-tracking-id", "the tracking id that was sent did not come back")
    if urlsplit(walk.options.url).scheme == "https":
        expect(
            "strict-transport-security" in answer.headers, "missing: strict-transport-security (the proxy's to send)"
        )
    return ", ".join(SECURITY_HEADERS)


async def openapi(walk: Walk) -> str:
    """The description names the calls that this release knows."""
    walk.openapi = _json(await walk.public.get("/openapi.json"), "/openapi.json", {200})
    absent = [path for path in CALLS if path not in walk.openapi.get("paths", {})]
    expect(not absent, f"missing: {', '.join(absent)}")
    version = walk.openapi.get("info", {}).get("version", "")
    other = "" if version == __version__ else f" (this program is {__version__})"
    return f"OpenAPI {walk.openapi.get('openapi')}, release {version}{other}"


async def clock(walk: Walk) -> str:
    """The server's time against ours; half of the way there and back is uncertain, and so is the second's fraction."""
    began = datetime.now(UTC)
    answer = await _page(walk)
    ended = datetime.now(UTC)
    if "date" not in answer.headers:
        raise Skip("the answer carries no Date")
    server = parsedate_to_datetime(answer.headers.get_list("date")[0]).astimezone(UTC)
    early, late = (began - server).total_seconds() - 1, (server - ended).total_seconds()
    skew = max(early, late, 0.0)
    expect(skew <= MOST_SKEW, f"the server's clock differs from ours by {skew:.1f} s")
    return f"differs by less than {MOST_SKEW:g} s"


async def _health(walk: Walk, name: str, expected: set[int]) -> dict[str, Any]:
    path = f"/health/{name}"
    return _json(await walk.public.get(f"{walk.options.internal}{path}"), path, expected)


async def _page(walk: Walk, headers: dict[str, str] | None = None) -> httpx.Response:
    """A small answer of the API's, at the public address."""
    return await walk.public.get("/", headers=headers)


def _json(answer: httpx.Response, path: str, expected: set[int]) -> dict[str, Any]:
    """The object that an answer holds. Raises Wrong for another status, or for what is none."""
    try:
        document = answer.json()
    except ValueError:
        document = None
    if answer.status_code not in expected or not isinstance(document, dict):
        kind = answer.headers.get("content-type", "no content type")
        raise Wrong(f"{path} answered {answer.status_code}, {kind}: is this a Mediagate?")
    return document
