"""How our processes end."""

import logging
import os
import sys
from contextlib import suppress
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
