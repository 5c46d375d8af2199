"""A gate that is served over HTTP and asks the simulated vendors: who fetches pictures and calls back reaches it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fastapi import FastAPI

from api.app import create_app
from mediagate import wiring
from tests.api.serving import gate_of
from tests.contracts.loopback import served
from tests.wires import Wires
from tests.world import VENDOR, GateWith, World


@asynccontextmanager
async def asking(gate_with: GateWith, wires: Wires, **settings: Any) -> AsyncIterator[World]:
    """A world whose workers and API know the wires' vendors, by the names of their kinds.

    A library asks those that its policy names: `await world.configure(policy={"ask": ["hive"]})`.
    """
    outside = FastAPI()
    async with (
        served(outside) as url,
        gate_with(roles=(), public_url=url, vendors=wires.vendors, **settings) as world,
        wiring.open_vendors(world.settings) as vendors,
    ):
        known = {**vendors, VENDOR: world.vendor}
        app = create_app(world.settings)
        app.state.gate = replace(gate_of(world), vendors=known)
        outside.mount("/", app)
        async with world.workers(vendors=known):
            yield world
