"""Log lines in the database: beside the work, never in its way."""

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from db.log_sink import DatabaseSink
from db.session import Database, Transaction
from db.tables import LogLine, now
from mediagate.settings import Settings
from tests.db.test_repositories import asked, plans


def record(level: int = logging.INFO, **fields: Any) -> logging.LogRecord:
    return logging.LogRecord("test", level, __file__, 1, json.dumps(fields), (), None)


async def about(db: Database, tracking_id: str) -> list[LogLine]:
    async with db.transaction() as tx:
        return list(await tx.logs.page(tracking_id=tracking_id, limit=100))


class TestSink:
    async def test_what_was_given_before_the_end_is_written(self, db: Database, stack_settings: Settings) -> None:
        sink, tracking_id = DatabaseSink(stack_settings.database_url.get_secret_value()), uuid4().hex
        for number in range(3):
            sink.emit(record(event="numbered", number=number, tracking_id=tracking_id, process="api"))
        sink.emit(record(logging.ERROR, event="a\x00b", tracking_id=tracking_id))
        sink.close()
        found = await about(db, tracking_id)
        assert [line.event for line in found] == ["ab", *["numbered"] * 3]
        assert [line.data.get("number") for line in found[1:]] == [2, 1, 0]
        assert (found[0].level, found[1].process) == (logging.ERROR, "api")

    async def test_lines_wait_for_a_database_that_is_away_and_the_lost_are_counted(
        self, db: Database, stack_settings: Settings
    ) -> None:
        sink, tracking_id = DatabaseSink("postgresql://postgres@127.0.0.1:1/none", most_waiting=20), uuid4().hex
        for number in range(23):
            sink.emit(record(event="numbered", number=number, tracking_id=tracking_id))
        sink._url = stack_settings.database_url.get_secret_value()
        sink.flush()
        sink.close()
        async with db.transaction() as tx:
            (first,) = await tx.logs.page(tracking_id=tracking_id, after=0, limit=1)
            counted = text("SELECT count(*) FROM log_line WHERE tracking_id = :id")
            assert await tx.session.scalar(counted, {"id": tracking_id}) == 20
        assert (first.data["number"], first.data["lost"]) == (3, 3)

    async def test_a_line_that_cannot_be_rendered_harms_nobody(
        self, db: Database, stack_settings: Settings, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sink, tracking_id = DatabaseSink(stack_settings.database_url.get_secret_value()), uuid4().hex
        sink.emit(logging.LogRecord("test", 20, __file__, 1, "%d", ("no number",), None))
        sink.emit(record(event="next", tracking_id=tracking_id))
        sink.close()
        assert [line.event for line in await about(db, tracking_id)] == ["next"]
        assert "TypeError" in capsys.readouterr().err

    async def test_old_lines_are_forgotten(self, db: Database) -> None:
        tracking_id = uuid4().hex
        async with db.transaction() as tx:
            for days in (1, 9):
                at = now() - timedelta(days=days)
                tx.session.add(LogLine(at=at, level=20, event=f"{days} days", tracking_id=tracking_id))
        async with db.transaction() as tx:
            await tx.logs.forget(now() - timedelta(days=7))
        assert [line.event for line in await about(db, tracking_id)] == ["1 days"]


QUESTIONS: dict[str, tuple[Callable[[Transaction], Any], str]] = {
    "trouble": (lambda tx: tx.logs.page(level=30, limit=50), "ix_log_line_trouble"),
    "request": (lambda tx: tx.logs.page(tracking_id="t", limit=50), "ix_log_line_tracking"),
    "item": (lambda tx: tx.logs.page(media_id="m", limit=50), "ix_log_line_media"),
    "newest": (lambda tx: tx.logs.page(limit=50), "log_line_pkey"),
}


class TestIndexes:
    @pytest.mark.parametrize("name", QUESTIONS)
    async def test_every_question_has_its_index(self, empty_db: Database, name: str) -> None:
        ask, index = QUESTIONS[name]
        async with asked(empty_db, lambda tx, _: ask(tx), uuid4()) as (tx, statements):
            await tx.session.execute(text("SET LOCAL enable_seqscan = off"))
            for plan in await plans(tx, statements):
                assert index in plan, plan
