"""What goes into banks and comes out of them: items, and lists of hashes in pieces that are a transaction each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from mediagate.errors import Conflict
from mediagate.moderation.banks import EntryKind, EntryState, KnownHash, known_hash
from mediagate.moderation.hash_lists import Line, threat_descriptor, write_csv

if TYPE_CHECKING:
    from db.repositories.banks import Position
    from db.session import Database, Transaction
    from db.tables import Bank, Media

PIECE = 1000
MOST_TOLD = 1000
"""Lines that were left out, as far as they are told one by one."""


class Report(NamedTuple):
    """What became of a list."""

    added: int
    known: int
    """There already, in whatever state: what was removed stays so."""
    skipped: list[Line]
    """The first `MOST_TOLD`."""
    skipped_count: int


async def of_item(tx: Transaction, media: Media, note: str) -> list[KnownHash]:
    """An item's file and, if it has one, its fingerprint.

    Raises:
        Conflict: its file has not arrived yet; what was only announced is no proof.
        ValueError: the note is none.
    """
    if media.accepted_at is None or not media.sha256:
        raise Conflict("This item's file has not arrived yet.")
    source = f"media {media.id}"
    entries = [known_hash(EntryKind.SHA256, media.sha256, note, source)]
    phash = await tx.fingerprints.get(media.id)
    return entries if phash is None else [*entries, known_hash(EntryKind.PHASH, f"{phash:016x}", note, source)]


async def take_in(db: Database, bank: Bank, lines: Iterable[Line], *, by: str, most: int | None = None) -> Report:
    """Put a list's entries into a bank. A list that was taken in before, or in part, adds what is missing.

    `most`: entries that are read; the rest is told as left out.
    """
    added, known, skipped, count = 0, 0, list[Line](), 0
    pending = iter(lines) if most is None else _bounded(lines, most)
    while piece := list(islice(pending, PIECE)):
        entries = [line.entry for line in piece if line.entry]
        async with db.transaction() as tx:
            new = await tx.banks.put(bank.id, entries, by=by)
        added, known = added + new, known + len(entries) - new
        left_out = [line for line in piece if line.entry is None]
        skipped += left_out[: MOST_TOLD - len(skipped)]
        count += len(left_out)
    return Report(added, known, skipped, count)


def _bounded(lines: Iterable[Line], most: int) -> Iterator[Line]:
    taken = 0
    for line in lines:
        taken += line.entry is not None
        if taken > most:
            yield Line(line.number, None, f"more than {most} entries; send those from here on by themselves")
            return
        yield line


async def written_csv(db: Database, bank: Bank) -> AsyncIterator[str]:
    """A bank's active entries as CSV, newest first."""
    yield write_csv([])
    async for piece in _active(db, bank):
        yield write_csv(piece, header=False)


async def written_threat_exchange(db: Database, bank: Bank) -> AsyncIterator[str]:
    """A bank's active entries as ThreatExchange's JSON, newest first, each on a line."""
    before = '{"data": [\n'
    async for piece in _active(db, bank):
        yield before + ",\n".join(threat_descriptor(entry, bank.polarity, bank.category) for entry in piece)
        before = ",\n"
    yield "\n]}\n" if before == ",\n" else f"{before}]}}\n"


async def _active(db: Database, bank: Bank) -> AsyncIterator[list[KnownHash]]:
    after: Position = None
    while True:
        async with db.transaction() as tx:
            rows = await tx.banks.entries(bank.id, state=EntryState.ACTIVE, after=after, limit=PIECE)
        if not rows:
            return
        yield [KnownHash(row.kind, row.value, row.note, row.source) for row in rows]
        after = (rows[-1].added_at, rows[-1].id)
