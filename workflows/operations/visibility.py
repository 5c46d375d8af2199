"""Questions to Temporal's visibility store, with every value quoted."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from workflows import names

UPLOADS = "UploadWorkflow"


class RunStatus(StrEnum):
    """How a run stands with the workflow service; not to be confused with the status of a media item."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    CONTINUED_AS_NEW = "continued_as_new"
    TIMED_OUT = "timed_out"

    @property
    def stored(self) -> str:
        """The service's own spelling, as visibility queries want it."""
        return "Canceled" if self is RunStatus.CANCELLED else self.value.title().replace("_", "")


ENDED_BADLY = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.TERMINATED, RunStatus.CANCELLED)
BROKE = (RunStatus.FAILED, RunStatus.TIMED_OUT)
"""Ended by trouble; the others of `ENDED_BADLY` were ended by somebody on purpose."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that all have to hold; None does not matter."""

    statuses: Iterable[RunStatus] = ()
    workflow_type: str | None = UPLOADS
    library: str | None = None
    stage: str | None = None
    verdict: str | None = None
    failure_kind: str | None = None
    started_after: datetime | None = None
    closed_after: datetime | None = None
    raw: str | None = None
    """A condition in the query language itself, not quoted."""

    @classmethod
    def ended(
        cls,
        among: Iterable[RunStatus],
        kind: str | None,
        library: str | None,
        closed_after: datetime | None,
        workflow_type: str | None = UPLOADS,
        raw: str | None = None,
    ) -> "Filter":
        """Runs that ended in one of these ways. `kind`: a `FailureKind`, or itself such a way to end."""
        ways = tuple(among)
        found = cls(ways, workflow_type, library, closed_after=closed_after, raw=raw)
        if kind is not None and kind in ways:
            return replace(found, statuses=(RunStatus(kind),))
        return replace(found, failure_kind=kind)

    def query(self) -> str:
        """The query (https://docs.temporal.io/list-filter); empty for every run there is."""
        wanted = {
            "WorkflowType": self.workflow_type,
            names.LIBRARY.name: self.library,
            names.MEDIA_STAGE.name: self.stage,
            names.VERDICT.name: self.verdict,
            names.FAILURE_KIND.name: self.failure_kind,
        }
        terms = [f"{name} = {quoted(value)}" for name, value in wanted.items() if value is not None]
        if statuses := [quoted(status.stored) for status in self.statuses]:
            terms.append(f"ExecutionStatus IN ({', '.join(statuses)})")
        since = {"StartTime": self.started_after, "CloseTime": self.closed_after}
        terms += [f"{name} >= {quoted(time.isoformat())}" for name, time in since.items() if time]
        if self.raw:
            terms.append(f"({self.raw})")
        return " AND ".join(terms)


def quoted(value: str) -> str:
    """A string literal of the query language, whatever is in the value."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
