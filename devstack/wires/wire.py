"""What every wire of the simulator has: credentials, faults, counters, and its ways to fetch and to call back."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from fastapi import HTTPException, Response
from pydantic import BaseModel

from devstack.wires import faults as spoiling
from devstack.wires.faults import Faults, is_float
from mediagate.media.values import MIB

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
MAX_PICTURE = 20 * MIB
FETCHES = 10
SENDS = 20
MAX_PAUSE = 10.0
"""Seconds between two tries at most: with so many tries a restart of the API is bridged."""

EARLY_WAIT = 5.0
"""Seconds that the answer to a call waits for a callback that is to come before it."""


def on_loopback(url: str) -> bool:
    """True if a wire may call this URL."""
    return urlsplit(url).hostname in LOOPBACK


def _unsigned(body: bytes) -> Mapping[str, str]:  # noqa: ARG001
    return {}


class Callback(NamedTuple):
    """One request that a wire sends."""

    url: str
    body: Mapping[str, Any] | bytes
    """A result, spoilt while that is what is wrong; bytes are sent as they are."""
    sign: Callable[[bytes], Mapping[str, str]] = _unsigned
    """Headers for what is sent, made anew for each try."""


class Counts(BaseModel):
    """What a wire did since it was cleared."""

    calls: int = 0
    refused: int = 0
    """Calls that a fault answered: 429, 500, 503."""
    callbacks: int = 0
    """Tries, the forged ones among them."""
    forged: int = 0


class Wire:
    """One wire. `pause`: seconds before a try is repeated, doubled for each further one. In memory only."""

    def __init__(self, name: str, *, key: str = "", secret: str = "", pause: float = 0.2) -> None:
        self.name = name
        self.key = key
        self.secret = secret
        self.counts = Counts()
        self._pause = pause
        self._client = httpx.AsyncClient(timeout=10, trust_env=False)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._changed = asyncio.Event()
        self.set(Faults())

    # Faults

    def set(self, faults: Faults) -> None:
        """Misbehave like this from now on; calls that are being slow are answered at once."""
        self.faults = faults
        self._limited = faults.limited
        self._draw = random.Random(faults.seed)  # must be the same each time
        self._changed.set()
        self._changed = asyncio.Event()

    def clear(self) -> None:
        """Behave, and count from nothing."""
        self.set(Faults())
        self.counts = Counts()

    async def admit(self) -> None:
        """The dependency in front of every route of a vendor: raises what a fault answers."""
        self.counts.calls += 1
        if self.faults.slow:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self.faults.slow)
        status, headers = self._refusal()
        if status:
            self.counts.refused += 1
            raise HTTPException(status, headers=headers)

    def _refusal(self) -> tuple[int, dict[str, str]]:
        if self.faults.down:
            return 503, {}
        if self._limited:
            self._limited -= 1
            return 429, {"Retry-After": self._retry_after()}
        if self.faults.error_rate and self._draw.random() < self.faults.error_rate:
            return 500, {}
        return 0, {}

    def _retry_after(self) -> str:
        if not self.faults.retry_after_date:
            return str(self.faults.retry_after)
        return format_datetime(datetime.now(UTC) + timedelta(seconds=self.faults.retry_after), usegmt=True)

    def answer(
        self,
        body: Mapping[str, Any],
        *,
        status: int = 200,
        other: Mapping[str, Any] | None = None,
        is_score: Callable[[object], bool] = is_float,
    ) -> Response:
        """The answer with a result, spoilt if that is what is wrong. `other`: the same for another item."""
        if self.faults.malicious:
            content = json.dumps(other).encode() if other else spoiling.huge(body)
        else:
            content = self.said(body, is_score)
        return Response(content, status_code=status, media_type="application/json")

    def said(self, body: Mapping[str, Any], is_score: Callable[[object], bool] = is_float) -> bytes:
        """The JSON of what is told, spoilt if that is what is wrong."""
        wrong = self.faults.wrong
        return spoiling.spoilt(body, wrong, is_score) if wrong else json.dumps(body).encode()

    # Calls of its own

    async def fetch(self, url: str) -> bytes | None:
        """What is at a URL of this machine; None if it cannot be had."""
        if not on_loopback(url):
            return None
        for attempt in range(FETCHES):
            with suppress(httpx.HTTPError, httpx.InvalidURL):
                response = await self._client.get(url)
                if response.is_success:
                    return response.content if len(response.content) <= MAX_PICTURE else None
            await self.rest(attempt)
        return None

    async def call_back(self, callback: Callback, *, forged: Sequence[Callback] = ()) -> None:
        """Send it in the background; `reordered`: before this returns."""
        sending = self.spawn(self.deliver(callback, forged=forged))
        if self.faults.reordered:
            await asyncio.wait({sending}, timeout=EARLY_WAIT)

    async def deliver(self, callback: Callback, *, forged: Sequence[Callback] = ()) -> bool:
        """Send it as often as faults say, if malicious after the `forged` ones; False if nobody takes it."""
        faults = self.faults
        if faults.lost or not on_loopback(callback.url):
            return False
        for lie in forged if faults.malicious else ():
            self.counts.forged += 1
            with suppress(httpx.HTTPError):
                await self._post(lie)
        taken = [await self._send(callback) for _ in range(2 if faults.duplicated else 1)]
        return all(taken)

    async def _send(self, callback: Callback) -> bool:
        for attempt in range(SENDS):
            with suppress(httpx.HTTPError, httpx.InvalidURL):
                response = await self._post(callback)
                if response.is_success:
                    return True
                if response.status_code == 410:  # nobody wants these any more
                    return False
            await self.rest(attempt)
        return False

    async def _post(self, callback: Callback) -> httpx.Response:
        self.counts.callbacks += 1
        content = callback.body if isinstance(callback.body, bytes) else self.said(callback.body)
        headers = {"content-type": "application/json", **callback.sign(content)}
        return await self._client.post(callback.url, content=content, headers=headers)

    def spawn(self, work: Coroutine[Any, Any, object]) -> "asyncio.Task[object]":
        """Work that goes on after a call is answered, until the wire is closed."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def rest(self, attempt: int) -> None:
        """The pause after a try, counted from 0."""
        await asyncio.sleep(min(self._pause * 2**attempt, MAX_PAUSE))

    async def close(self) -> None:
        """Stop where we are."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()
