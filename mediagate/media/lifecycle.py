"""Which status may follow which: the only table of it.

awaiting_upload ─▶ accepted ─▶ processing ─▶ awaiting_moderation ─▶ (in_review) ─▶ approved | rejected | quarantined
"""

from collections.abc import Mapping

from mediagate.errors import IllegalTransition
from mediagate.media.values import Status, Verdict

S = Status

WORK = frozenset({S.ACCEPTED, S.PROCESSING, S.AWAITING_MODERATION, S.IN_REVIEW})
"""An upload whose run is, or will be, at work on it."""

# A refused file goes to `rejected` (or, poisoned, to `quarantined`) from any working status, a broken invariant to
# `failed`, and a repair by the CLI resumes a failed item anywhere in the work.
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    S.AWAITING_UPLOAD: frozenset({S.ACCEPTED, S.EXPIRED}),
    S.ACCEPTED: frozenset({S.PROCESSING, S.REJECTED, S.QUARANTINED, S.FAILED}),
    S.PROCESSING: frozenset({S.AWAITING_MODERATION, S.IN_REVIEW, S.REJECTED, S.QUARANTINED, S.FAILED}),
    S.AWAITING_MODERATION: frozenset({S.IN_REVIEW, S.APPROVED, S.REJECTED, S.QUARANTINED, S.FAILED}),
    S.IN_REVIEW: frozenset({S.APPROVED, S.REJECTED, S.QUARANTINED, S.FAILED}),
    S.APPROVED: frozenset({S.IN_REVIEW, S.REJECTED, S.QUARANTINED, S.TRASHED, S.ERASED}),
    S.REJECTED: frozenset({S.IN_REVIEW, S.APPROVED, S.QUARANTINED, S.TRASHED, S.ERASED}),
    S.QUARANTINED: frozenset({S.IN_REVIEW, S.APPROVED, S.REJECTED, S.TRASHED, S.ERASED}),
    S.FAILED: frozenset(WORK | {S.APPROVED, S.REJECTED, S.QUARANTINED, S.TRASHED, S.ERASED}),
    S.EXPIRED: frozenset({S.ERASED}),
    S.TRASHED: frozenset({S.APPROVED, S.REJECTED, S.QUARANTINED, S.FAILED, S.ERASED}),
    S.ERASED: frozenset(),
}

DECIDED = frozenset({S.APPROVED, S.REJECTED, S.QUARANTINED})
"""Ends of an upload: a vendor's word that comes later is recorded as late."""

TRASHABLE = frozenset(DECIDED | {S.FAILED})
"""What may be thrown away: nothing is at work on it, and it has a master."""

GONE = frozenset({S.TRASHED, S.ERASED})
"""Thrown away: whatever is decided about such an item, it stays where it is until somebody restores it."""

UNDER_MODERATION = frozenset({S.AWAITING_MODERATION, S.IN_REVIEW})
"""The only statuses in which the vendor's signed URL of the moderation copy can be read."""

_STATUS_OF = {Verdict.APPROVE: S.APPROVED, Verdict.REJECT: S.REJECTED, Verdict.QUARANTINE: S.QUARANTINED}


def status_for(verdict: Verdict) -> Status:
    """The status that a verdict leads to.

    Raises:
        IllegalTransition: for `review`, which is no end.
    """
    if verdict not in _STATUS_OF:
        raise IllegalTransition(f"The verdict {verdict.value!r} does not end an upload.")
    return _STATUS_OF[verdict]


def check(current: Status, wanted: Status) -> None:
    """Let the transition pass or raise `IllegalTransition`; staying is always legal, a step may run twice."""
    if wanted != current and wanted not in TRANSITIONS[current]:
        raise IllegalTransition(f"Media in status {current.value!r} may not become {wanted.value!r}.")
