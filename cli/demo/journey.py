"""The way of each file from the first byte to its end, as seen from outside."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cli.demo.files import REFUSED, DemoFile
from cli.demo.public_api import Document
from mediagate.media.lifecycle import DECIDED
from mediagate.media.values import Status

WAITING, SENT, TROUBLE = "waiting", "sent", "error"
ENDS = frozenset({status.value for status in DECIDED} | {Status.FAILED.value, Status.EXPIRED.value, REFUSED, TROUBLE})

STEPS = (
    SENT,
    Status.ACCEPTED.value,
    Status.PROCESSING.value,
    Status.AWAITING_MODERATION.value,
    Status.IN_REVIEW.value,
)
"""Stages before the end, in their order."""


@dataclass(eq=False, slots=True)
class Journey:
    """One file on its way. `stage` is a status of the gate, or `waiting`, `sent`, `refused`, `error`."""

    file: DemoFile
    stage: str = WAITING
    media_id: str = ""
    document: Document = field(default_factory=dict)
    """what `GET /media/{id}` said at the end; empty if the file never became an item"""
    code: str = ""
    detail: str = ""
    """of a refusal by the API, or of trouble on the way"""
    stages: list[tuple[str, float]] = field(default_factory=list)
    """stage and moment (monotonic seconds) of each change"""
    tell: Callable[["Journey"], None] = lambda _: None
    """called at each new stage"""

    def move(self, stage: str) -> None:
        """Note a stage; the same one again is no news."""
        if stage != self.stage:
            self.stage = stage
            self.stages.append((stage, time.monotonic()))
            self.tell(self)

    def end(self, outcome: str, code: str, detail: str) -> None:
        """End without an item: refused by the API, or trouble on the way."""
        self.code, self.detail = code, detail
        self.move(outcome)

    @property
    def outcome(self) -> str:
        """Where it stands: an end, or the stage in which it is stuck."""
        return self.stage

    @property
    def ended(self) -> bool:
        """True at an end; a review that nobody is asked to decide here counts as one."""
        return self.stage in ENDS or (self.stage == Status.IN_REVIEW and not self.file.expected.by_person)

    @property
    def reason(self) -> str:
        """The public reason, or the error code of a refusal."""
        return self.code or str(self.document.get("reason", ""))

    @property
    def explanation(self) -> str:
        """Why it was not approved, as a sentence for people; empty if it was."""
        reasons = (self.document.get("decision") or {}).get("reasons") or [{}]
        from_gate = "" if self.stage == Status.APPROVED else str(reasons[0].get("detail", ""))
        return self.detail or from_gate or str(self.document.get("detail", ""))

    @property
    def decided_by(self) -> str:
        """`policy`, `gate`, `person:<name>`, …; empty without a decision."""
        return str((self.document.get("decision") or {}).get("decided_by", ""))

    @property
    def mismatch(self) -> str:
        """What is not as expected; empty if all is."""
        if self.stage == TROUBLE:
            return f"expected {self.file.expected}, got an error: {self.detail}"
        if not self.ended:
            return f"expected {self.file.expected}, stuck at {self.stage.replace('_', ' ')} for {self.standing:.0f} s"
        if self.stage == Status.IN_REVIEW:
            return "waits for a person's decision"
        return self.file.expected.mismatch(self.outcome, self.reason, self.decided_by)

    @property
    def seconds(self) -> float:
        """From the first byte sent to the end, or until now."""
        if not self.stages:
            return 0.0
        return (self.stages[-1][1] if self.ended else time.monotonic()) - self.stages[0][1]

    @property
    def standing(self) -> float:
        """Seconds since the last change."""
        return time.monotonic() - self.stages[-1][1] if self.stages else 0.0

    @property
    def workflow_id(self) -> str:
        """Empty if the file never became an item."""
        return str(self.document.get("workflow", {}).get("id", ""))

    @property
    def workflow_url(self) -> str:
        """Link to the run in the Web UI; empty without one."""
        return str(self.document.get("workflow", {}).get("url") or "")

    @property
    def variants(self) -> list[Document]:
        """The pictures made of it."""
        return list(self.document.get("variants", []))
