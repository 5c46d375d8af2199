"""A moderation vendor on loopback: takes submissions, looks at the picture, and answers by signed webhooks.

    python -m devstack.vendor --port 8099 --mode simulated|manual

`simulated` answers by itself, as the caption asks (`devstack.vendor_answers`); `manual` only keeps what is submitted,
until somebody posts a result to `/v1/submissions/{media_id}/result`. Either way its state survives `kill -9`.
"""

import argparse
import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import standardwebhooks
import uvicorn
from fastapi import APIRouter, Body, Depends, FastAPI, Header, HTTPException, Query, Request, Response

from devstack.vendor_answers import Behaviour, Plan, Result, Webhook, behaviour_of, brightness, completed, plan
from devstack.vendor_book import Book, Due
from mediagate.media.values import MIB
from mediagate.settings import Settings
from mediagate.vendors.interface import Submission

MAX_PICTURE = 8 * MIB
FETCHES = 10
SENDS = 20
MAX_PAUSE = 10.0
"""Seconds between two tries at most: with so many tries a restart of the API is bridged."""

EARLY_WAIT = 5.0
"""Seconds that the answer to an `early` submission waits for its webhook."""

Mode = Literal["simulated", "manual"]
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Simulator:
    """The vendor behind the HTTP routes. `pause`: seconds before a try is repeated, doubled for each further one."""

    def __init__(self, settings: Settings, mode: Mode, *, pause: float = 0.2) -> None:
        self.mode = mode
        self.name = settings.vendor_name
        self.api_key = settings.vendor_api_key.get_secret_value()
        self.book = Book(settings.state_dir / "vendor" / "vendor.db")
        self._signer = standardwebhooks.Webhook(settings.vendor_webhook_secrets[0].get_secret_value())
        self._default_callback = f"{settings.public_url}/api/v1/webhooks/moderation/{self.name}"
        self._pause = pause
        self._client = httpx.AsyncClient(timeout=10, trust_env=False)
        self._slots = asyncio.Semaphore(8)
        self._lines: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def resume(self) -> None:
        """Go on with what a former process left undone."""
        for media_id in self.book.undelivered():
            self._spawn(self._deliver(media_id))
        if self.mode == "simulated":
            for media_id in self.book.unanswered():
                self._spawn(self._answer(media_id))

    async def close(self) -> None:
        """Stop where we are; `resume` of the next process goes on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()
        self.book.close()

    async def submit(self, submission: Submission) -> bool:
        """Take a submission; True if it is new."""
        new = self.book.add(submission)
        if new and self.mode == "simulated":
            answering = self._spawn(self._answer(submission.media_id))
            if behaviour_of(submission.caption) is Behaviour.EARLY:
                await asyncio.wait({answering}, timeout=EARLY_WAIT)
        return new

    def poll(self, media_id: str) -> dict[str, Any]:
        """The answer to a poll."""
        results = self.book.results(media_id)
        if self.book.release(media_id):
            self._spawn(self._deliver(media_id))
            return {"status": "pending", "events": []}
        return {"status": "done" if results else "pending", "events": results or []}

    async def answer_by_hand(self, media_id: str, given: Result | list[Result]) -> list[Result]:
        """Send this result, or several as one batch, and have it for polls from now on."""
        each = given if isinstance(given, list) else [given]
        results = [completed(one, media_id, self.name, f"evt_{uuid4().hex}", now=_utc_now()) for one in each]
        batch = {"events": results} if isinstance(given, list) else results[0]
        self.book.decide(media_id, Plan(results, [Webhook(f"msg_{uuid4().hex}", json.dumps(batch))]))
        await asyncio.wait({self._spawn(self._deliver(media_id))}, timeout=EARLY_WAIT)
        return results

    async def _answer(self, media_id: str) -> None:
        async with self._slots:
            submission = self.book.submission(media_id)
            if submission is None or self.book.results(media_id) is not None:
                return
            picture = await self._fetch(submission)
            light = await asyncio.to_thread(brightness, picture) if picture else None
            self.book.decide(media_id, plan(media_id, self.name, submission.caption, light, now=_utc_now()))
        await self._deliver(media_id)

    async def _fetch(self, submission: Submission) -> bytes | None:
        """The moderation copy; None if it cannot be had, or is not the one that was announced."""
        for attempt in range(FETCHES):
            try:
                response = await self._client.get(submission.media_url)
            except (httpx.HTTPError, httpx.InvalidURL):
                await self._rest(attempt)
                continue
            if response.is_success:
                intact = submission.sha256 in ("", sha256(response.content).hexdigest())
                return response.content if intact and len(response.content) <= MAX_PICTURE else None
            await self._rest(attempt)
        return None

    async def _deliver(self, media_id: str) -> None:
        """Send what is due for an item, one after the other: the order is part of what is simulated."""
        async with self._lines.setdefault(media_id, asyncio.Lock()):
            submission = self.book.submission(media_id)
            for due in self.book.due(media_id):
                url = (submission and submission.callback_url) or self._default_callback
                self.book.mark(due.row, "sent" if await self._send(url, due) else "given_up")

    async def _send(self, url: str, due: Due) -> bool:
        for attempt in range(SENDS):
            try:
                response = await self._client.post(url, content=due.webhook.body, headers=self._signed(due.webhook))
            except (httpx.HTTPError, httpx.InvalidURL):
                await self._rest(attempt)
                continue
            if response.is_success:
                return True
            if response.status_code == 410:  # Standard Webhooks: nobody wants these any more
                return False
            await self._rest(attempt)
        return False

    def _signed(self, webhook: Webhook) -> dict[str, str]:
        now = _utc_now()
        return {
            "content-type": "application/json",
            "webhook-id": webhook.webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(webhook.webhook_id, now, webhook.body),
        }

    async def _rest(self, attempt: int) -> None:
        await asyncio.sleep(min(self._pause * 2**attempt, MAX_PAUSE))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _simulator(request: Request, authorization: Annotated[str, Header()] = "") -> Simulator:
    """The simulator of this app, for callers who have its key (any caller, if it has none)."""
    found: Simulator = request.app.state.simulator
    if found.api_key and not hmac.compare_digest(authorization.encode(), f"Bearer {found.api_key}".encode()):
        raise HTTPException(401)
    return found


Vendor = Annotated[Simulator, Depends(_simulator)]
router = APIRouter()


@router.get("/health")
async def health(request: Request) -> dict[str, str]:
    simulator: Simulator = request.app.state.simulator
    return {"status": "ok", "name": simulator.name, "mode": simulator.mode}


@router.post("/v1/submissions", status_code=201)
async def submit(vendor: Vendor, submission: Submission, response: Response) -> dict[str, str]:
    for url in (submission.media_url, submission.callback_url):
        if url and urlsplit(url).hostname not in LOOPBACK:
            raise HTTPException(422, "This vendor knows loopback addresses only.")
    if not await vendor.submit(submission):
        response.status_code = 200
    return {"reference": f"sub_{submission.media_id}"}


@router.get("/v1/submissions")
async def submissions(vendor: Vendor, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
    """The newest submissions; `decided` once there is a result, or there will never be one."""
    return {
        "items": [
            submission.model_dump(mode="json") | {"decided": vendor.book.results(submission.media_id) is not None}
            for submission in vendor.book.submissions(limit)
        ]
    }


@router.get("/v1/submissions/{media_id}")
async def poll(vendor: Vendor, media_id: str) -> dict[str, Any]:
    if vendor.book.submission(media_id) is None:
        raise HTTPException(404)
    return vendor.poll(media_id)


@router.post("/v1/submissions/{media_id}/result")
async def answer_by_hand(
    vendor: Vendor, media_id: str, given: Annotated[Result | list[Result], Body()]
) -> dict[str, Any]:
    """Send a result now; what it leaves out (event_id, media_id, vendor, occurred_at) is filled in."""
    if vendor.book.submission(media_id) is None:
        raise HTTPException(404)
    results = await vendor.answer_by_hand(media_id, given)
    return {"delivered": not vendor.book.due(media_id), "events": results}


def create_app(settings: Settings, mode: Mode, *, pause: float = 0.2) -> FastAPI:
    """The HTTP face; the simulator is `app.state.simulator` while the app runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.simulator = Simulator(settings, mode, pause=pause)
        app.state.simulator.resume()
        yield
        await app.state.simulator.close()

    app = FastAPI(title="Vendor simulator", lifespan=lifespan)
    app.include_router(router)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m devstack.vendor", description="A moderation vendor on loopback.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mode", choices=get_args(Mode), default="simulated")
    arguments = parser.parse_args()
    app = create_app(Settings(), arguments.mode)
    uvicorn.run(
        app, host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False, timeout_graceful_shutdown=3
    )


if __name__ == "__main__":
    main()
