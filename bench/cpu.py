"""CPU seconds of a stack's processes, by part; what ended meanwhile counts for its parent."""

import os
from collections.abc import Mapping

import psutil

from devstack.processes import recorded_process
from devstack.state import StateDir

PARTS = ("api", "worker", "temporal", "postgres", "s3", "vendor", "mail", "temporal-ui")
PICTURES = "picture processes"
"""Of the worker."""
BENCH = "bench itself"
"""The load, and the supervisor of the stack's processes."""


def by_part(state: StateDir, others: Mapping[str, int] | None = None) -> dict[str, float]:
    """CPU seconds since each part's start. `others`: further processes, by name."""
    found = {part: recorded_process(state.record(part)) for part in PARTS}
    used = {part: _seconds(process) for part, process in found.items() if process}
    if worker := found["worker"]:
        used[PICTURES] = sum(_seconds(child) for child in worker.children())
        used["worker"] -= used[PICTURES]
    used |= {name: _seconds(psutil.Process(pid)) for name, pid in (others or {}).items()}
    return used | {BENCH: sum(os.times()[:2])}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What was used between two looks, the most first."""
    used = {part: after[part] - before.get(part, 0.0) for part in after}
    return dict(sorted(used.items(), key=lambda item: -item[1]))


def _seconds(process: psutil.Process) -> float:
    total = 0.0
    try:
        for one in (process, *process.children(recursive=True)):
            times = one.cpu_times()
            # Children that were waited for are in the second pair; those that live are counted one by one.
            total += times.user + times.system + (times.children_user + times.children_system)
    except psutil.NoSuchProcess:
        pass
    return total
