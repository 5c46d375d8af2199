"""The gate in many processes: two APIs behind a balancer, workers by role, each of them restarted under load."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from random import Random

import httpx
import pytest

from devstack.discard import discard
from devstack.ports import LOOPBACK
from tests.chaos import books, ledger
from tests.chaos.killable import until
from tests.chaos.load import BEHAVIOURS, shipment
from tests.chaos.uploader import Uploader
from tests.e2e.balancer import MISSES, PROBE_EVERY, Balancer, balancing
from tests.e2e.separate import SeparateProcesses

pytestmark = pytest.mark.timeout(240)

DRAIN_SECONDS = 2.0
"""Longer than the balancer takes to see it, and than a client keeps an idle connection."""
KEEP_ALIVE = 1.0
SENDERS = 2
REST = 0.4
"""Seconds between two files of a sender: a load that two cores can carry beside the restarts."""
BUILD = "7.0.0"
VARIABLES = {
    "MEDIAGATE_VENDOR_WAIT": "2",
    "MEDIAGATE_VENDOR_POLLS": "8",
    "MEDIAGATE_CPU_SLOTS": "2",
    "MEDIAGATE_DRAIN_DELAY": str(DRAIN_SECONDS),
    "MEDIAGATE_SHUTDOWN_GRACE": "20",
    "MEDIAGATE_BUILD_ID": BUILD,
}
APIS = ("api-1", "api-2")
WORKERS = {"worker-flow": ("flow",), "worker-io": ("io,vendor",), "worker-cpu": ("cpu",)}


def free_ports(number: int) -> list[int]:
    """Ports that nobody has at the moment."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in found]


class Senders:
    """Uploads that come in until they are told to end."""

    def __init__(self, uploader: Uploader) -> None:
        self._uploader = uploader
        self._over = asyncio.Event()
        self._tasks = [asyncio.create_task(self._send(Random(seed))) for seed in range(SENDERS)]

    async def _send(self, random: Random) -> None:
        for number in count():
            behaviour = BEHAVIOURS[number % len(BEHAVIOURS)]
            await self._uploader.send(shipment(f"{number:03}-{behaviour}.jpg", behaviour, random))
            try:
                await asyncio.wait_for(self._over.wait(), REST)
            except TimeoutError:
                continue
            return

    async def end(self) -> None:
        """Return when what they had begun is answered."""
        self._over.set()
        await asyncio.gather(*self._tasks)


@pytest.fixture
async def gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[SeparateProcesses, Balancer]]:
    """Every process, ready, and the balancer before the APIs."""
    folder = tmp_path_factory.mktemp("many") / "state"
    *api_ports, vendor_port = free_ports(len(APIS) + 1)
    stack = SeparateProcesses(folder)
    try:
        await stack.start()
        async with balancing(api_ports) as balancer:
            vendor = {"MEDIAGATE_VENDOR_URL": f"http://{LOOPBACK}:{vendor_port}"}
            await stack.open(f"http://{LOOPBACK}:{balancer.port}", VARIABLES | vendor)
            stack.run("vendor", "devstack.vendor", "--port", str(vendor_port))
            for name, port in zip(APIS, api_ports, strict=True):
                stack.run(name, "api", MEDIAGATE_API_PORT=str(port))
            for name, roles in WORKERS.items():
                stack.run(name, "worker", "--role", *roles)
            for name in WORKERS:
                await stack.says(name, "worker.not_current")
            promoted = await stack.command("deployments", "promote", "--yes")
            assert (promoted["build_id"], promoted["missing"]) == (BUILD, [])
            for port in api_ports:
                await until(partial(balancer.is_in, port), seconds=60, what=f"the API on {port} is ready")
            yield stack, balancer
    finally:
        await stack.stop()
        discard(folder)


async def restart_all(stack: SeparateProcesses, balancer: Balancer) -> dict[str, int]:
    """One after the other: end it, start it, wait until it is at work. The exit codes."""
    codes = {}
    for name, port in zip(APIS, balancer.taken, strict=True):
        codes[name] = await stack.end(name)
        await until(partial(balancer.is_out, port), seconds=10, what=f"{name} is out")
        stack.start_again(name)
        await until(partial(balancer.is_in, port), seconds=60, what=f"{name} is ready again")
    for name in WORKERS:
        codes[name] = await stack.end(name)
        stack.start_again(name)
        await stack.says(name, "worker.started", times=2)
    return codes


async def test_each_is_restarted_under_load_and_no_request_and_no_upload_fails(
    gate: tuple[SeparateProcesses, Balancer],
) -> None:
    stack, balancer = gate
    limits = httpx.Limits(keepalive_expiry=KEEP_ALIVE)
    assert PROBE_EVERY * (MISSES + 1) < DRAIN_SECONDS > KEEP_ALIVE
    async with stack.http(limits=limits) as http:
        uploader = Uploader(http, stack.addresses["library"], Random(1))
        senders = Senders(uploader)
        codes = await restart_all(stack, balancer)
        await senders.end()
        rows = await ledger.settled(stack, seconds=60)

    assert codes == dict.fromkeys([*APIS, *WORKERS], 0)
    assert set(uploader.retries) <= {"repeated on purpose"}
    assert {code for name in APIS for code in statuses(stack, name) if code >= 500} == set()
    assert min(balancer.taken.values()) > 0
    assert retried(stack) == {}
    assert {version["status"] for version in (await stack.command("deployments", "list"))["versions"]} == {"current"}
    await books.assert_in_order(stack, rows, uploader)
    assert len(rows.accepted) == len(uploader.promised) > 10


def statuses(stack: SeparateProcesses, name: str) -> Counter[int]:
    """How an API answered, but for health."""
    requests = (line for line in stack.log(name) if line["event"] == "request")
    return Counter(line["status"] for line in requests if not line["path"].startswith("/health/"))


def retried(stack: SeparateProcesses) -> Counter[str]:
    """Activities that took more than one attempt: nothing was cut off that could have finished."""
    lines = (line for name in WORKERS for line in stack.log(name) if line["event"] == "activity.done")
    return Counter(line["activity"] for line in lines if line["attempt"] > 1)
