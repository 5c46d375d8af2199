"""Cursors come back as they went, and nothing else is one."""

from datetime import UTC, datetime, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import pages
from mediagate.errors import InvalidRequest


class TestCursors:
    @given(st.datetimes(timezones=st.just(UTC)), st.uuids())
    def test_come_back_as_they_went(self, at: datetime, id_: UUID) -> None:
        assert pages.decode(pages.encode(at, id_)) == (at, id_)

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_none_is_the_beginning(self, nothing: str | None) -> None:
        assert pages.decode(nothing) is None

    @given(st.text(min_size=1))
    def test_what_was_not_made_here_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidRequest):
            pages.decode(text)

    def test_a_time_needs_its_zone(self) -> None:
        at = datetime.now(UTC)
        with pytest.raises(InvalidRequest):
            pages.decode(pages.encode(at.replace(tzinfo=None), UUID(int=0)))
        assert pages.decode(pages.encode(at.astimezone(timezone.max), UUID(int=0))) == (at, UUID(int=0))
