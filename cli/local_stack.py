"""Where commands find the services: in the environment, else in the local stack that runs on the state folder."""

import json
import os
from typing import TYPE_CHECKING

from mediagate.settings import Settings

if TYPE_CHECKING:
    from devstack.state import StateDir

TEMPORAL_ADDRESSES = ("TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE")
"""Any of them names a Temporal service; then nothing of the stack's is mixed in."""


def adopt_local_stack() -> bool:
    """Put what the environment lacks into it, as the processes of the running local stack have it; True if one runs.

    Afterwards `Settings()` and the Temporal SDK's environment configuration find the stack's addresses and secrets.
    What the caller set wins; a Temporal service that the caller named is used with the caller's variables alone.
    """
    state = _running()
    if state is None:
        return False
    stack: dict[str, str] = json.loads(state.environment_file.read_text())
    own_temporal = any(os.environ.get(name) for name in TEMPORAL_ADDRESSES)
    for name, value in stack.items():
        # The Web UI is the address of a Temporal service as well.
        others = own_temporal and name.startswith(("TEMPORAL_", "MEDIAGATE_TEMPORAL_"))
        if not others and not os.environ.get(name):
            os.environ[name] = value
    return True


def is_local_database(url: str) -> bool:
    """True for the database that the running local stack brought with it."""
    state = _running()
    if state is None:
        return False
    addresses: dict[str, object] = json.loads(state.stack_file.read_text())
    pids = addresses.get("pids")
    return addresses.get("database_url") == url and isinstance(pids, dict) and "postgres" in pids


def _running() -> "StateDir | None":
    """The state folder, if a stack runs on it."""
    state_dir = Settings().state_dir
    if not (state_dir / "stack.json").is_file():
        return None
    from devstack.state import StateDir, holder  # only where a stack was started: its packages are there

    state = StateDir(state_dir)
    return state if holder(state) is not None else None
