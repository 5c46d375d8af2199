"""Work on pictures in processes of their own: a file that crashes, hangs or exhausts its decoder ends nothing else."""

import asyncio
import multiprocessing
import os
import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, ParamSpec, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from mediagate.errors import DecoderDied
from mediagate.imaging.memory import MemoryBudget

P = ParamSpec("P")
T = TypeVar("T")

_WORKS_PER_PROCESS = 500
"""Then it is replaced, so that what a C library leaks does not add up."""
_ADDRESS_SPACE = 2 * 1024**3
"""Bytes beyond the budget: code, thread stacks and allocators reserve much that they never touch."""
_ORPHAN_CHECK = 1.0


class PicturePool:
    """A few processes, admitted to by predicted memory; thread-safe, made once for a process and closed at its end."""

    def __init__(self, slots: int, budget: MemoryBudget, *, time_limit: float) -> None:
        """`slots`: pictures worked on at once. `time_limit`: seconds for one piece of work, waiting not counted."""
        self._budget = budget
        self._time_limit = time_limit
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["__main__", "mediagate.imaging"])
        limit = budget.total_bytes + _ADDRESS_SPACE
        self._processes = ProcessPool(slots, _WORKS_PER_PROCESS, _settle, (limit,), context)
        # Each waits for memory and then for a process, so that neither wait needs the event loop.
        self._waiters = ThreadPoolExecutor(slots, thread_name_prefix="pictures")
        self._at_work = set[ProcessFuture[Any]]()
        self._closing = threading.Lock()
        self._closed = False

    async def run(self, nbytes: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns or raises; it takes `nbytes` at its peak and must be a function of a module.

        Raises:
            DecoderDied: its process crashed, ran out of memory or out of time.
        """

        def admitted() -> T:
            with self._budget.admit(nbytes):
                return self._begun(work, args, kwargs).result()

        try:
            return await asyncio.get_running_loop().run_in_executor(self._waiters, admitted)
        except TimeoutError as error:
            raise DecoderDied(f"The decoder was still at work after {self._time_limit:g} s and was stopped.") from error
        except ProcessExpired as error:
            raise DecoderDied(f"The decoder's process ended with exit code {error.exitcode}.") from error
        except BrokenProcessPool as error:
            if not self._closed:
                raise
            raise DecoderDied("The decoder was stopped, for its worker ends.") from error
        except MemoryError as error:
            raise DecoderDied("The decoder wanted more memory than is given to pictures.") from error

    def close(self) -> None:
        """Stop the processes, also those at work: whoever waits for one is told that it died."""
        with self._closing:
            self._closed = True
            self._processes.stop()  # type: ignore[no-untyped-call]
        self._processes.join()
        for future in tuple(self._at_work):  # of which a pool that was stopped tells only now and then
            future.set_exception(BrokenProcessPool())
        self._waiters.shutdown()

    def _begun(self, work: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> "ProcessFuture[T]":
        with self._closing:
            if self._closed:
                raise BrokenProcessPool
            future = self._processes.schedule(work, args, kwargs, self._time_limit)
            self._at_work.add(future)
        future.add_done_callback(self._at_work.discard)
        return future


def _settle(address_space: int) -> None:
    """Bound this process's memory, and end it with the one that it works for, however that ended."""
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_ORPHAN_CHECK)
    os._exit(1)
