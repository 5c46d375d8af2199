"""Health: `live` says that the process answers, `ready` that it can do its work."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.deps import GateDep
from api.problems import told
from mediagate.errors import MediagateError

router = APIRouter(prefix="/health", tags=["health"])

TIMEOUT = 3
"""Seconds after which a part that says nothing counts as away."""


@router.get("/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/ready")
async def ready(gate: GateDep) -> JSONResponse:
    """Postgres, S3 and Temporal answer: 200, or 503 with what does not."""
    return await _report({"postgres": gate.db.ready(), "s3": gate.store.ready(), "temporal": gate.flows.ready()})


async def _report(checks: Mapping[str, Awaitable[Any]]) -> JSONResponse:
    results = dict(zip(checks, await asyncio.gather(*(_check(check) for check in checks.values())), strict=True))
    healthy = all(result == "ok" for result in results.values())
    return JSONResponse(
        {"status": "ok" if healthy else "unavailable", "checks": results},
        status_code=200 if healthy else 503,
        headers={} if healthy else {"Retry-After": "5"},
    )


async def _check(check: Awaitable[Any]) -> str:
    try:
        await asyncio.wait_for(check, TIMEOUT)
    except TimeoutError:
        return f"no answer in {TIMEOUT} s"
    except MediagateError as error:
        return told(error)
    return "ok"
