"""What the rules for texts say of an item, in the shape of every other detector's word."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime

from mediagate.media.values import Verdict
from mediagate.moderation.findings import TEXT_DETECTOR, VendorEvent, VendorVerdict
from mediagate.text.findings import TextFinding, TextFindings
from mediagate.text.looking import version
from mediagate.text.policy import TextPolicy

UNSURE_AT = 0.5
"""Score from which on a finding that demands nothing is a reason to doubt."""
_SEVERITY = [None, Verdict.REVIEW, Verdict.REJECT, Verdict.QUARANTINE]
_MOST_LABELS = 50
_LONGEST_DETAIL = 300


def event(
    media_id: str,
    texts: Mapping[str, str],
    found: Mapping[str, TextFindings],
    policy: TextPolicy,
    *,
    at: datetime,
) -> VendorEvent | None:
    """The word on all texts of an item; None where nothing was found: that is silence, and no approval.

    The id is the same for the same item, texts and policy. `texts` and `found`: by the name of the field. Nothing that
    was found is quoted, only named.
    """
    findings = [(name, finding) for name, one in found.items() for finding in one.findings]
    if not findings:
        return None
    action = max((finding.action for _, finding in findings), key=_SEVERITY.index)
    # What demands most is named first: reasons quote the first label.
    ranked = sorted((-_SEVERITY.index(finding.action), finding.label) for _, finding in findings)
    labels = tuple(dict.fromkeys(label for _, label in ranked))[:_MOST_LABELS]
    written = json.dumps([media_id, sorted(texts.items()), version(policy)])
    scores = _scores(finding for _, finding in findings)
    return VendorEvent(
        event_id=f"{TEXT_DETECTOR}-{hashlib.sha256(written.encode()).hexdigest()[:32]}",
        vendor=TEXT_DETECTOR,
        media_id=media_id,
        occurred_at=at,
        verdict=_verdict(action, scores),
        scores=scores,
        labels=labels,
        action=action,
        model_version=version(policy)[:16],
        raw={"detail": "; ".join(_details(found))[:_LONGEST_DETAIL]},
    )


def _verdict(action: Verdict | None, scores: Mapping[str, float]) -> VendorVerdict:
    if action is Verdict.REVIEW:
        return VendorVerdict.REVIEW
    if action is not None:
        return VendorVerdict.REJECT
    return VendorVerdict.REVIEW if max(scores.values()) >= UNSURE_AT else VendorVerdict.APPROVE


def _scores(findings: Iterable[TextFinding]) -> dict[str, float]:
    best: dict[str, float] = {}
    for finding in findings:
        best[finding.category] = max(best.get(finding.category, 0.0), finding.score)
    return best


def _details(found: Mapping[str, TextFindings]) -> list[str]:
    """`caption: slurs, pii:mail`: field and rules."""
    named = {name: sorted({finding.label for finding in one.findings}) for name, one in found.items()}
    return [
        f"{name}: {', '.join(label.removeprefix('text:') for label in labels[:10])}"
        for name, labels in named.items()
        if labels
    ]
