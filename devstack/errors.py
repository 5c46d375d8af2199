"""Errors of the local stack; branches of the tree in `mediagate/errors.py`."""

from typing import Any

from mediagate.errors import Conflict, Unavailable


class StackFailed(Unavailable):
    """The local stack did not come up."""


class AlreadyRunning(Conflict):
    """A stack already runs on this state folder."""

    def __init__(self, message: str, *, pid: int, addresses: dict[str, Any]) -> None:
        """`addresses`: the content of its `stack.json`, empty while it is still starting."""
        super().__init__(message)
        self.pid = pid
        self.addresses = addresses
