"""Hash banks: which there are, what is in them, and what they hit."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import Integer, TextClause, Uuid, func, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import PHASH_BANDS, Bank, BankEntry, BankMatch, Media, now
from mediagate.errors import Conflict, NotFound
from mediagate.media.fingerprints import BITS, MASKS, dihedral
from mediagate.moderation.banks import FLOOD_WINDOW, SEVERITY, EntryKind, EntryState, KnownHash, demanded, flooded

MOST_BANKS = 100
"""Of one library, and of those for all."""
MOST_HITS = 200
"""Of one item; the most severe, then the nearest."""

Position = tuple[datetime, UUID] | None
"""The keyset position behind which a page begins."""

# As in `db.repositories.fingerprints`, whose comments hold here too; one search for all banks at once.
_IN_BAND = """
    SELECT id, bank_id, distance FROM unnest(CAST(:asked AS bigint[])) AS asked
    CROSS JOIN unnest(CAST('{{{masks}}}' AS bigint[])) AS mask
    CROSS JOIN LATERAL (
        SELECT id, bank_id, bit_count(CAST(phash # asked AS bit(64))) AS distance FROM bank_entry
        WHERE phash IS NOT NULL AND state <> 'removed' AND bank_id = ANY (CAST(:banks AS uuid[]))
        AND {stored} = {wanted} # mask OFFSET 0
    ) AS agreeing
    WHERE distance <= :farthest
"""
_NEAREST = """
    SELECT id, distance FROM (
        SELECT DISTINCT ON (id) id, bank_id, distance FROM ({bands}) AS found ORDER BY id, distance
    ) AS each_once
    JOIN unnest(CAST(:banks AS uuid[]), CAST(:reaches AS int[]), CAST(:severities AS int[]))
        AS bank (bank_id, reach, severity) USING (bank_id)
    WHERE distance <= reach ORDER BY severity DESC, distance, id LIMIT :limit
"""


def _near() -> TextClause:
    bands = (
        _IN_BAND.format(masks=",".join(map(str, masks)), stored=band, wanted=band.replace("phash", "asked"))
        for band, masks in zip(PHASH_BANDS, MASKS, strict=True)
    )
    return text(_NEAREST.format(bands=" UNION ALL ".join(bands)))


_NEAR = _near()


# Arrays: a statement with a parameter for each cell takes ten times as long. In one order, so that the same list sent
# twice at a time waits for itself and does not lock itself out.
_PUT = text("""
    INSERT INTO bank_entry
        (id, bank_id, kind, value, phash, state, note, source, added_by, added_at, floods, reviewed_by)
    SELECT id, :bank_id, kind, value, phash, 'active', note, source, :by, :at, 0, ''
    FROM unnest(CAST(:ids AS uuid[]), CAST(:kinds AS text[]), CAST(:hashes AS text[]), CAST(:phashes AS bigint[]),
                CAST(:notes AS text[]), CAST(:sources AS text[])) AS given (id, kind, value, phash, note, source)
    ORDER BY kind, value ON CONFLICT (kind, value, bank_id) DO NOTHING RETURNING id
""")


class Found(NamedTuple):
    """An entry that an item agrees with, and how many bits differ."""

    entry: BankEntry
    bank: Bank
    distance: int


class Recorded(NamedTuple):
    """A hit as it stands; `newly_held`: by this one its entry hit too often; `new`: it was not recorded before."""

    match: BankMatch
    entry: BankEntry
    bank: Bank
    newly_held: bool = False
    new: bool = False


class BankRepository:
    """Hash banks."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    # Banks

    async def add(self, bank: Bank) -> None:
        """Insert a bank.

        Raises:
            Conflict: a bank of that name can be seen from the same library, or there are too many.
        """
        # One at a time, or two of the same name could come to be, one of a library and one for all.
        await self._session.execute(text("LOCK TABLE bank IN SHARE ROW EXCLUSIVE MODE"))
        seen = select(col(Bank.id)).where(col(Bank.name) == bank.name)
        if bank.library_id is not None:
            seen = seen.where(or_(col(Bank.library_id) == bank.library_id, col(Bank.library_id).is_(None)))
        if (await self._session.scalars(seen.limit(1))).first():
            raise Conflict(f"There is a bank named {bank.name} already; choose another name.")
        count = select(func.count()).where(col(Bank.library_id).is_not_distinct_from(bank.library_id))
        if (await self._session.scalar(count) or 0) >= MOST_BANKS:
            raise Conflict(f"There are {MOST_BANKS} banks already, which is the most.")
        self._session.add(bank)
        await self._session.flush()

    async def seen_from(self, library_id: UUID) -> Sequence[Bank]:
        """All that look at this library's items, by name; enabled or not."""
        query = select(Bank).where(or_(col(Bank.library_id) == library_id, col(Bank.library_id).is_(None)))
        return (await self._session.scalars(query.order_by(col(Bank.name)))).all()

    async def named(self, library_id: UUID, name: str) -> Bank:
        """The bank of that name, of the library or for all. Raises NotFound."""
        for bank in await self.seen_from(library_id):
            if bank.name == name:
                return bank
        raise NotFound("There is no bank with this name.")

    # Entries

    async def put(self, bank_id: UUID, entries: Iterable[KnownHash], *, by: str) -> int:
        """Insert entries that are not there yet, in whatever state; how many that were."""
        rows = [(e, _signed(int(e.value, 16)) if e.kind is EntryKind.PHASH else None) for e in entries]
        values = {
            "ids": [uuid4() for _ in rows],
            "kinds": [entry.kind.value for entry, _ in rows],
            "hashes": [entry.value for entry, _ in rows],
            "phashes": [phash for _, phash in rows],
            "notes": [entry.note for entry, _ in rows],
            "sources": [entry.source for entry, _ in rows],
        }
        added = await self._session.execute(_PUT, {**values, "bank_id": bank_id, "by": by, "at": now()})
        return len(added.all())

    async def restore(self, bank_id: UUID, entries: Sequence[KnownHash], *, by: str) -> Sequence[BankEntry]:
        """As `put`, and what was removed is active again; the entries as they are now."""
        await self.put(bank_id, entries, by=by)
        wanted = tuple_(col(BankEntry.kind), col(BankEntry.value)).in_([(e.kind.value, e.value) for e in entries])
        query = select(BankEntry).where(col(BankEntry.bank_id) == bank_id, wanted).order_by(col(BankEntry.id))
        rows = (await self._session.scalars(query.with_for_update())).all()
        for row in rows:
            if row.state is EntryState.REMOVED:
                _review(row, EntryState.ACTIVE, by)
        return rows

    async def entry(self, bank_id: UUID, entry_id: UUID) -> BankEntry:
        """An entry of that bank, locked. Raises NotFound."""
        row = await self._session.get(BankEntry, entry_id, with_for_update=True, populate_existing=True)
        if row is None or row.bank_id != bank_id:
            raise NotFound("There is no such entry in this bank.")
        return row

    async def release(self, bank_id: UUID, entry_id: UUID, *, by: str) -> BankEntry:
        """Let an entry that was held back act again; its hits so far do not count any more.

        Raises:
            NotFound: there is no such entry.
            Conflict: it was removed.
        """
        row = await self.entry(bank_id, entry_id)
        if row.state is EntryState.REMOVED:
            raise Conflict("This entry was removed; add it again.")
        if row.state is EntryState.QUARANTINED:
            _review(row, EntryState.ACTIVE, by)
        return row

    async def remove(self, bank_id: UUID, entry_id: UUID, *, by: str) -> BankEntry:
        """Let an entry hit nothing any more; its row stays. Raises NotFound."""
        row = await self.entry(bank_id, entry_id)
        if row.state is not EntryState.REMOVED:
            _review(row, EntryState.REMOVED, by)
        return row

    async def entries(
        self, bank_id: UUID, *, state: EntryState | None, after: Position, limit: int
    ) -> Sequence[BankEntry]:
        """Newest first, at most `limit`, those after the given position."""
        query = select(BankEntry).where(col(BankEntry.bank_id) == bank_id)
        if state:
            query = query.where(col(BankEntry.state) == state)
        if after:
            query = query.where(tuple_(col(BankEntry.added_at), col(BankEntry.id)) < tuple_(*after))
        query = query.order_by(col(BankEntry.added_at).desc(), col(BankEntry.id).desc()).limit(limit)
        return (await self._session.scalars(query)).all()

    # Hits

    async def matches(
        self, bank_id: UUID, library_id: UUID, *, after: Position, limit: int
    ) -> Sequence[tuple[BankMatch, BankEntry]]:
        """What the bank hit in that library, newest first, at most `limit`, those after the given position."""
        query = (
            select(BankMatch, BankEntry)
            .join(BankEntry, col(BankEntry.id) == col(BankMatch.entry_id))
            .where(col(BankMatch.bank_id) == bank_id, col(BankMatch.library_id) == library_id)
        )
        if after:
            query = query.where(tuple_(col(BankMatch.at), col(BankMatch.id)) < tuple_(*after))
        query = query.order_by(col(BankMatch.at).desc(), col(BankMatch.id).desc()).limit(limit)
        return [(match, entry) for match, entry in (await self._session.execute(query)).all()]

    async def agreeing(self, library_id: UUID, *, sha256: str, phash: int | None) -> list[Found]:
        """Entries of the enabled banks that a file or its picture agrees with, the most severe first.

        At most `MOST_HITS`, and complete below that; pictures also turned or mirrored, within their bank's distance.
        """
        banks = {bank.id: bank for bank in await self.seen_from(library_id) if bank.enabled}
        if not banks:
            return []
        exact = select(BankEntry).where(
            col(BankEntry.kind) == EntryKind.SHA256,
            col(BankEntry.value) == sha256,
            col(BankEntry.bank_id).in_(banks),
            col(BankEntry.state) != EntryState.REMOVED,
        )
        found = [Found(row, banks[row.bank_id], 0) for row in (await self._session.scalars(exact)).all()]
        if phash is not None:
            found += await self._near(phash, banks)
        found.sort(key=lambda one: (-SEVERITY.index(one.bank.action), one.distance, one.entry.id))
        return found[:MOST_HITS]

    async def _near(self, phash: int, banks: dict[UUID, Bank]) -> list[Found]:
        near = _NEAR.bindparams(
            asked=[_signed(form) for form in dihedral(phash)],
            banks=list(banks),
            reaches=[bank.distance for bank in banks.values()],
            severities=[SEVERITY.index(bank.action) for bank in banks.values()],
            farthest=max(bank.distance for bank in banks.values()),
            limit=MOST_HITS,
        )
        found = (await self._session.execute(near.columns(id=Uuid(), distance=Integer()))).all()
        distances = {row.id: row.distance for row in found}
        if not distances:
            return []
        rows = (await self._session.scalars(select(BankEntry).where(col(BankEntry.id).in_(distances)))).all()
        return [Found(row, banks[row.bank_id], distances[row.id]) for row in rows]

    async def hit(self, media: Media, found: Sequence[Found]) -> list[Recorded]:
        """Record that an item agrees with these entries, once each; what was recorded before stands.

        An entry that hits too often within the window is held back from this hit on, until a person reviews it. The
        caller holds the item's lock.
        """
        ids = [one.entry.id for one in found]
        if not ids:
            return []
        # In one order, so that two items that hit the same entries wait for one another and not each for the other.
        locked = select(BankEntry).where(col(BankEntry.id).in_(ids)).order_by(col(BankEntry.id)).with_for_update()
        await self._session.execute(locked.execution_options(populate_existing=True))
        earlier = select(BankMatch).where(col(BankMatch.media_id) == media.id, col(BankMatch.entry_id).in_(ids))
        known = {match.entry_id: match for match in (await self._session.scalars(earlier)).all()}
        return [
            Recorded(known[one.entry.id], one.entry, one.bank) if one.entry.id in known else await self._new(media, one)
            for one in found
        ]

    async def _new(self, media: Media, found: Found) -> Recorded:
        entry, bank, at = found.entry, found.bank, now()
        since = max(at - FLOOD_WINDOW, entry.reviewed_at or at - FLOOD_WINDOW)
        newly = entry.state is EntryState.ACTIVE and flooded(
            await self._hits(entry.id, since, bank.flood_limit) + 1, bank.flood_limit
        )
        if newly:
            entry.state, entry.held_at, entry.floods = EntryState.QUARANTINED, at, entry.floods + 1
        held = entry.state is EntryState.QUARANTINED
        match = BankMatch(
            id=uuid4(),
            entry_id=entry.id,
            bank_id=bank.id,
            library_id=media.library_id,
            media_id=media.id,
            distance=found.distance,
            action=demanded(bank.action, held=held),
            held=held,
            at=at,
        )
        self._session.add(match)
        await self._session.flush()
        return Recorded(match, entry, bank, newly, new=True)

    async def _hits(self, entry_id: UUID, since: datetime, most: int) -> int:
        """Of an entry since then; no more than `most` are counted."""
        inner = select(col(BankMatch.id)).where(col(BankMatch.entry_id) == entry_id, col(BankMatch.at) > since)
        return await self._session.scalar(select(func.count()).select_from(inner.limit(most).subquery())) or 0


def _review(entry: BankEntry, state: EntryState, by: str) -> None:
    entry.state, entry.reviewed_by, entry.reviewed_at = state, by, now()


def _signed(fingerprint: int) -> int:
    return fingerprint - (1 << BITS) if fingerprint >> (BITS - 1) else fingerprint
