"""Ctrl-C and its kin for commands that hold a stack."""

import asyncio
import signal


def stop_on_signals(hurry: asyncio.Event) -> None:
    """The first signal cancels the current task, which stops what it started; the next one sets `hurry`."""
    task = asyncio.current_task()
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked or task is None:
            hurry.set()
        else:
            asked = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
