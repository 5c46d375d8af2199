"""Calls of a synchronous store client in threads of its own, measured."""

import asyncio
import contextvars
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from mediagate import metrics
from mediagate.errors import MediagateError

T = TypeVar("T")


async def measured(executor: Executor, bucket: str, call: Callable[..., T], *args: object) -> T:
    """What the call returns; its name says which operation it is."""
    operation, began = call.__name__.strip("_"), time.monotonic()
    try:
        result = await in_thread(executor, call, *args)
    except MediagateError as error:
        metrics.STORE_REQUESTS.add(bucket=bucket, operation=operation, outcome=error.code)
        raise
    finally:
        metrics.STORE_SECONDS.observe(time.monotonic() - began, bucket=bucket, operation=operation)
    metrics.STORE_REQUESTS.add(bucket=bucket, operation=operation, outcome="ok")
    return result


def in_thread(executor: Executor, call: Callable[..., T], *args: object) -> "asyncio.Future[T]":
    """The call in a thread that measures, and logs, in the caller's context: by themselves threads have none."""
    return asyncio.get_running_loop().run_in_executor(executor, contextvars.copy_context().run, call, *args)
