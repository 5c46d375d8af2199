"""How much memory a picture takes, and who may take it."""

import ctypes
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mediagate.imaging.container import Container

_OUTPUT_EDGE = 4096
_OUTPUT_COPIES = 2
_FIXED = 16 * 1024 * 1024


def predict_decode_bytes(container: Container, file_bytes: int) -> int:
    """The peak of a full decode and of the copies that rendering makes, in bytes; an upper bound.

    Two copies of the file (as read, and as the decoder gets it), the decoder's pixels, and two pictures at output size
    (4 bytes a pixel in Pillow), because each step from one to the next holds both.
    """
    pixels = container.width * container.height
    output = min(pixels, _OUTPUT_EDGE * _OUTPUT_EDGE)
    return 2 * file_bytes + pixels * container.pixel_bytes + output * 4 * _OUTPUT_COPIES + _FIXED


def return_freed() -> None:
    """Give what was freed back to the system at once. The C library keeps it otherwise, and a large picture would come
    on top of it; without glibc, this does nothing.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class MemoryBudget:
    """Admits work to the processor by the bytes that it is predicted to take; thread-safe, first come, first served.

    A large piece of work is not overtaken by small ones that would fit, so it cannot starve. One that is larger than
    the whole budget is admitted when nothing else runs.
    """

    def __init__(self, total_bytes: int) -> None:
        self._total = total_bytes
        self._used = 0
        self._running = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def admit(self, nbytes: int) -> Iterator[None]:
        """Hold `nbytes` of the budget, waiting for them first."""
        self._enter(nbytes)
        try:
            yield
        finally:
            self._leave(nbytes)

    @property
    def total_bytes(self) -> int:
        """What may be held at once."""
        return self._total

    @property
    def waiting(self) -> int:
        """How many wait to be admitted."""
        with self._changed:
            return len(self._waiting)

    def _enter(self, nbytes: int) -> None:
        ticket = object()

        def fits() -> bool:
            return self._waiting[0] is ticket and (self._running == 0 or self._used + nbytes <= self._total)

        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(fits)
                self._used += nbytes
                self._running += 1
            finally:  # also when the wait was interrupted: whoever is behind must not wait for this one
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def _leave(self, nbytes: int) -> None:
        with self._changed:
            self._used -= nbytes
            self._running -= 1
            self._changed.notify_all()
