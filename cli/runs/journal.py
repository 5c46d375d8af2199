"""Acts on runs go on record before they are done: without the database nothing is done."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from cli.actor import acting
from db.repositories.audit import Act, Actor
from db.session import Database
from mediagate.errors import DatabaseUnavailable
from mediagate.settings import Settings
from workflows.operations.runs import Run


class Journal:
    """The audit trail, for one actor and one reason."""

    def __init__(self, db: Database, actor: Actor, reason: str) -> None:
        self._db = db
        self._actor = actor
        self._reason = reason

    async def note(self, acts: Sequence[Act]) -> None:
        """Put acts on record, all of them or none.

        Raises:
            DatabaseUnavailable: it could not be done; then the acts may not be done either.
        """
        try:
            async with self._db.transaction() as tx:
                await tx.audit.note_all(acts, self._actor, reason=self._reason)
        except DatabaseUnavailable as error:
            message = "The database does not answer, so nothing was done: acts on runs go on record first."
            raise DatabaseUnavailable(message) from error


@asynccontextmanager
async def journal(by: str | None, reason: str) -> AsyncIterator[Journal]:
    """The audit trail of the deployment, after `cli.runs.access.operations` has found it. `by`: who acts."""
    db = Database(Settings().database_url.get_secret_value(), pool_size=1)
    try:
        yield Journal(db, acting(by), reason)
    finally:
        await db.close()


def on_run(action: str, run: Run, **data: object) -> Act:
    """An act on a run."""
    return Act(action, f"run:{run.workflow_id}", run.library, {"run_id": run.run_id, **data})
