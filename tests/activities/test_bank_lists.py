"""Lists of hashes that are larger than a piece, or than a request may be."""

from collections.abc import Iterator

import pytest

from activities.bank_lists import PIECE, take_in
from db.session import Database
from db.tables import Bank, Library
from mediagate.moderation.banks import EntryKind, KnownHash
from mediagate.moderation.hash_lists import Line


async def bank(db: Database, library: Library) -> Bank:
    made = Bank(library_id=library.id, name="leaks", category="gore")
    async with db.transaction() as tx:
        await tx.banks.add(made)
    return made


def lines(count: int) -> Iterator[Line]:
    return (Line(number, KnownHash(EntryKind.SHA256, f"{number:064x}")) for number in range(1, count + 1))


class TestTakeIn:
    async def test_what_was_cut_short_is_completed_by_the_same_list(self, db: Database, library: Library) -> None:
        made = await bank(db, library)

        def broken() -> Iterator[Line]:
            yield from lines(PIECE + 10)
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await take_in(db, made, broken(), by="ada")
        report = await take_in(db, made, lines(PIECE + 10), by="ada")
        assert (report.added, report.known, report.skipped_count) == (10, PIECE, 0)

    async def test_more_than_the_most_is_told_from_which_line(self, db: Database, library: Library) -> None:
        report = await take_in(db, await bank(db, library), lines(5), by="ada", most=2)
        assert (report.added, report.skipped_count) == (2, 1)
        (line,) = report.skipped
        assert (line.number, line.why) == (3, "more than 2 entries; send those from here on by themselves")

    async def test_lines_that_are_no_entries_do_not_count_towards_it(self, db: Database, library: Library) -> None:
        given = [Line(1, None, "no entry"), *lines(2)]
        report = await take_in(db, await bank(db, library), given, by="ada", most=2)
        assert (report.added, [line.why for line in report.skipped]) == (2, ["no entry"])
