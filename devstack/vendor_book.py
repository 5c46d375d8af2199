"""What the simulated vendor remembers: submissions, results and webhooks still to be sent, in one SQLite file.

Written before it is acted on, so that `kill -9` loses no answer; what was sent but not yet marked is sent again.
"""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from devstack.vendor_answers import Plan, Result, Webhook
from mediagate.vendors.interface import Submission

_SCHEMA = """
create table if not exists submissions (
    media_id text primary key,
    submission text not null,
    results text  -- null until the picture was looked at
);
create table if not exists webhooks (
    id integer primary key,
    media_id text not null references submissions,
    webhook_id text not null,
    body text not null,
    state text not null check (state in ('held', 'due', 'sent', 'given_up'))
);
create index if not exists webhooks_of on webhooks (media_id, state);
"""


class Due(NamedTuple):
    """A webhook that is to be sent."""

    row: int
    webhook: Webhook


class Book:
    """The file of one simulator. Not for several threads or processes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("pragma journal_mode=wal")
        self._db.executescript(_SCHEMA)

    def add(self, submission: Submission) -> bool:
        """Keep a submission; True if it is new. A repeat brings only its fresh URLs, as long as no result is there."""
        row = (submission.media_id, submission.model_dump_json())
        if self._db.execute("insert or ignore into submissions (media_id, submission) values (?, ?)", row).rowcount:
            return True
        self._db.execute("update submissions set submission = ? where media_id = ? and results is null", row[::-1])
        return False

    def submission(self, media_id: str) -> Submission | None:
        """The submission of an item."""
        row = self._db.execute("select submission from submissions where media_id = ?", (media_id,)).fetchone()
        return Submission.model_validate_json(row[0]) if row else None

    def submissions(self, limit: int) -> list[Submission]:
        """The newest ones."""
        rows = self._db.execute("select submission from submissions order by rowid desc limit ?", (limit,))
        return [Submission.model_validate_json(text) for (text,) in rows]

    def results(self, media_id: str) -> list[Result] | None:
        """None until the item was looked at, or answered by hand."""
        row = self._db.execute("select results from submissions where media_id = ?", (media_id,)).fetchone()
        return json.loads(row[0]) if row and row[0] is not None else None

    def decide(self, media_id: str, plan: Plan) -> None:
        """Keep results and webhooks at once; both or none survive a crash. Former results are replaced."""
        state = "held" if plan.held else "due"
        rows = [(media_id, webhook.webhook_id, webhook.body, state) for webhook in plan.webhooks]
        results = json.dumps(plan.results)
        self._db.execute("begin immediate")
        with self._db:  # commits, or rolls back
            self._db.execute("update submissions set results = ? where media_id = ?", (results, media_id))
            self._db.executemany("insert into webhooks (media_id, webhook_id, body, state) values (?, ?, ?, ?)", rows)

    def release(self, media_id: str) -> bool:
        """Let webhooks that waited for a poll go; True if there were any."""
        changed = self._db.execute(
            "update webhooks set state = 'due' where media_id = ? and state = 'held'", (media_id,)
        )
        return changed.rowcount > 0

    def due(self, media_id: str) -> list[Due]:
        """Webhooks to send, in order."""
        rows = self._db.execute(
            "select id, webhook_id, body from webhooks where media_id = ? and state = 'due' order by id", (media_id,)
        )
        return [Due(row, Webhook(webhook_id, body)) for row, webhook_id, body in rows]

    def mark(self, row: int, state: str) -> None:
        """Note that a webhook was `sent` or `given_up`."""
        self._db.execute("update webhooks set state = ? where id = ?", (state, row))

    def unanswered(self) -> Iterable[str]:
        """Items that nobody has looked at."""
        return [row[0] for row in self._db.execute("select media_id from submissions where results is null")]

    def undelivered(self) -> Iterable[str]:
        """Items with webhooks to send."""
        return [row[0] for row in self._db.execute("select distinct media_id from webhooks where state = 'due'")]

    def close(self) -> None:
        """Close the file."""
        self._db.close()
