"""Tells a wire how to misbehave, and asks what it did.

PUT    /control/{wire}  `Faults` as JSON: they hold from now on, in place of former ones
GET    /control/{wire}  {"faults", "calls", "refused", "callbacks", "forged"}
DELETE /control/{wire}  no faults, and counters at 0
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, HTTPException

from devstack.wires.faults import Faults
from devstack.wires.wire import Wire


def router(wires: Mapping[str, Wire]) -> APIRouter:
    """The control of these wires, by name."""
    routes = APIRouter(prefix="/control")

    def named(name: str) -> Wire:
        try:
            return wires[name]
        except KeyError:
            raise HTTPException(404, f"The wires are {', '.join(wires)}.") from None

    def state(wire: Wire) -> dict[str, Any]:
        return {"faults": wire.faults.model_dump(mode="json"), **wire.counts.model_dump()}

    @routes.put("/{name}")
    async def misbehave(name: str, faults: Faults) -> dict[str, Any]:
        named(name).set(faults)
        return state(named(name))

    @routes.get("/{name}")
    async def ask(name: str) -> dict[str, Any]:
        return state(named(name))

    @routes.delete("/{name}")
    async def behave(name: str) -> dict[str, Any]:
        named(name).clear()
        return state(named(name))

    return routes
