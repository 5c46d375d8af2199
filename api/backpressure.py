"""When the gate puts uploads off: before workers starve, and where a library has used up what it may."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from db.session import Transaction
from db.tables import Library, now
from mediagate.errors import Backlogged, QuotaExceeded, WorkflowsUnavailable
from mediagate.media.values import Limits
from workflows.client import Flows
from workflows.names import Role

LOOK_EVERY = 5.0
"""Seconds for which a look at the backlog holds."""
SOONEST, LATEST = 5.0, 300.0
"""Seconds after which a caller who is put off is told to come back."""


@dataclass
class Backlog:
    """How much waits for the workers that open pictures, as this process last saw it."""

    flows: Flows
    most: int
    _refuse_for: float = 0.0
    _looked_at: float = field(default=float("-inf"))

    async def check(self) -> None:
        """Raises Backlogged, with the time after which the backlog should be worked off.

        What is accepted is durable whatever the backlog, so a workflow service that does not answer refuses nobody.
        """
        if time.monotonic() - self._looked_at > LOOK_EVERY:
            self._looked_at = time.monotonic()
            await self._look()
        if self._refuse_for:
            raise Backlogged(retry_after=self._refuse_for)

    async def _look(self) -> None:
        try:
            waiting, rate = await self.flows.backlog(Role.CPU)
        except WorkflowsUnavailable:
            waiting, rate = 0, 0.0
        over = waiting - self.most
        self._refuse_for = min(max(over / rate if rate else LATEST, SOONEST), LATEST) if over > 0 else 0.0


async def spend(tx: Transaction, library: Library, limits: Limits, size: int) -> None:
    """Count an upload against the library's quotas, in the transaction that makes its row.

    Raises:
        QuotaExceeded: naming the quota, and when there is room again.
    """
    if limits.open_uploads is not None:
        under_way = await tx.media.under_way(library.id, most=limits.open_uploads)
        if under_way >= limits.open_uploads:
            message = f"This library has {under_way} uploads under way, and may have {limits.open_uploads} at a time."
            raise QuotaExceeded(message, retry_after=SOONEST)
    if limits.daily_files is None and limits.daily_bytes is None:
        return
    day = now().astimezone(UTC).date()
    if not await tx.access.spend(library.id, day, size=size, files=limits.daily_files, bytes_=limits.daily_bytes):
        tomorrow = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
        named = {"files": limits.daily_files, "bytes": limits.daily_bytes}
        quota = " and ".join(f"{most} {name}" for name, most in named.items() if most is not None)
        raise QuotaExceeded(
            f"This library may upload {quota} a day (UTC), and this one would be over it.",
            retry_after=(tomorrow - now()).total_seconds(),
        )
