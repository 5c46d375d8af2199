"""Which store a library's objects are in.

Every process acts on what it was told at most `LEASE` seconds ago. A change waits that long before the next one, so all
processes are at most one step apart, and each step goes together with the next one
(https://research.google/pubs/online-asynchronous-schema-change-in-f1/ does the same with schemas):

    home S                  as it was
    home S, beside T        every write goes to S and to T; what S held before is copied to T and compared
    home T, beside S        both have everything
    home T                  nobody looks at S any more: it is cleared
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from pydantic import Field

from mediagate.media.values import Value

DEFAULT = "default"
"""The store of `MEDIAGATE_S3_*`: of libraries that were never moved, of uploads on their way and of renderings that are
not filed yet."""

LEASE = 10.0
"""Seconds for which a process may act on a placement without asking again; the same in every process."""


class Placement(Value):
    """Where a library's objects are."""

    home: str = DEFAULT
    beside: str | None = Field(None, description="during a move: the other side, where everything is written as well")
    version: int = Field(0, description="counts the changes")

    @property
    def sides(self) -> tuple[str, ...]:
        """Every store that is written to, the one that decides first."""
        return (self.home, self.beside) if self.beside else (self.home,)

    def may_become(self, home: str, beside: str | None) -> bool:
        """True if a process that knows one and a process that knows the other can both act without losing anything."""
        if beside and self.beside:
            return {home, beside} == {*self.sides}
        return home == self.home != beside


Look = Callable[[str], Awaitable[Placement]]
"""Where a library is now, by its slug; `Placement()` for one that was never moved."""


class Placements:
    """What a process knows of placements, each for `LEASE` seconds from when it was asked for."""

    def __init__(self, look: Look, *, lease: float = LEASE, clock: Callable[[], float] = time.monotonic) -> None:
        self._look = look
        self._lease = lease
        self._clock = clock
        self._known: dict[str, tuple[Placement, float]] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def of(self, library: str) -> Placement:
        """Where it is.

        Raises:
            DatabaseUnavailable: the lease is over and nobody can be asked.
        """
        if known := self._leased(library):
            return known
        async with self._asking.setdefault(library, asyncio.Lock()):
            if known := self._leased(library):  # somebody else asked meanwhile
                return known
            until = self._clock() + self._lease  # from before the question: the answer may be as old as that
            placement = await self._look(library)
            self._known[library] = placement, until
            return placement

    def _leased(self, library: str) -> Placement | None:
        placement, until = self._known.get(library, (None, 0.0))
        return placement if placement and self._clock() < until else None
