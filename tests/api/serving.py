"""How the API's tests reach it: another application over the same world, and what every problem must look like."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from api.app import create_app
from api.deps import Gate
from mediagate.access.delivery import DeliverySigner
from mediagate.settings import Settings
from tests.world import VENDOR, World

PREFIX = "/api/v1"


def bearer(token: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"Authorization": f"Bearer {token}"}


def gate_of(world: World) -> Gate:
    """The world's parts as the API gets them; replace those that are to be away."""
    return Gate(
        settings=world.settings,
        db=world.db,
        store=world.store,
        flows=world.flows,
        vendors={VENDOR: world.vendor},
        signer=DeliverySigner(world.settings.delivery_secrets),
        vault=world.deps.vault,
    )


def client_of(app: FastAPI, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    """A client of an application in this process; `headers` go with every request."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://gate.test", headers=headers)


@asynccontextmanager
async def serving(gate: Gate, headers: dict[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application over that gate."""
    app = create_app(gate.settings)
    app.state.gate = gate
    async with client_of(app, headers) as client:
        yield client


def routes() -> list[tuple[str, str]]:
    """Method and path of everything that is served."""
    found = iter_route_contexts(create_app(Settings()).routes)
    return sorted((method, route.path or "") for route in found for method in route.methods or ())


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document, which is one by RFC 9457 and our own rules."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert set(document) == {"type", "title", "status", "detail", "code", "tracking_id"}
    assert (document["status"], document["code"]) == (status, code)
    assert document["type"] == f"/problems/{code}"
    assert document["title"]
    assert document["detail"]
    assert document["tracking_id"] == response.headers["x-tracking-id"]
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", document["tracking_id"])
    return document
