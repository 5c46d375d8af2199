"""What surrounds every request: tracking id, access log, body limit, security headers, a problem for what nobody
caught."""

import re
import time
from collections.abc import Callable
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem_of
from mediagate.errors import BrokenInvariant, InvalidRequest, TooLarge

log = structlog.get_logger()

TRACKING_HEADER = "X-Tracking-Id"
_TRACKING_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

# The API serves no page that loads anything: the landing page carries its own policy.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Envelope:
    """ASGI middleware; outermost, so that no answer leaves without a tracking id."""

    def __init__(self, app: ASGIApp, *, max_body: Callable[[str], int]) -> None:
        """`max_body`: the most bytes that a request to a path may carry."""
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(TRACKING_HEADER, "")
        tracking_id = given if _TRACKING_ID.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {})["tracking_id"] = tracking_id
        exchange = _Exchange(receive, send, tracking_id, self._max_body(scope["path"]))
        began = time.monotonic()
        with structlog.contextvars.bound_contextvars(tracking_id=tracking_id):
            try:
                await self._serve(scope, headers, exchange)
            finally:
                log.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=exchange.status,
                    seconds=round(time.monotonic() - began, 4),
                )

    async def _serve(self, scope: Scope, headers: Headers, exchange: "_Exchange") -> None:
        length = headers.get("content-length", "")
        try:
            if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
                raise InvalidRequest("The URL has a NUL in it; no name or value here has.")
            if length.isascii() and length.isdigit() and float(length) > exchange.max_body:
                raise exchange.too_large()
            await self._app(scope, exchange.receive, exchange.send)
        except (TooLarge, InvalidRequest) as error:
            if exchange.status:
                raise
            await problem_of(error, tracking_id=exchange.tracking_id)(scope, exchange.receive, exchange.send)
        except Exception:
            log.exception("request.crashed")
            if exchange.status:
                raise
            await problem_of(BrokenInvariant(), tracking_id=exchange.tracking_id)(
                scope, exchange.receive, exchange.send
            )


class _Exchange:
    def __init__(self, receive: Receive, send: Send, tracking_id: str, max_body: int) -> None:
        self._receive = receive
        self._send = send
        self.tracking_id = tracking_id
        self.max_body = max_body
        self.status = 0
        self._received = 0

    def too_large(self) -> TooLarge:
        return TooLarge(f"The request body may have at most {self.max_body} bytes.")

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self.max_body:  # a body without Content-Length, or one that lied
                raise self.too_large()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[TRACKING_HEADER] = self.tracking_id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)
