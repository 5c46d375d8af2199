"""How much memory a picture takes, and who may take it."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
    def admit(self, nbytes: int, *, progress: Callable[[], None] = lambda: None, every: float = 1.0) -> Iterator[None]:
        """Hold `nbytes` of the budget, waiting for them first.

        `progress` is called about every `every` seconds of the wait; what it raises ends the wait.
        """
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
        try:
            while not self._enter(ticket, nbytes, every):
                progress()
        except BaseException:
            self._give_up(ticket, nbytes)
            raise
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

    def _enter(self, ticket: object, nbytes: int, timeout: float) -> bool:
        def fits() -> bool:
            return self._waiting[0] is ticket and (self._running == 0 or self._used + nbytes <= self._total)

        with self._changed:
            if not self._changed.wait_for(fits, timeout):
                return False
            self._waiting.popleft()
            self._used += nbytes
            self._running += 1
            self._changed.notify_all()
            return True

    def _give_up(self, ticket: object, nbytes: int) -> None:
        with self._changed:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                self._changed.notify_all()
                return
        self._leave(nbytes)  # interrupted between being admitted and starting

    def _leave(self, nbytes: int) -> None:
        with self._changed:
            self._used -= nbytes
            self._running -= 1
            self._changed.notify_all()
