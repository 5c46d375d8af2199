"""What can happen to a running gate beside `kill -9`: each begins, lasts for a while, and is over."""

import contextlib
import resource
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import httpx
import psutil

from tests.chaos.killable import KillableStack
from tests.chaos.network import SERVICES, Network

Fault = Callable[[KillableStack, Network], AbstractAsyncContextManager[None]]
"""Holds while its block runs."""

METADATA = 2000
"""Bytes of a file that a full disk still takes: the store's small notes, but no picture."""
SKEW = 900.0
"""Seconds; a signature is accepted for five minutes."""


@asynccontextmanager
async def killed(part: str, stack: KillableStack, network: Network) -> AsyncIterator[None]:
    """`kill -9`; the supervisor starts it again."""
    await stack.kill(part)
    yield


@asynccontextmanager
async def ended(part: str, number: signal.Signals, stack: KillableStack, network: Network) -> AsyncIterator[None]:
    """Asked to end, as in a deploy; the supervisor starts it again. SIGINT is Postgres's fast shutdown."""
    with contextlib.suppress(psutil.NoSuchProcess):
        (await stack.living(part)).send_signal(number)
    yield


@asynccontextmanager
async def paused(part: str, stack: KillableStack, network: Network) -> AsyncIterator[None]:
    """It neither answers nor ends (SIGSTOP), and goes on as if no time had passed (SIGCONT)."""
    async with stack.frozen(part):
        yield


@asynccontextmanager
async def disk_full(stack: KillableStack, network: Network) -> AsyncIterator[None]:
    """The store can write no file of any size. The limit is its process's, so that no real disk need be filled."""
    store = await stack.living("s3")
    store.rlimit(resource.RLIMIT_FSIZE, (METADATA, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            store.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@asynccontextmanager
async def store_breaks_off(stack: KillableStack, network: Network) -> AsyncIterator[None]:
    """Half of the connections to the store are reset."""
    await network.break_off("s3", share=0.5)
    try:
        yield
    finally:
        await network.mend()


@asynccontextmanager
async def store_slow(stack: KillableStack, network: Network) -> AsyncIterator[None]:
    """Every answer of the store takes most of a second."""
    await network.slow("s3", milliseconds=600)
    try:
        yield
    finally:
        await network.mend()


@asynccontextmanager
async def cut_off(service: str, stack: KillableStack, network: Network) -> AsyncIterator[None]:
    """No way to a service."""
    await network.cut(service)
    try:
        yield
    finally:
        await network.mend()


@asynccontextmanager
async def clock_wrong(stack: KillableStack, network: Network) -> AsyncIterator[None]:
    """The vendor's clock is ahead, so that its webhooks are turned away: runs must ask it themselves."""
    url = f"{stack.addresses['vendor']['url']}/control/generic"
    async with httpx.AsyncClient(trust_env=False) as http:
        (await http.put(url, json={"clock": SKEW})).raise_for_status()
        try:
            yield
        finally:
            (await http.delete(url)).raise_for_status()


FAULTS: Mapping[str, Fault] = {
    "SIGTERM api": partial(ended, "api", signal.SIGTERM),
    "SIGTERM worker": partial(ended, "worker", signal.SIGTERM),
    "restart postgres": partial(ended, "postgres", signal.SIGINT),
    "restart temporal": partial(ended, "temporal", signal.SIGTERM),
    "SIGKILL worker": partial(killed, "worker"),
    **{f"SIGSTOP {part}": partial(paused, part) for part in ("api", "worker", "temporal", "s3", "postgres")},
    "disk full": disk_full,
    "s3 breaks off": store_breaks_off,
    "s3 slow": store_slow,
    **{f"cut off {service}": partial(cut_off, service) for service in SERVICES},
    "vendor's clock": clock_wrong,
}
"""By the names under which a run tells of them."""
