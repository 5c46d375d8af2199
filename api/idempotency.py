"""`Idempotency-Key` on every POST: the same key and body give the same answer, and have their effect once."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID, uuid4, uuid5

import structlog
from fastapi import Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from api.deps import Caller, Gate
from db.tables import IdempotentRequest
from mediagate.errors import IdempotencyKeyReused, InvalidRequest, RequestInProgress, Unavailable

log = structlog.get_logger()

HEADER = "Idempotency-Key"
MAX_LENGTH = 255
RENEW_EVERY = 3.0
"""Seconds between two signs of life of a request at work; after `ABANDONED` without one its key is free again."""


def identity(request: Request, caller: Caller, fingerprint: bytes) -> UUID:
    """An id that is the same whenever this request is sent again under its key; without a key a new one each time."""
    key = request.headers.get(HEADER)
    if key is None:
        return uuid4()
    digest = hashlib.sha256(fingerprint).hexdigest()
    return uuid5(caller.key_id, f"{request.method} {request.url.path}\n{digest}\n{key}")


async def once(
    request: Request,
    gate: Gate,
    caller: Caller,
    fingerprint: bytes,
    action: Callable[[], Awaitable[BaseModel]],
    *,
    status: int,
) -> JSONResponse:
    """Answer with what `action` returns, or with what it returned when this key came first.

    Only answers of success are kept: a request that failed had no effect and may be sent again under its key. So may,
    after some seconds, one whose process died: `action` then runs again and has to go on where it was.

    Args:
        fingerprint: what makes two bodies the same.
        status: the HTTP status of success.

    Raises:
        IdempotencyKeyReused: the key came with another body.
        RequestInProgress: the first request with this key has no answer yet.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return JSONResponse(jsonable_encoder(await action()), status_code=status)
    if not key or len(key) > MAX_LENGTH:
        raise InvalidRequest(f"{HEADER} must have 1 to {MAX_LENGTH} characters.")
    reserved = IdempotentRequest(
        api_key_id=caller.key_id,
        key=key,
        route=f"{request.method} {request.url.path}",
        fingerprint=hashlib.sha256(fingerprint).hexdigest(),
    )
    async with gate.db.transaction() as tx:
        earlier = await tx.access.begin_request(reserved)
    if earlier:
        return _repeat(earlier, reserved)
    try:
        async with _renewed(gate, reserved):
            answer = jsonable_encoder(await action())
    except BaseException:
        with suppress(Unavailable):  # the caller learns of the first trouble; the key is free again some seconds later
            async with gate.db.transaction() as tx:
                await tx.access.drop_request(reserved)
        raise
    try:
        async with gate.db.transaction() as tx:
            await tx.access.end_request(reserved, status, answer)
    except Unavailable as error:  # it has had its effect: that the answer is not kept is no reason to hide it
        log.warning("request.answer_not_kept", error=error.code)
    return JSONResponse(answer, status_code=status)


@asynccontextmanager
async def _renewed(gate: Gate, request: IdempotentRequest) -> AsyncIterator[None]:
    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY)
            with suppress(Unavailable):
                async with gate.db.transaction() as tx:
                    await tx.access.renew_request(request)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing


def _repeat(earlier: IdempotentRequest, now: IdempotentRequest) -> JSONResponse:
    if earlier.fingerprint != now.fingerprint:
        raise IdempotencyKeyReused
    if earlier.status is None:
        raise RequestInProgress(retry_after=1)
    return JSONResponse(earlier.answer, status_code=earlier.status, headers={"Idempotent-Replayed": "true"})
