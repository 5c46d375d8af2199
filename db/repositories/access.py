"""Libraries, API keys, idempotent requests."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, bindparam, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.tables import ApiKey, DailyUse, IdempotentRequest, Library, now

ABANDONED = timedelta(seconds=15)
"""A request that gave no sign of life for this long lost its process; the same key may be used again."""


_REQUEST_KEY = ["api_key_id", "key", "route"]

# What every request asks is built once: building it takes longer than Postgres takes to answer.
_VALID_KEY = select(ApiKey).where(
    col(ApiKey.prefix) == bindparam("of_prefix"),
    col(ApiKey.revoked_at).is_(None),
    or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > bindparam("at")),
)
_OF_SLUG = select(Library).where(col(Library.slug) == bindparam("of_slug"))
_RESERVED = insert(IdempotentRequest.__table__)  # type: ignore[attr-defined]
_RESERVE = _RESERVED.on_conflict_do_update(
    index_elements=_REQUEST_KEY,
    set_={name: _RESERVED.excluded[name] for name in ("fingerprint", "created_at")},
    where=and_(col(IdempotentRequest.status).is_(None), col(IdempotentRequest.created_at) < bindparam("abandoned")),
).returning(col(IdempotentRequest.key))


class AccessRepository:
    """Libraries, API keys, idempotent requests."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def library(self, slug: str, *, lock: bool = False) -> Library | None:
        """The library of that slug; `lock`: nobody else changes it before the commit, but items may be added to it."""
        query = _OF_SLUG.with_for_update(key_share=True) if lock else _OF_SLUG
        return (await self._session.scalars(query, {"of_slug": slug})).one_or_none()

    async def ensure_library(self, slug: str, *, name: str, settings: dict[str, Any]) -> Library:
        """The library of that slug, made if it does not exist."""
        fresh = Library(slug=slug, name=name, settings=settings)
        await self._session.execute(
            insert(Library).values(fresh.model_dump()).on_conflict_do_nothing(index_elements=["slug"])
        )
        return (await self._session.scalars(select(Library).where(col(Library.slug) == slug))).one()

    def add_key(self, key: ApiKey) -> None:
        """Insert a key with the commit."""
        self._session.add(key)

    async def valid_key(self, prefix: str) -> ApiKey | None:
        """The key of that prefix, unless it is revoked or expired."""
        return (await self._session.scalars(_VALID_KEY, {"of_prefix": prefix, "at": now()})).one_or_none()

    async def spend(self, library_id: UUID, day: date, *, size: int, files: int | None, bytes_: int | None) -> bool:
        """Count an upload of `size` bytes for the day; False, and not counted, if one of the day's quotas is over.

        One statement, so that uploads that come at the same time cannot use the same rest.
        """
        spent = insert(DailyUse).values(library_id=library_id, day=day, files=1, bytes=size)
        total = {"files": col(DailyUse.files) + 1, "bytes": col(DailyUse.bytes) + size}
        within = [total[name] <= most for name, most in (("files", files), ("bytes", bytes_)) if most is not None]
        if (files is not None and files < 1) or (bytes_ is not None and size > bytes_):
            return False
        spent = spent.on_conflict_do_update(index_elements=["library_id", "day"], set_=total, where=and_(*within))
        return (await self._session.execute(spent.returning(col(DailyUse.files)))).scalar() is not None

    async def begin_request(self, request: IdempotentRequest) -> IdempotentRequest | None:
        """Reserve an idempotency key: None if it is ours now, else the request that has it.

        One that was abandoned is taken over, by one of those who come for it.
        """
        reserve = request.model_dump() | {"abandoned": now() - ABANDONED}
        if (await self._session.execute(_RESERVE, reserve)).scalar() is not None:
            return None
        return (await self._session.scalars(select(IdempotentRequest).where(*self._same(request)))).one()

    async def renew_request(self, request: IdempotentRequest) -> None:
        """A sign of life: the request is still being worked on."""
        still = (*self._same(request), col(IdempotentRequest.status).is_(None))
        await self._session.execute(update(IdempotentRequest).where(*still).values(created_at=now()))

    async def end_request(self, request: IdempotentRequest, status: int, answer: dict[str, Any]) -> None:
        """Keep the answer for the next time."""
        await self._session.execute(
            update(IdempotentRequest).where(*self._same(request)).values(status=status, answer=answer)
        )

    async def drop_request(self, request: IdempotentRequest) -> None:
        """Give the key back: the request had no effect."""
        await self._session.execute(delete(IdempotentRequest).where(*self._same(request)))

    async def forget_requests(self, before: datetime) -> None:
        """Delete answers older than the given time."""
        await self._session.execute(delete(IdempotentRequest).where(col(IdempotentRequest.created_at) < before))

    @staticmethod
    def _same(request: IdempotentRequest) -> tuple[Any, ...]:
        return (
            col(IdempotentRequest.api_key_id) == request.api_key_id,
            col(IdempotentRequest.key) == request.key,
            col(IdempotentRequest.route) == request.route,
        )
