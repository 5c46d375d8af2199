"""What a restored database owes: the runs that were at work on it are gone."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from mediagate.media.lifecycle import DECIDED, WORK
from mediagate.media.values import Status

_OPEN = sorted(status.value for status in WORK | {Status.FAILED})
_DECIDED = sorted(status.value for status in DECIDED)

_OPEN_ROUNDS = """
  SELECT m.id, l.slug, m.tracking_id, d.round
    FROM decision d JOIN media m ON m.id = d.media_id JOIN library l ON l.id = m.library_id
   WHERE d.round > 0
     AND NOT EXISTS (SELECT 1 FROM decision n WHERE n.media_id = d.media_id
                        AND (n.round > d.round OR n.round = d.round AND n.final AND NOT d.final))
     AND (m.status = ANY(:open) OR m.status = ANY(:decided)
          AND NOT EXISTS (SELECT 1 FROM media_event e WHERE e.media_id = m.id AND e.key LIKE 'filed:%:' || d.round))
   ORDER BY d.created_at
"""


class OpenRound(NamedTuple):
    """A later round that nobody brings to its end any more."""

    media_id: UUID
    library: str
    tracking_id: str
    round: int


class RecoveryRepository:
    """What a restored database owes. For use while neither API nor workers are at work."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def take_time(self) -> None:
        """Let the statements of this transaction look through whole tables."""
        await self._session.execute(text("SET LOCAL statement_timeout = 0"))

    async def reowe_starts(self, run_id: str) -> int:
        """Have every upload that is not decided owe a start again; how many those are. Idempotent.

        `run_id`: in place of that of the run that is lost.
        """
        updated = await self._session.execute(
            text(
                "UPDATE media SET started_at = NULL, run_id = :lost"
                " WHERE library_id IN (SELECT id FROM library) AND status = ANY(:open) AND accepted_at IS NOT NULL"
                " AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.media_id = media.id AND d.round > 0)"
                " RETURNING id"
            ),
            {"open": _OPEN, "lost": run_id},
        )
        return len(updated.all())

    async def open_rounds(self) -> list[OpenRound]:
        """Later rounds whose review is open, or that are decided and whose files were not filed yet."""
        rows = await self._session.execute(
            text(_OPEN_ROUNDS),
            {"open": _OPEN, "decided": _DECIDED},
        )
        return [OpenRound(*row) for row in rows.all()]

    async def reowe_imports(self) -> int:
        """Have every import that has not ended owe a start again; how many those are. Idempotent."""
        updated = await self._session.execute(
            text("UPDATE import SET started_at = NULL WHERE ended_at IS NULL RETURNING id")
        )
        return len(updated.all())

    async def end_policy_runs(self, detail: str) -> int:
        """Cancel runs of policies that were under way; how many those are. Others may then be started."""
        updated = await self._session.execute(
            text(
                "UPDATE policy_run SET state = 'cancelled', detail = :detail, ended_at = now()"
                " WHERE ended_at IS NULL RETURNING id"
            ),
            {"detail": detail},
        )
        return len(updated.all())
