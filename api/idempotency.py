"""`Idempotency-Key` on every POST: the same key and body give the same answer, and have their effect once."""

import hashlib
from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from api.deps import Caller, Gate
from db.tables import IdempotentRequest
from mediagate.errors import IdempotencyKeyReused, InvalidRequest, RequestInProgress

HEADER = "Idempotency-Key"
MAX_LENGTH = 255


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

    Only answers of success are kept: a request that failed had no effect and may be sent again under its key.

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
        answer = jsonable_encoder(await action())
    except BaseException:
        async with gate.db.transaction() as tx:
            await tx.access.drop_request(reserved)
        raise
    async with gate.db.transaction() as tx:
        await tx.access.end_request(reserved, status, answer)
    return JSONResponse(answer, status_code=status)


def _repeat(earlier: IdempotentRequest, now: IdempotentRequest) -> JSONResponse:
    if earlier.fingerprint != now.fingerprint:
        raise IdempotencyKeyReused
    if earlier.status is None:
        raise RequestInProgress(retry_after=1)
    return JSONResponse(earlier.answer, status_code=earlier.status, headers={"Idempotent-Replayed": "true"})
