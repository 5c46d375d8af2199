"""The generic wire, at the root of the simulator: the format of `mediagate.vendors.generic`.

`simulated` answers by itself, as the caption asks (`devstack.vendor_answers`); `manual` only keeps what is submitted,
until somebody posts a result to `/v1/submissions/{media_id}/result`. Either way its state survives `kill -9`.
"""

import asyncio
import hmac
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, Literal
from uuid import uuid4

import standardwebhooks
from fastapi import APIRouter, Body, Depends, Header, HTTPException, Query, Request, Response

from devstack.vendor_answers import Behaviour, Plan, Result, Webhook, behaviour_of, brightness, completed, plan
from devstack.vendor_book import Book
from devstack.wires.faults import HOSTILE, huge
from devstack.wires.wire import EARLY_WAIT, Callback, Wire, on_loopback
from mediagate.media.values import MIB
from mediagate.settings import Settings
from mediagate.vendors.interface import Submission

MAX_PICTURE = 8 * MIB

Mode = Literal["simulated", "manual"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Simulator:
    """The vendor behind the HTTP routes."""

    def __init__(self, settings: Settings, mode: Mode, wire: Wire) -> None:
        self.mode = mode
        self.name = settings.vendor_name
        self.api_key = settings.vendor_api_key.get_secret_value()
        self.book = Book(settings.state_dir / "vendor" / "vendor.db")
        self._wire = wire
        self._signer = standardwebhooks.Webhook(settings.vendor_webhook_secrets[0].get_secret_value())
        self._default_callback = f"{settings.public_url}/api/v1/webhooks/moderation/{self.name}"
        self._slots = asyncio.Semaphore(8)
        self._lines: dict[str, asyncio.Lock] = {}

    def resume(self) -> None:
        """Go on with what a former process left undone."""
        for media_id in self.book.undelivered():
            self._wire.spawn(self._deliver(media_id))
        if self.mode == "simulated":
            for media_id in self.book.unanswered():
                self._wire.spawn(self._answer(media_id))

    async def submit(self, submission: Submission) -> bool:
        """Take a submission; True if it is new."""
        new = self.book.add(submission)
        if new and self.mode == "simulated":
            answering = self._wire.spawn(self._answer(submission.media_id))
            if behaviour_of(submission.caption) is Behaviour.EARLY or self._wire.faults.reordered:
                await asyncio.wait({answering}, timeout=EARLY_WAIT)
        return new

    def poll(self, media_id: str) -> dict[str, Any]:
        """The answer to a poll."""
        results = self.book.results(media_id)
        if self.book.release(media_id):
            self._wire.spawn(self._deliver(media_id))
            return {"status": "pending", "events": []}
        return {"status": "done" if results else "pending", "events": results or []}

    async def answer_by_hand(self, media_id: str, given: Result | list[Result]) -> list[Result]:
        """Send this result, or several as one batch, and have it for polls from now on."""
        each = given if isinstance(given, list) else [given]
        results = [completed(one, media_id, self.name, f"evt_{uuid4().hex}", now=_utc_now()) for one in each]
        batch = {"events": results} if isinstance(given, list) else results[0]
        self.book.decide(media_id, Plan(results, [Webhook(f"msg_{uuid4().hex}", json.dumps(batch))]))
        await asyncio.wait({self._wire.spawn(self._deliver(media_id))}, timeout=EARLY_WAIT)
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
        picture = await self._wire.fetch(submission.media_url)
        if picture is None or len(picture) > MAX_PICTURE:
            return None
        return picture if submission.sha256 in ("", sha256(picture).hexdigest()) else None

    async def _deliver(self, media_id: str) -> None:
        """Send what is due for an item, one after the other: the order is part of what is simulated."""
        async with self._lines.setdefault(media_id, asyncio.Lock()):
            submission = self.book.submission(media_id)
            url = (submission and submission.callback_url) or self._default_callback
            for due in self.book.due(media_id):
                taken = await self._wire.deliver(self._signed(url, due.webhook), forged=self._forged(url, due.webhook))
                self.book.mark(due.row, "sent" if taken else "given_up")

    def _signed(self, url: str, webhook: Webhook) -> Callback:
        def sign(body: bytes) -> dict[str, str]:
            now = _utc_now() + timedelta(seconds=self._wire.faults.clock)
            return {
                "webhook-id": webhook.webhook_id,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": self._signer.sign(webhook.webhook_id, now, body.decode()),
            }

        return Callback(url, json.loads(webhook.body), sign)

    def _forged(self, url: str, webhook: Webhook) -> list[Callback]:
        """Unsigned, changed after it was signed, another item's under this signature, and too large."""
        right, result = webhook.body.encode(), json.loads(webhook.body)
        sign = self._signed(url, webhook).sign
        approved = result | {"verdict": "approve", "scores": {}, "labels": [HOSTILE]}
        another = result | {"workflow_id": f"media-{uuid4()}", "media_id": str(uuid4())}
        lies = (json.dumps(approved).encode(), json.dumps(another).encode(), huge(result))
        return [Callback(url, right), *(Callback(url, lie, lambda _: sign(right)) for lie in lies)]


def _simulator(request: Request, authorization: Annotated[str, Header()] = "") -> Simulator:
    """The simulator of this app, for callers who have its key (any caller, if it has none)."""
    found: Simulator = request.app.state.simulator
    if found.api_key and not hmac.compare_digest(authorization.encode(), f"Bearer {found.api_key}".encode()):
        raise HTTPException(401)
    return found


Vendor = Annotated[Simulator, Depends(_simulator)]
health = APIRouter()


@health.get("/health")
async def is_there(request: Request) -> dict[str, str]:
    simulator: Simulator = request.app.state.simulator
    return {"status": "ok", "name": simulator.name, "mode": simulator.mode}


def router(wire: Wire) -> APIRouter:
    """The vendor's paths; those by which a person watches and answers know no faults."""
    routes = APIRouter()

    @routes.post("/v1/submissions", status_code=201, dependencies=[Depends(wire.admit)])
    async def submit(vendor: Vendor, submission: Submission) -> Response:
        if any(url and not on_loopback(url) for url in (submission.media_url, submission.callback_url)):
            raise HTTPException(422, "This vendor knows loopback addresses only.")
        status = 201 if await vendor.submit(submission) else 200
        receipt = wire.said({"reference": f"sub_{submission.media_id}"})
        return Response(receipt, status_code=status, media_type="application/json")

    @routes.get("/v1/submissions")
    async def submissions(vendor: Vendor, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
        """The newest submissions; `decided` once there is a result, or there will never be one."""
        return {
            "items": [
                submission.model_dump(mode="json") | {"decided": vendor.book.results(submission.media_id) is not None}
                for submission in vendor.book.submissions(limit)
            ]
        }

    @routes.get("/v1/submissions/{media_id}", dependencies=[Depends(wire.admit)])
    async def poll(vendor: Vendor, media_id: str) -> Response:
        if vendor.book.submission(media_id) is None:
            raise HTTPException(404)
        answer = vendor.poll(media_id)
        other = {"workflow_id": f"media-{uuid4()}", "media_id": str(uuid4())}
        return wire.answer(answer, other=answer | {"events": [event | other for event in answer["events"]]})

    @routes.post("/v1/submissions/{media_id}/result")
    async def answer_by_hand(
        vendor: Vendor, media_id: str, given: Annotated[Result | list[Result], Body()]
    ) -> dict[str, Any]:
        """Send a result now; what it leaves out (event_id, media_id, vendor, occurred_at) is filled in."""
        if vendor.book.submission(media_id) is None:
            raise HTTPException(404)
        results = await vendor.answer_by_hand(media_id, given)
        return {"delivered": not vendor.book.due(media_id), "events": results}

    return routes
