"""The internal port: `/metrics` and `/health/…`, for whoever watches over this process, and for nobody else.

Nobody is asked for a key there, so `MEDIAGATE_INTERNAL_ADDRESS` is an address that the public does not reach; on the
public port there are no metrics unless `MEDIAGATE_METRICS_PUBLIC` says so.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import prometheus_client as prometheus
import uvicorn
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.metrics import PrometheusRecorder
from api.metrics_census import Census

METRICS = "/metrics"
router = APIRouter(tags=["health"])


class Exposition:
    """Everything that an API process tells of itself and of the gate, as text."""

    def __init__(self, app: FastAPI) -> None:
        self.recorder = PrometheusRecorder()
        self._census = Census(lambda: app.state.gate)
        self.recorder.registry.register(self._census)

    async def answer(self) -> Response:
        """The answer to a scrape."""
        await self._census.refresh()
        return Response(
            prometheus.generate_latest(self.recorder.registry), media_type=prometheus.CONTENT_TYPE_PLAIN_0_0_4
        )


@router.get(METRICS)
async def read_metrics(request: Request) -> Response:
    """What this process measures, for Prometheus."""
    exposition: Exposition = request.app.state.exposition
    return await exposition.answer()


class Internal:
    """ASGI application of the internal port; health is that of the public one, so that both say the same."""

    def __init__(self, app: FastAPI, exposition: Exposition) -> None:
        self._app = app
        self._exposition = exposition

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        if scope["path"].startswith("/health/"):
            front: ASGIApp = getattr(self._app.state, "front", self._app)
            await front(scope, receive, send)
            return
        if scope["path"] != METRICS:
            answer: Response = PlainTextResponse("There are /metrics and /health/… here.\n", 404)
        elif scope["method"] not in {"GET", "HEAD"}:
            answer = PlainTextResponse("Only GET.\n", 405, {"Allow": "GET, HEAD"})
        else:
            answer = await self._exposition.answer()
        await answer(scope, receive, send)


class _Beside(uvicorn.Server):
    """A server beside another one, which is the one that hears signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield


@asynccontextmanager
async def serving(app: ASGIApp, address: str) -> AsyncIterator[None]:
    """Serve at `host:port` for the time of the block.

    Raises:
        ValueError: it is no such address.
        OSError: nothing can be served there.
    """
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"MEDIAGATE_INTERNAL_ADDRESS is {address!r}: set it to host:port, as in 127.0.0.1:9463.")
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, lifespan="off", timeout_graceful_shutdown=1
    )
    server = _Beside(config)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host.removeprefix("[").removesuffix("]"), int(port)), family=family) as listening:
        running = asyncio.create_task(server.serve([listening]))
        try:
            yield
        finally:
            server.should_exit = True
            await running
