"""Remove the data of a stack that does not run: `python -m devstack.discard DIR`."""

import argparse
import shutil
import signal
import sys
from pathlib import Path

from devstack.postgres import data_dir, unprivileged_account
from devstack.processes import end_leftover, end_processes, processes_in
from devstack.state import StateDir, held
from mediagate.errors import MediagateError


def discard(path: Path) -> None:
    """Remove the state folder and its database, which a root-run stack keeps elsewhere. No folder: nothing to do.

    Raises:
        AlreadyRunning: its stack runs.
    """
    if not path.is_dir():
        return
    state = StateDir.open(path)
    with held(state):
        # What a killed supervisor left may still be writing.
        for record in state.run.glob("*.json"):
            end_leftover(record, signal.SIGKILL, 10)
        account = unprivileged_account()
        data = data_dir(state, account)
        end_processes(processes_in(data.resolve(), "postgres"), signal.SIGKILL, 10)
        if account is not None:
            shutil.rmtree(data.parent)
        shutil.rmtree(state.path)


def main() -> None:
    """Remove what the argument names."""
    parser = argparse.ArgumentParser(prog="python -m devstack.discard", description=__doc__)
    parser.add_argument("state_dir", type=Path)
    try:
        discard(parser.parse_args().state_dir)
    except MediagateError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
