"""How the API stops: it says so, serves on for a while, finishes what it has, and ends within a bound.

1. The first SIGTERM or SIGINT: `/health/ready` answers 503, every answer asks its caller to close the connection, and
   requests are served as before for `MEDIAGATE_DRAIN_DELAY` seconds, so that load balancers take this process out.
2. It listens no more; requests that are under way may finish within `MEDIAGATE_SHUTDOWN_GRACE` seconds.
3. What is left is cancelled and answered with 503, if no answer has begun. A second signal quits at once.
"""

import asyncio
import os
import signal
import time
from types import FrameType

import structlog
import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem_of
from mediagate.errors import Unavailable

log = structlog.get_logger()

READY = "/health/ready"
MARGIN = 5.0
"""Seconds beyond the grace for closing connections to database, store and Temporal."""


class Drain:
    """ASGI middleware around the whole application; harmless until it is begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        answered = False

        async def last(message: Message) -> None:
            nonlocal answered
            answered = True
            # HTTP/2 has no such header; it says GOAWAY by itself.
            if self.begun and message["type"] == "http.response.start" and scope["http_version"].startswith("1"):
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        if self.begun and scope["path"] == READY:
            answer = JSONResponse({"status": "draining", "checks": {}}, 503, {"Retry-After": "5"})
            await answer(scope, receive, last)
            return
        try:
            await self._app(scope, receive, last)
        except asyncio.CancelledError:  # it lasted longer than the grace
            if answered or not self.begun:
                raise
            stopping = Unavailable("This process is being stopped; try again.", retry_after=1)
            await problem_of(stopping, tracking_id=scope["state"]["tracking_id"])(scope, receive, last)


class DrainingServer(uvicorn.Server):
    """Uvicorn that drains before it shuts down. After a drain `run` returns; the signal is not raised again."""

    def __init__(self, config: uvicorn.Config, drain: Drain, *, delay: float, grace: float) -> None:
        super().__init__(config)
        self._drain = drain
        self._delay = delay
        self._grace = grace
        self._stop_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        del frame
        if self._drain.begun:
            os._exit(128 + sig)
        self._drain.begun = True

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; True ends the serving."""
        if self._drain.begun and self._stop_at is None:
            # Said here, because a signal handler may interrupt the writing of another line.
            log.info("api.draining", delay=self._delay, grace=self._grace)
            self._stop_at = time.monotonic() + self._delay
            asyncio.get_running_loop().call_later(self._delay + self._grace + MARGIN, self._give_up)
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)

    def _give_up(self) -> None:
        log.error("api.drain_overdue")
        os._exit(128 + signal.SIGTERM)
