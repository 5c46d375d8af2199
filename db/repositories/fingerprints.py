"""Duplicates inside one library: the same file by its digest, the same picture by its fingerprint."""

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, TextClause, Uuid, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import PHASH_BANDS, Fingerprint, Media
from mediagate.media.fingerprints import BITS, FARTHEST, MASKS, Form, dihedral

# Whoever is near one of the forms and agrees with it in this band, apart from what the band's masks allow. OFFSET 0
# keeps the planner from a hash join with the whole library, which it takes for cheaper long after it is not.
_IN_BAND = """
    SELECT media_id, distance, form
    FROM unnest(CAST(:asked AS bigint[])) WITH ORDINALITY AS forms (asked, form)
    CROSS JOIN unnest(CAST('{{{masks}}}' AS bigint[])) AS mask
    CROSS JOIN LATERAL (
        SELECT media_id, bit_count(CAST(phash # asked AS bit(64))) AS distance FROM fingerprint
        WHERE library_id = :library_id AND {stored} = {wanted} # mask OFFSET 0
    ) AS agreeing
    WHERE distance <= :distance
"""
# An item is found by several bands, and by several forms if it is symmetric. Bounded here and not after the join with
# the items: nobody can estimate how many there are, and items are wide.
_NEAREST = """
    SELECT media_id, distance, form FROM (
        SELECT DISTINCT ON (media_id) media_id, distance, form FROM ({bands}) AS found
        WHERE media_id <> ALL (CAST(:besides AS uuid[])) ORDER BY media_id, distance, form
    ) AS each_once
    ORDER BY distance, media_id LIMIT :limit
"""


def _nearest() -> TextClause:
    bands = (
        _IN_BAND.format(masks=",".join(map(str, masks)), stored=band, wanted=band.replace("phash", "asked"))
        for band, masks in zip(PHASH_BANDS, MASKS, strict=True)
    )
    return text(_NEAREST.format(bands=" UNION ALL ".join(bands)))


_NEAR = _nearest()


class Near(NamedTuple):
    """A near duplicate: the item, how many bits differ, and what turns the asked picture into this one."""

    media: Media
    distance: int
    form: Form


class FingerprintRepository:
    """Exact and near duplicates."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put(self, media_id: UUID, library_id: UUID, phash: int | None) -> None:
        """Insert or replace the fingerprint of an item; None takes it away."""
        if phash is None:
            await self._session.execute(delete(Fingerprint).where(col(Fingerprint.media_id) == media_id))
            return
        row = insert(Fingerprint).values(media_id=media_id, library_id=library_id, phash=_signed(phash))
        changed = {"library_id": row.excluded.library_id, "phash": row.excluded.phash}
        await self._session.execute(row.on_conflict_do_update(index_elements=["media_id"], set_=changed))

    async def get(self, media_id: UUID) -> int | None:
        """The fingerprint of an item; None if it has none."""
        found = await self._session.scalar(select(col(Fingerprint.phash)).where(col(Fingerprint.media_id) == media_id))
        return None if found is None else found % (1 << BITS)

    async def exact(self, media: Media, *, limit: int) -> Sequence[Media]:
        """Other items of the library with the same bytes, newest first; a digest that was only announced is none."""
        if media.accepted_at is None:
            return []
        query = select(Media).where(
            col(Media.library_id) == media.library_id,
            col(Media.sha256) == media.sha256,
            col(Media.id) != media.id,
            col(Media.accepted_at).is_not(None),
        )
        query = query.order_by(col(Media.created_at).desc(), col(Media.id).desc()).limit(limit)
        return (await self._session.scalars(query)).all()

    async def near(
        self, library_id: UUID, phash: int, *, limit: int, distance: int = FARTHEST, besides: Collection[UUID] = ()
    ) -> list[Near]:
        """Items of the library, `besides` these, that look like this, also turned or mirrored; nearest first.

        At most `limit`, and complete below that.

        Raises:
            ValueError: `distance` is beyond what the bands find.
        """
        if not 0 <= distance <= FARTHEST:
            raise ValueError(f"Near duplicates are at most {FARTHEST} bits apart, not {distance}.")
        asked = [_signed(form) for form in dihedral(phash)]
        first = _NEAR.bindparams(
            library_id=library_id, asked=asked, distance=distance, besides=list(besides), limit=limit
        )
        found = first.columns(media_id=Uuid(), distance=Integer(), form=Integer()).subquery()
        query = select(Media, found.c.distance, found.c.form).join(found, found.c.media_id == col(Media.id))
        rows = (await self._session.execute(query.order_by(found.c.distance, found.c.media_id))).all()
        return [Near(media, bits, list(Form)[number - 1]) for media, bits, number in rows]


def _signed(fingerprint: int) -> int:
    return fingerprint - (1 << BITS) if fingerprint >> (BITS - 1) else fingerprint
