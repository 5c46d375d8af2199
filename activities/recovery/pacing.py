"""How much is done at once, and how fast."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 8


class Throttle:
    """Lets so many bytes pass in a second; None: all."""

    def __init__(self, bytes_per_second: float | None) -> None:
        self._rate = bytes_per_second
        self._free_at = 0.0

    async def take(self, size: int) -> None:
        """Wait until so many bytes may pass."""
        if not self._rate:
            return
        loop = asyncio.get_running_loop()
        begin = max(loop.time(), self._free_at)
        self._free_at = begin + size / self._rate
        await asyncio.sleep(begin - loop.time())


async def each(items: AsyncGenerator[T, None], act: Callable[[T], Awaitable[None]]) -> None:
    """Do something with each item, with a few at the same time; no more items are taken than can be worked on.

    The first error ends everything and is raised as it is.
    """
    turn = asyncio.Lock()

    async def hand() -> None:
        while True:
            async with turn:
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
            await act(item)

    async with aclosing(items):
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(AT_ONCE):
                    tasks.create_task(hand())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group
