"""The audit trail."""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.repositories.chains import ChainRepository
from db.tables import AuditRecord


class Actor(NamedTuple):
    """Who acts. `via`: `api:<id of the key>`, `cli:<log-in name>` or `schedule:<name>`."""

    name: str
    via: str

    def __str__(self) -> str:
        return f"{self.name} ({self.via})"


class Act(NamedTuple):
    """What is done to what; see `AuditRecord`."""

    action: str
    subject: str
    library: str = ""
    data: Mapping[str, Any] = MappingProxyType({})


class AuditRepository:
    """The audit trail: records are added and read, never changed."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def note(
        self,
        action: str,
        subject: str,
        actor: Actor,
        *,
        library: str = "",
        reason: str = "",
        tracking_id: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> AuditRecord:
        """Put an act at the end of the chain, which stays locked until the commit: note it last in a transaction.

        `action`, `subject`: see `AuditRecord`; `data`: what JSON can hold, no secrets and nothing that people wrote.
        """
        act = Act(action, subject, library, data or {})
        (record,) = await self.note_all([act], actor, reason=reason, tracking_id=tracking_id)
        return record

    async def note_all(
        self, acts: Sequence[Act], actor: Actor, *, reason: str = "", tracking_id: str = ""
    ) -> Sequence[AuditRecord]:
        """As `note`, with several acts of one actor for one reason, in this order."""
        records = [
            AuditRecord(
                action=act.action,
                subject=act.subject,
                library=act.library,
                actor=actor.name,
                via=actor.via,
                reason=reason,
                tracking_id=tracking_id,
                data=json.dumps(act.data, ensure_ascii=False, sort_keys=True, default=str),
            )
            for act in acts
        ]
        await ChainRepository(self._session).append_all(records)
        return records

    async def page(
        self,
        *,
        library: str | None = None,
        subject: str | None = None,
        action: str | None = None,
        before: int | None = None,
        limit: int,
    ) -> Sequence[AuditRecord]:
        """Acts, newest first. `before`: only those with a lower `seq`. One filter has an index, mixes have none."""
        query = select(AuditRecord)
        for column, wanted in (
            (AuditRecord.library, library),
            (AuditRecord.subject, subject),
            (AuditRecord.action, action),
        ):
            if wanted is not None:
                query = query.where(col(column) == wanted)
        if before is not None:
            query = query.where(col(AuditRecord.seq) < before)
        return (await self._session.scalars(query.order_by(col(AuditRecord.seq).desc()).limit(limit))).all()
