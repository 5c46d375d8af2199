"""Moderation vendors on loopback: the generic one at the root, the others' wire formats under `/{wire}`.

    python -m devstack.vendor --port 8099 --mode simulated|manual

The mode is the generic one's (`devstack.wires.generic`); the others always answer (`devstack.wires.looks`). Each can be
told to misbehave (`devstack.wires.control`). A wire takes the credentials of the first of `MEDIAGATE_VENDORS` of its
kind, and everybody if there is none.
"""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import get_args

import uvicorn
from fastapi import FastAPI

from devstack.wires import control, generic
from devstack.wires.catalogue import ROUTERS
from devstack.wires.generic import Mode, Simulator
from devstack.wires.wire import Wire
from mediagate.settings import Settings, VendorKind

__all__ = ["Mode", "create_app"]


def create_app(settings: Settings, mode: Mode, *, pause: float = 0.2) -> FastAPI:
    """The HTTP face. `pause`: seconds before a wire repeats a call of its own, doubled for each further one.

    While the app runs, the generic vendor is `app.state.simulator`.
    """
    wires = {kind.value: _wire(kind, settings, pause) for kind in (VendorKind.GENERIC, *ROUTERS)}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.simulator = Simulator(settings, mode, wires[VendorKind.GENERIC])
        app.state.simulator.resume()
        yield
        for wire in wires.values():
            await wire.close()
        app.state.simulator.book.close()

    app = FastAPI(title="Vendor simulator", lifespan=lifespan)
    app.include_router(generic.health)
    app.include_router(generic.router(wires[VendorKind.GENERIC]))
    for kind, router in ROUTERS.items():
        app.include_router(router(wires[kind]), prefix=f"/{kind.value}")
    app.include_router(control.router(wires))
    return app


def _wire(kind: VendorKind, settings: Settings, pause: float) -> Wire:
    for vendor in settings.vendors.values():
        if vendor.kind is kind:
            key, secret = vendor.api_key.get_secret_value(), vendor.api_secret.get_secret_value()
            return Wire(kind.value, key=key, secret=secret, pause=pause)
    return Wire(kind.value, pause=pause)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m devstack.vendor", description="Moderation vendors on loopback.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mode", choices=get_args(Mode), default="simulated")
    arguments = parser.parse_args()
    app = create_app(Settings(), arguments.mode)
    uvicorn.run(
        app, host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False, timeout_graceful_shutdown=3
    )


if __name__ == "__main__":
    main()
