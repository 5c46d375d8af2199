"""When the gate puts uploads off before workers starve; a library's own quotas are in `activities.acceptance`."""

import time
from dataclasses import dataclass, field

from activities.acceptance import SOONEST
from mediagate.errors import Backlogged, WorkflowsUnavailable
from workflows.client import Flows
from workflows.names import Role

LOOK_EVERY = 5.0
"""Seconds for which a look at the backlog holds."""
LATEST = 300.0
"""Seconds after which a caller who is put off is told to come back, at the latest."""


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
