"""Heartbeats: how the server learns that a worker died, and how a worker learns of a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from temporalio import activity

from mediagate.errors import DecoderDied, PoisonedFile

MAX_DEATHS = 3
"""So many attempts may end without a word (worker killed, out of memory, timed out) before the file is set apart."""


@asynccontextmanager
async def every(seconds: float, *details: object) -> AsyncIterator[None]:
    """Beat while the block runs; the server decides after `heartbeat_timeout` that the worker is gone."""

    async def beat() -> None:
        while True:
            activity.heartbeat(*details)
            await asyncio.sleep(seconds)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


@asynccontextmanager
async def poison_guarded(seconds: float) -> AsyncIterator[None]:
    """Beat, and count in the details how many attempts ended without a word.

    An attempt that fails with an error says so and is not counted, so a store that is away for an hour condemns no
    file; one whose decoder died is counted like one whose worker did.

    Raises:
        PoisonedFile: `MAX_DEATHS` attempts died before this one.
    """
    details = activity.info().heartbeat_details
    deaths = int(details[0]) if details else 0
    if deaths >= MAX_DEATHS:
        raise PoisonedFile
    try:
        async with every(seconds, deaths + 1):
            yield
    except DecoderDied:
        activity.heartbeat(deaths + 1)
        raise
    except BaseException:
        activity.heartbeat(deaths)  # alive enough to say that it failed
        raise
