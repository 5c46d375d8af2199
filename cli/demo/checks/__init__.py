"""What must hold after files have reached their ends, seen from outside: by HTTP, in the mail sink, in run histories.

Belongs here: checks that read, that send again what was sent before, and that withdraw one of the demo's own samples.
Does not: sending files, or anything that would leave a trace on files of the user's.
"""

from collections.abc import Sequence

import httpx

from cli.demo.checks.bookkeeping import IDEMPOTENT, MAILS, RUNS, idempotent, mailed, runs_closed
from cli.demo.checks.delivery import CLOSED, READABLE, WITHDRAWN, closed, readable, withdrawn
from cli.demo.checks.scene import Check, Examine, Scene
from cli.demo.checks.webhooks import AWKWARD, FORGED, REPLAY, awkward, forged, replayed
from mediagate.errors import MediagateError

CHECKS: Sequence[tuple[str, Examine]] = (
    # First, because the others look at what a run does last.
    (RUNS, runs_closed),
    (READABLE, readable),
    (CLOSED, closed),
    (AWKWARD, awkward),
    (REPLAY, replayed),
    (FORGED, forged),
    (IDEMPOTENT, idempotent),
    (MAILS, mailed),
    # Last, because the others look at what is approved.
    (WITHDRAWN, withdrawn),
)


async def verify(scene: Scene, checks: Sequence[tuple[str, Examine]] = CHECKS) -> list[Check]:
    """Run checks, one after the other; trouble on the way is a failed check."""
    done: list[Check] = []
    for name, examine in checks:
        try:
            done.append(await examine(scene))
        except (MediagateError, httpx.HTTPError, TimeoutError, RuntimeError) as error:
            done.append(Check(name, "fail", f"could not be checked: {error or type(error).__name__}"))
    return done


__all__ = ["CHECKS", "Check", "Scene", "verify"]
