"""A load balancer on loopback: a TCP proxy that sends new connections to processes that say they are ready.

It never tries a second time: what a process does not take, fails, and shows.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count

import httpx

LOOPBACK = "127.0.0.1"
PROBE_EVERY = 0.2
"""Seconds."""
MISSES = 2
"""Probes in a row without a 200 that take a process out. One may be slow on a machine that is busy."""
PATIENCE = 20.0
"""Seconds for which a connection waits for any process to be ready."""


class Balancer:
    """Takes connections on a port of its own and brings them to one of these ports, in turns."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.port = 0
        self.taken = dict.fromkeys(ports, 0)
        """How many connections each process got."""
        self._misses = dict.fromkeys(ports, MISSES)
        self._turns = count()
        self._pumping: set[asyncio.Task[None]] = set()

    def is_in(self, port: int) -> bool:
        """True while it sends connections there."""
        return self._misses[port] < MISSES

    def is_out(self, port: int) -> bool:
        """True while it does not."""
        return not self.is_in(port)

    async def probe(self) -> None:
        """Look after the processes, for ever."""
        async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
            while True:
                await asyncio.gather(*(self._probe(http, port) for port in self._misses))
                await asyncio.sleep(PROBE_EVERY)

    async def _probe(self, http: httpx.AsyncClient, port: int) -> None:
        try:
            answer = await http.get(f"http://{LOOPBACK}:{port}/health/ready", headers={"Connection": "close"})
            ready = answer.status_code == 200
        except httpx.TransportError:
            ready = False
        self._misses[port] = 0 if ready else self._misses[port] + 1

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        task = asyncio.current_task()
        assert task
        self._pumping.add(task)
        try:
            port = await self._next()
            self.taken[port] += 1
            there, back = await asyncio.open_connection(LOOPBACK, port)
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        except (OSError, TimeoutError):
            writer.transport.abort()
        finally:
            self._pumping.discard(task)

    async def _next(self) -> int:
        async with asyncio.timeout(PATIENCE):
            while not (ready := [port for port in self._misses if self.is_in(port)]):
                await asyncio.sleep(PROBE_EVERY)
        return ready[next(self._turns) % len(ready)]

    async def close(self) -> None:
        """Drop what is still connected."""
        for task in list(self._pumping):
            task.cancel()
        await asyncio.gather(*self._pumping, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Bytes as they come; the end of one side is the end of the other."""
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()


@asynccontextmanager
async def balancing(ports: Sequence[int]) -> AsyncIterator[Balancer]:
    """A balancer for the time of the block."""
    balancer = Balancer(ports)
    server = await asyncio.start_server(balancer.take, LOOPBACK, 0)
    balancer.port = server.sockets[0].getsockname()[1]
    probing = asyncio.create_task(balancer.probe())
    try:
        yield balancer
    finally:
        probing.cancel()
        server.close()
        await balancer.close()
        with contextlib.suppress(asyncio.CancelledError):
            await probing
