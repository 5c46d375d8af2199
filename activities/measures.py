"""What is counted of decisions, uploads and disks, each once for each time that it happened.

Counted after the commit, so that nothing is counted that did not happen; a worker that is killed between the two counts
one too few, which no alert minds.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from mediagate import metrics
from mediagate.media.values import Verdict
from mediagate.moderation.categories import Category
from mediagate.moderation.findings import Finding
from mediagate.moderation.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from db.tables import Media, MediaDecision
    from workflows.messages import SweepResult

_CATEGORIES = frozenset(category.value for category in Category)
_SEVERE = frozenset(category.value for category in Category if category.severe)
_OWN_POLICY = "own"
_BUILT_IN = Policy().version


def count_decision(row: MediaDecision, *, opened: MediaDecision | None = None) -> None:
    """A decision was taken. `opened`: the one that opened the review that this one ends, if there was a review."""
    decider = row.decided_by.partition(":")[0]
    metrics.DECISIONS.add(
        verdict=row.verdict,
        decided_by=decider if decider in metrics.DECIDERS else metrics.OTHER,
        policy="built_in" if row.policy_version == _BUILT_IN else _OWN_POLICY,
        round="later" if row.round else "first",
    )
    if opened:  # its findings were counted when it was opened
        metrics.REVIEW_SECONDS.observe((row.created_at - opened.created_at).total_seconds())
        if decider == "person":
            metrics.HUMAN_DECISIONS.add(verdict=row.verdict)
        return
    findings = [Finding.model_validate(finding) for finding in row.findings]
    if decider == "policy" and row.verdict == Verdict.QUARANTINE:
        metrics.HIGH_RISK.add(category=_worst(findings))
    if row.round == 0:
        for finding in findings:
            if finding.settled and finding.probability is not None:
                category = finding.category if finding.category in _CATEGORIES else metrics.OTHER
                metrics.MODERATION_CONFIDENCE.observe(finding.probability, vendor=finding.vendor, category=category)


def _worst(findings: Iterable[Finding]) -> str:
    severe = [finding for finding in findings if finding.category in _SEVERE]
    return max(severe, key=lambda finding: finding.fused or 0.0).category if severe else metrics.OTHER


def count_filed(media: Media) -> None:
    """An item was filed for the first time."""
    metrics.UPLOADS.add(outcome=media.status.value)
    if media.accepted_at and media.filed_at:
        seconds = (media.filed_at - media.accepted_at).total_seconds()
        metrics.UPLOAD_SECONDS.observe(seconds, outcome=media.status.value)


def count_sweep(result: SweepResult) -> None:
    """A sweep ended."""
    for what, number in result.model_dump().items():
        metrics.SWEPT.add(number, what=what)
    metrics.SWEEP_COMPLETED.set(time.time())


def show_disk(folder: Path) -> None:
    """How much room is left where downloaded files are kept."""
    if folder.exists():
        usage = shutil.disk_usage(folder)
        metrics.DISK_FREE.set(usage.free)
        metrics.DISK_SIZE.set(usage.total)
