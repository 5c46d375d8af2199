"""What the stack says while it works."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Event:
    """One line of news. `service` is empty when the news is about the whole stack."""

    kind: Literal["progress", "ready", "moved", "died", "restarted", "stopped", "warning"]
    text: str
    service: str = ""


Report = Callable[[Event], None]


def silent(event: Event) -> None:
    """A `Report` for callers that want none."""
    del event
