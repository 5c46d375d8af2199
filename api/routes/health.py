"""Health: `live`: the process answers; `ready`: it can do its work; `deep`: uploads can reach their end."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.deps import Gate, GateDep
from api.problems import told
from db import migrate
from mediagate.errors import Conflict, MediagateError, SchemaBehind, SpaceShort
from workflows.names import Role

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


@router.get("/deep")
async def deep(gate: GateDep) -> JSONResponse:
    """As `ready`, and: the schema is up to date or newer, every task queue has a worker, there is room on
    every disk, vendors and malware scanner answer.

    For people and alerts, not for a load balancer: none of these is mended by taking this process out of service.
    """
    parts: dict[str, Awaitable[Any]] = {
        "postgres": gate.db.ready(),
        "schema": _schema(gate),
        "s3": gate.store.ready(),
        "temporal": gate.flows.ready(),
        "space": _space(gate),
    }
    parts |= {f"worker:{role.value}": gate.flows.served(role) for role in Role}
    # An item that does not exist: the vendor answers, and takes our key.
    parts |= {f"vendor:{name}": vendor.poll(str(UUID(int=0))) for name, vendor in gate.vendors.items()}
    if gate.scanner:
        parts["scanner"] = gate.scanner.ping()
    return await _report(parts)


async def _schema(gate: Gate) -> None:
    url = gate.settings.database_url.get_secret_value()
    try:
        revisions = await asyncio.to_thread(migrate.status, url)
    except Conflict:
        return  # a newer release migrated it: this one runs on it until it is replaced, or again after a rollback
    if not all(revision.applied for revision in revisions):
        raise SchemaBehind


async def _space(gate: Gate) -> None:
    """Room on the disks of all processes, and in the store where its size is known."""
    async with gate.db.transaction() as tx:
        short = [place.name for place in await tx.storage.spaces() if place.short_since]
    if short:
        raise SpaceShort


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
