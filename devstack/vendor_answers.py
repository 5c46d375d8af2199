"""What the simulated vendor says of a picture, and how it misbehaves when it is told to. Pure.

A caption with `sim:<behaviour>` chooses: so a demonstration or a test makes every outcome, and every kind of trouble
with webhooks, happen on purpose.
"""

import io
import json
import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from PIL import Image, ImageStat, UnidentifiedImageError

Result = dict[str, Any]
"""A generic vendor result, as JSON."""

_MARKER = re.compile(r"\bsim:([a-z]+)")


class Behaviour(StrEnum):
    """What to say, or how to say it; those from `early` on approve, if they say anything."""

    APPROVE = "approve"
    REJECT = "reject"
    QUARANTINE = "quarantine"
    """The scores of a severe class."""
    REVIEW = "review"
    EARLY = "early"
    """The webhook comes before the submission is answered."""
    DUPLICATE = "duplicate"
    """The same delivery twice, and the same event once more under a fresh webhook-id."""
    REORDERED = "reordered"
    """The final event first, then one that is older and not final."""
    LATE = "late"
    """The webhook comes only after a poll was answered with pending."""
    LOST = "lost"
    """No webhook; a poll has the result."""
    SILENT = "silent"
    """No webhook, and polls stay pending."""


class Webhook(NamedTuple):
    """One delivery; the signature is made when it is sent."""

    webhook_id: str
    body: str


class Plan(NamedTuple):
    """What polls are told (nothing: pending for ever), what is sent, and whether that waits for a poll."""

    results: list[Result]
    webhooks: list[Webhook]
    held: bool = False


def behaviour_of(caption: str) -> Behaviour:
    """The behaviour that a caption asks for; without a known marker, `approve`."""
    for word in _MARKER.findall(caption):
        if word in [*Behaviour]:
            return Behaviour(word)
    return Behaviour.APPROVE


def brightness(jpeg: bytes) -> float | None:
    """Mean luminance 0..1 of a JPEG that decodes completely; None for anything else."""
    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as picture:
            picture.draft("L", (1, 1))  # an eighth of each edge is enough, and takes a fraction of the time
            return float(ImageStat.Stat(picture.convert("L")).mean[0]) / 255
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def plan(media_id: str, vendor: str, caption: str, light: float | None, *, now: datetime) -> Plan:
    """What happens with a submission. `light` is the picture's `brightness`; an unreadable one goes to review."""
    behaviour = behaviour_of(caption)
    final = _result(media_id, vendor, behaviour, light, now)
    webhook = Webhook(f"msg_{media_id}_1", json.dumps(final))
    match behaviour:
        case Behaviour.DUPLICATE:
            return Plan([final], [webhook, webhook, webhook._replace(webhook_id=f"msg_{media_id}_2")])
        case Behaviour.REORDERED:
            before = {"event_id": f"evt_{media_id}_0", "occurred_at": (now - timedelta(minutes=1)).isoformat()}
            older = final | before | {"verdict": "pending", "final": False, "scores": {}, "labels": []}
            return Plan([final], [webhook, Webhook(f"msg_{media_id}_0", json.dumps(older))])
        case Behaviour.LATE:
            return Plan([final], [webhook], held=True)
        case Behaviour.LOST:
            return Plan([final], [])
        case Behaviour.SILENT:
            return Plan([], [])
        case _:
            return Plan([final], [webhook])


def completed(result: Result, media_id: str, vendor: str, event_id: str, *, now: datetime) -> Result:
    """A result given by hand, with what it leaves out."""
    defaults = {"event_id": event_id, "media_id": media_id, "vendor": vendor, "occurred_at": now.isoformat()}
    return defaults | result


def _result(media_id: str, vendor: str, behaviour: Behaviour, light: float | None, now: datetime) -> Result:
    # From the pixels, so that the same picture always gets the same scores; far below every threshold.
    faint = round(0.01 + 0.04 * (light or 0), 4)
    verdict, scores, labels = "approve", {"nudity": faint, "violence": round(0.05 - faint, 4)}, ["clean"]
    match behaviour:
        case Behaviour.REJECT:
            verdict, scores, labels = "reject", {"nudity": faint, "violence": 0.96}, ["violence"]
        case Behaviour.QUARANTINE:
            verdict, scores, labels = "reject", {"csam": 0.97, "nudity": 0.99}, ["csam"]
        case Behaviour.REVIEW:
            verdict, scores, labels = "review", {"nudity": 0.6, "violence": faint}, ["suggestive"]
    if light is None:
        verdict, scores, labels = "review", {}, ["unreadable"]
    result = {"workflow_id": f"media-{media_id}", "verdict": verdict, "scores": scores, "labels": labels, "final": True}
    return completed(result, media_id, vendor, f"evt_{media_id}_1", now=now)
