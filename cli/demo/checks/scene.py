"""What checks look at and what they come to."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

import httpx

from cli.demo.journey import Journey
from cli.demo.public_api import PublicApi
from mediagate.media.lifecycle import DECIDED
from mediagate.media.values import Status

if TYPE_CHECKING:
    from devstack.stack import Stack


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked; `skip`: there was nothing to check it on."""

    name: str
    result: Literal["ok", "fail", "skip"]
    detail: str


class Seen(Protocol):
    """What checks look at that need nothing but the public API; `public` is somebody without a key."""

    @property
    def api(self) -> PublicApi: ...
    @property
    def public(self) -> httpx.AsyncClient: ...
    @property
    def items(self) -> Sequence[Journey]: ...
    @property
    def approved(self) -> Sequence[Journey]: ...


@dataclass(frozen=True, slots=True)
class Scene:
    """What the checks look at. `public` is an HTTP client of somebody without a key; `began` is when the demo did."""

    stack: "Stack"
    api: PublicApi
    public: httpx.AsyncClient
    journeys: Sequence[Journey]
    began: datetime

    @property
    def items(self) -> list[Journey]:
        """Journeys that reached a decision; the others are reported as such, and their runs and URLs are still open."""
        return [journey for journey in self.journeys if journey.outcome in DECIDED]

    async def ask_vendor(self, path: str) -> httpx.Response:
        """What the vendor says to its customer; a vendor that is not our simulator may well know no such path."""
        key = self.stack.settings.vendor_api_key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return await self.public.get(f"{self.stack.settings.vendor_url.rstrip('/')}{path}", headers=headers)

    @property
    def approved(self) -> list[Journey]:
        """Those that the public may see."""
        return [journey for journey in self.items if journey.outcome == Status.APPROVED]


Examine = Callable[[Scene], Awaitable[Check]]
"""One check. May raise what HTTP, the API and Temporal raise: it then counts as failed."""


def verdict(name: str, wrong: Sequence[str], detail: str) -> Check:
    """A failed check that names the first few things that are wrong, or a passed one."""
    if not wrong:
        return Check(name, "ok", detail)
    more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
    return Check(name, "fail", "; ".join(wrong[:3]) + more)
