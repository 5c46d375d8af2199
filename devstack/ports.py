"""Ports on loopback: the usual one if it is free, else the next; kept from start to start."""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path

from devstack.errors import StackFailed
from devstack.events import Event, Report
from devstack.folders import read_json, write_json

LOOPBACK = "127.0.0.1"

USUAL = {
    "api": 8000,
    "temporal": 7233,
    "temporal-ui": 8233,
    "s3": 9000,
    "postgres": 54320,
    "smtp": 1025,
    "mail": 8025,
    "vendor": 8099,
    "api-internal": 9463,
    "worker-metrics": 9464,
    "temporal-http": 7243,
    "temporal-history": 7234,
    "temporal-matching": 7235,
    "temporal-worker": 7239,
    "temporal-frontend-membership": 6933,
    "temporal-history-membership": 6934,
    "temporal-matching-membership": 6935,
    "temporal-worker-membership": 6939,
    "temporal-metrics": 9465,
}
INTERNAL = frozenset(name for name in USUAL if name.startswith("temporal-") and name != "temporal-ui")
"""Ports between the parts of the Temporal server, which nobody types."""

TRIES = 2000


def listening(port: int) -> bool:
    """True if something takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def bindable(port: int) -> bool:
    """True if a server could be started there now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class Ports:
    """The ports of one stack.

    Between choosing a port and the server that binds it another stack could choose the same: every chosen port is
    reserved by a file lock, held until `release`.
    """

    def __init__(self, path: Path, report: Report) -> None:
        """`path`: `ports.json`."""
        self._path = path
        self._report = report
        self._last = read_json(path)
        self._locks: list[int] = []
        self._reservations = Path(tempfile.gettempdir()) / f"mediagate-ports-{os.getuid()}"
        self.chosen: dict[str, int] = {}

    def choose(self, names: Iterable[str]) -> None:
        """Choose and reserve a port for each of the names and remember the choice on disk."""
        self._reservations.mkdir(mode=0o700, exist_ok=True)
        if self._reservations.stat().st_uid != os.getuid() or self._reservations.is_symlink():
            raise StackFailed(f"{self._reservations} belongs to another account: remove it.")
        for name in names:
            self.chosen[name] = self._choose(name)
        write_json(self._path, self._last | self.chosen)

    def fix(self, name: str, port: int, variable: str) -> None:
        """Take exactly this port, which the user asked for by a variable.

        Raises:
            StackFailed: it is in use.
        """
        self._reservations.mkdir(mode=0o700, exist_ok=True)
        if not self._reserve(port):
            raise StackFailed(f"{variable} asks for port {port}, which is in use: free it or choose another.")
        self.chosen[name] = port

    def release(self) -> None:
        """Let others have the ports."""
        for descriptor in self._locks:
            os.close(descriptor)
        self._locks.clear()

    def _choose(self, name: str) -> int:
        last = self._last.get(name)
        first = last if isinstance(last, int) and 0 < last < 65536 else USUAL[name]
        for port in range(first, min(first + TRIES, 65536)):
            if port not in self.chosen.values() and self._reserve(port):
                if port != first and name not in INTERNAL:
                    self._report(Event("moved", f"port {first} is in use: {name} gets {port}", name))
                return port
        raise StackFailed(f"No free port for {name} from {first} on.")

    def _reserve(self, port: int) -> bool:
        descriptor = os.open(self._reservations / str(port), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        if listening(port) or not bindable(port):
            os.close(descriptor)
            return False
        self._locks.append(descriptor)
        return True
