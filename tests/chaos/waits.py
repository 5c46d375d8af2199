"""What a stack waits for while it settles: each wait with its reason, as rows and the Temporal service tell it."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping

from temporalio.client import Client
from temporalio.service import RPCError

from tests.chaos.killable import KillableStack
from workflows.operations.resetting import short
from workflows.operations.runs import Run, described

EVERY = 1.0
"""Seconds between two looks."""
MOST = 12
"""Runs that are asked for at a look: each costs the service a call."""


class Waits:
    """For how long what was waited for. Looks at what is open, again and again; the sums are by thing and reason."""

    def __init__(self, stack: KillableStack) -> None:
        self._stack = stack
        self._client: Client | None = None
        self._looked = time.monotonic()
        self._next = 0.0
        self._seconds: Counter[tuple[str, str]] = Counter()

    async def look(self, open_: Mapping[str, str]) -> None:
        """Note the present state. `open_`: what is open, and what its rows say; where the words are empty, the key is
        the id of a workflow, and its run is asked."""
        now = time.monotonic()
        if now < self._next:
            return
        passed, self._looked = now - self._looked, now
        asked = [thing for thing, words in open_.items() if not words][:MOST]
        told = dict(zip(asked, await asyncio.gather(*(self._run(thing) for thing in asked)), strict=True))
        away = dict.fromkeys(self._stack.away(), "is not back yet")
        for thing, words in {**open_, **told, **away}.items():
            if words:
                self._seconds[thing, words] += passed  # type: ignore[assignment]
        self._next = time.monotonic() + EVERY

    async def _run(self, workflow_id: str) -> str:
        try:
            self._client = self._client or await self._stack.temporal()
            description = await self._client.get_workflow_handle(workflow_id).describe()
        except (RPCError, RuntimeError) as error:
            return f"the service says: {str(error).partition(':')[0]}"
        return reason(described(description.raw_description))

    def longest(self, count: int = 5) -> str:
        """The longest waits in words; empty if there were none of a second or more."""
        found = [(seconds, thing, why) for (thing, why), seconds in self._seconds.most_common(count) if seconds >= 1]
        return "; ".join(f"{seconds:.0f} s {thing}: {why}" for seconds, thing, why in found)


def reason(run: Run) -> str:
    """What an open run waits for, without anything that changes by itself, so that equal waits add up."""
    if run.status != "running":
        return f"its run is {run.status}"
    if run.task_attempt:
        return f"workflow task, attempt {run.task_attempt}"
    steps = [
        f"{short(one.name)} {one.state}, attempt {one.attempt}"
        + (f" after {one.last_failure[0]}" if one.last_failure else "")
        for one in run.pending
    ]
    return ", ".join(steps) or f"a timer or a message ({run.stage or 'begun'})"
