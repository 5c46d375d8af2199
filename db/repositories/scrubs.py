"""Scrubs and what they found."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import FindingKind, FindingState, Library, Media, Scrub, ScrubFinding, ScrubState, now

_OPEN = col(ScrubFinding.state) == FindingState.OPEN


class ScrubRepository:
    """Scrubs and what they found."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def begin(self, scrub: Scrub) -> None:
        """Insert a scrub, once for each id."""
        await self._session.execute(insert(Scrub).values(scrub.model_dump()).on_conflict_do_nothing())

    async def get(self, scrub_id: UUID) -> Scrub | None:
        """One scrub."""
        return await self._session.get(Scrub, scrub_id)

    async def count(self, scrub_id: UUID, numbers: Mapping[str, int]) -> None:
        """Its numbers so far."""
        await self._session.execute(update(Scrub).where(col(Scrub.id) == scrub_id).values(**numbers))

    async def end(self, scrub_id: UUID, state: ScrubState) -> None:
        """It ended so."""
        ended = {"state": state, "ended_at": now()}
        await self._session.execute(update(Scrub).where(col(Scrub.id) == scrub_id).values(**ended))

    async def page(self, *, after: tuple[datetime, UUID] | None, limit: int) -> Sequence[Scrub]:
        """Newest first, those after the given position."""
        query = select(Scrub)
        if after:
            query = query.where(tuple_(col(Scrub.started_at), col(Scrub.id)) < tuple_(*after))
        return (
            await self._session.scalars(query.order_by(col(Scrub.started_at).desc(), col(Scrub.id).desc()).limit(limit))
        ).all()

    # What it looks at

    async def next_library(self, slug: str, *, inclusive: bool) -> Library | None:
        """The library of that slug, or the one after it."""
        behind = col(Library.slug) >= slug if inclusive else col(Library.slug) > slug
        return (await self._session.scalars(select(Library).where(behind).order_by(col(Library.slug)).limit(1))).first()

    async def items(self, media_ids: Sequence[UUID]) -> dict[UUID, Media]:
        """Those of these items that exist, as they stand now."""
        query = select(Media).where(col(Media.id).in_(media_ids)).execution_options(populate_existing=True)
        return {row.id: row for row in (await self._session.scalars(query)).all()}

    async def known(self, slugs: Sequence[str]) -> set[str]:
        """Which of these are libraries."""
        return set((await self._session.scalars(select(col(Library.slug)).where(col(Library.slug).in_(slugs)))).all())

    # Findings

    async def find(self, scrub_id: UUID, key: str, facts: Mapping[str, Any]) -> None:
        """Put a disagreement on record, or go on with one that is open. `facts`: columns of `ScrubFinding`."""
        values = ScrubFinding(scrub_id=scrub_id, last_scrub_id=scrub_id, key=key, **facts).model_dump()
        put = insert(ScrubFinding).values(values)
        again = {name: put.excluded[name] for name in ("last_scrub_id", *facts)}
        await self._session.execute(
            put.on_conflict_do_update(index_elements=["key"], index_where=text("state = 'open'"), set_=again)
        )

    async def close(self, keys: Sequence[str], state: FindingState, detail: str = "") -> int:
        """End what is open about these objects; how many those were."""
        change = update(ScrubFinding).where(col(ScrubFinding.key).in_(keys), _OPEN)
        ended = {"state": state, "ended_at": now()} | ({"detail": detail} if detail else {})
        return len((await self._session.execute(change.values(**ended).returning(col(ScrubFinding.id)))).all())

    async def explain(self, key: str, detail: str) -> None:
        """Why what is open about an object stays so."""
        change = update(ScrubFinding).where(col(ScrubFinding.key) == key, _OPEN)
        await self._session.execute(change.values(detail=detail))

    async def settle_others(self, scrub_id: UUID, library: str | None) -> int:
        """End what is open and was not found by this scrub any more, of a library or of all."""
        change = update(ScrubFinding).where(col(ScrubFinding.last_scrub_id) != scrub_id, _OPEN)
        if library is not None:
            change = change.where(col(ScrubFinding.library) == library)
        ended = {"state": FindingState.SETTLED, "ended_at": now()}
        return len((await self._session.execute(change.values(**ended).returning(col(ScrubFinding.id)))).all())

    async def unalerted(self, scrub_id: UUID) -> Mapping[str, Mapping[FindingKind, int]]:
        """Lost and altered objects that this scrub found, that are open and that nobody was told of, by library."""
        query = (
            select(col(ScrubFinding.library), col(ScrubFinding.kind), func.count())
            .where(*_untold(scrub_id))
            .group_by(col(ScrubFinding.library), col(ScrubFinding.kind))
        )
        found: dict[str, dict[FindingKind, int]] = {}
        for library, kind, count in (await self._session.execute(query)).all():
            found.setdefault(library, {})[kind] = count
        return found

    async def alerted(self, scrub_id: UUID) -> None:
        """Somebody was told of these."""
        await self._session.execute(update(ScrubFinding).where(*_untold(scrub_id)).values(alerted_at=now()))

    async def findings(
        self,
        *,
        state: FindingState | None = None,
        kind: FindingKind | None = None,
        scrub_id: UUID | None = None,
        after: tuple[datetime, UUID] | None = None,
        limit: int,
    ) -> Sequence[ScrubFinding]:
        """Newest first, those after the given position. `scrub_id`: that saw it last."""
        query = select(ScrubFinding)
        for column, wanted in (
            (ScrubFinding.state, state),
            (ScrubFinding.kind, kind),
            (ScrubFinding.last_scrub_id, scrub_id),
        ):
            if wanted is not None:
                query = query.where(col(column) == wanted)
        if after:
            query = query.where(tuple_(col(ScrubFinding.found_at), col(ScrubFinding.id)) < tuple_(*after))
        query = query.order_by(col(ScrubFinding.found_at).desc(), col(ScrubFinding.id).desc()).limit(limit)
        return (await self._session.scalars(query)).all()


def _untold(scrub_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (
        col(ScrubFinding.last_scrub_id) == scrub_id,
        _OPEN,
        col(ScrubFinding.kind) != FindingKind.UNTRACKED,
        col(ScrubFinding.alerted_at).is_(None),
    )
