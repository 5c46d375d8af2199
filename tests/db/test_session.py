"""The one place that commits: everything at the end of the block, or nothing."""

import pytest
from sqlalchemy import text

from db.session import Database, sqlalchemy_url
from db.tables import Library, Media
from mediagate.errors import DatabaseUnavailable, NotFound


def item(library: Library) -> Media:
    """A new row."""
    return Media(library_id=library.id, filename="a.jpg", content_type="image/jpeg", declared_bytes=1)


class TestTransaction:
    async def test_nothing_is_visible_before_the_end(self, db: Database, library: Library) -> None:
        media = item(library)
        async with db.transaction() as tx:
            tx.media.add(media)
            await tx.session.flush()
            async with db.transaction() as other:
                assert await other.media.find(media.id) is None
        async with db.transaction() as tx:
            assert (await tx.media.get(media.id)).filename == "a.jpg"

    async def test_an_error_takes_everything_back(self, db: Database, library: Library) -> None:
        media = item(library)

        async def write_and_fail() -> None:
            async with db.transaction() as tx:
                tx.media.add(media)
                await tx.session.flush()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await write_and_fail()
        async with db.transaction() as tx:
            with pytest.raises(NotFound):
                await tx.media.get(media.id)

    async def test_the_row_may_be_read_after_the_block(self, db: Database, library: Library) -> None:
        async with db.transaction() as tx:
            tx.media.add(media := item(library))
        assert media.filename == "a.jpg"

    async def test_a_locked_row_shows_what_others_committed(self, db: Database, library: Library) -> None:
        async with db.transaction() as tx:
            tx.media.add(media := item(library))
        async with db.transaction() as tx:
            await tx.media.get(media.id)
            async with db.transaction() as other:
                (await other.media.get(media.id)).caption = "changed"
            assert (await tx.media.get(media.id, lock=True)).caption == "changed"


class TestTrouble:
    async def test_a_closed_port_is_named(self) -> None:
        away = Database("postgresql://postgres@127.0.0.1:1/nothing")
        with pytest.raises(DatabaseUnavailable) as raised:
            await away.ready()
        assert raised.value.retry_after == 2
        await away.close()

    async def test_a_connection_that_is_cut_is_named_and_the_next_one_works(self, db: Database) -> None:
        with pytest.raises(DatabaseUnavailable):
            async with db.transaction() as tx:
                await tx.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        await db.ready()

    async def test_a_statement_that_takes_too_long_is_ended(self, db: Database) -> None:
        async def dawdle() -> None:
            async with db.transaction() as tx:
                await tx.session.execute(text("SET LOCAL statement_timeout = 20"))
                await tx.session.execute(text("SELECT pg_sleep(5)"))

        with pytest.raises(DatabaseUnavailable):
            await dawdle()

    def test_a_url_of_another_database_is_refused(self) -> None:
        assert sqlalchemy_url("postgres://u@h/d") == "postgresql+psycopg://u@h/d"
        with pytest.raises(ValueError, match="must start with postgresql://"):
            sqlalchemy_url("sqlite:///x")
