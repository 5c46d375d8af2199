"""How our processes end."""

import asyncio
import faulthandler
import gc
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process, without tearing the interpreter down where the Temporal client was loaded.

    Its threads may still call into the interpreter then, which now and then aborts the process after its work is done
    (https://github.com/temporalio/sdk-python/issues/300).
    """
    if "temporalio.bridge.temporal_sdk_bridge" in sys.modules:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # the reader of a pipe may have gone
                stream.flush()
        logging.shutdown()
        os._exit(code)
    sys.exit(code)


def collect_rarely() -> None:
    """Leave what is loaded by now to no garbage collection, and collect less often: 4 % of a busy process's CPU.

    Most of what a request or a step makes is freed by its reference counts.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@asynccontextmanager
async def ended_if_stuck(seconds: float) -> AsyncIterator[None]:
    """End the process if its event loop stands still for so long meanwhile, with the stack of every thread on stderr.

    The exit code is 1, and whoever supervises the process starts another. There is one such watch in a process.
    """

    async def show_life() -> None:
        while True:
            faulthandler.dump_traceback_later(seconds, exit=True)
            await asyncio.sleep(seconds / 4)

    showing = asyncio.create_task(show_life())
    try:
        yield
    finally:
        showing.cancel()
        faulthandler.cancel_dump_traceback_later()
