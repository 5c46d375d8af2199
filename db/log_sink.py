"""Log lines on their way to the database: beside the work, never in its way."""

import json
import logging
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

MOST_WAITING = 10_000
"""Lines that wait while the database is away; beyond that the oldest are lost, and counted."""
EVERY = 1.0
"""Seconds between two writes at most."""
AT_ONCE = 500
CLOSING = 3.0
"""Seconds that the end of the process waits for the last lines."""

_INSERT = """
    INSERT INTO log_line (at, level, process, event, tracking_id, media_id, data) VALUES (%s, %s, %s, %s, %s, %s, %s)
"""


class DatabaseSink(logging.Handler):
    """A handler whose formatter makes JSON; a thread of its own writes what it was given.

    What goes wrong here is told nowhere but in the next line that arrives: `lost`, how many did not.
    """

    def __init__(self, url: str, *, most_waiting: int = MOST_WAITING) -> None:
        super().__init__()
        self._url = url
        self._most = most_waiting
        self._waiting: deque[tuple[datetime, int, str]] = deque(maxlen=most_waiting)
        self._batch: list[tuple[Any, ...]] = []
        """Taken, and not written yet."""
        self._lost = 0
        self._give_up = float("inf")
        self._wake, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-sink", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line; returns at once."""
        if record.name.startswith("psycopg"):  # of this very connection
            return
        try:
            line = (datetime.fromtimestamp(record.created, UTC), record.levelno, self.format(record))
        except Exception:
            self.handleError(record)
            return
        self._lost += len(self._waiting) == self._most
        self._waiting.append(line)
        if len(self._waiting) >= AT_ONCE:
            self._wake.set()

    def flush(self) -> None:
        """Have what waits written soon."""
        self._wake.set()

    def close(self) -> None:
        """Write what waits, as far as that is possible in a few seconds."""
        self._give_up = time.monotonic() + CLOSING
        self._ending.set()
        self._wake.set()
        self._thread.join(CLOSING + EVERY)
        super().close()

    def _run(self) -> None:
        while not (self._ending.is_set() and not self._owed):
            self._wake.wait(EVERY)
            self._wake.clear()
            try:
                with psycopg.connect(self._url, connect_timeout=2, autocommit=True) as connection:
                    self._write_while_connected(connection)
            except psycopg.Error:
                if time.monotonic() > self._give_up:
                    return
                time.sleep(0.2 if self._ending.is_set() else EVERY)

    @property
    def _owed(self) -> bool:
        return bool(self._batch or self._waiting)

    def _write_while_connected(self, connection: psycopg.Connection[Any]) -> None:
        while True:
            while self._owed:
                while self._waiting and len(self._batch) < AT_ONCE:
                    self._batch.append(self._row(*self._waiting.popleft()))
                with connection.transaction(), connection.cursor() as cursor:
                    cursor.executemany(_INSERT, self._batch)
                self._batch = []
            if self._ending.is_set():
                return
            self._wake.wait(EVERY)
            self._wake.clear()

    def _row(self, at: datetime, level: int, line: str) -> tuple[Any, ...]:
        # PostgreSQL's JSON has no NUL (https://www.postgresql.org/docs/current/datatype-json.html).
        data = json.loads(line.replace("\\u0000", ""))
        if self._lost:
            data["lost"], self._lost = self._lost, 0
        named = (str(data.get(name, "")) for name in ("process", "event", "tracking_id", "media_id"))
        return (at, level, *named, Jsonb(data))
