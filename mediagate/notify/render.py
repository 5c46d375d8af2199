"""The texts of mails, as plain text. Pure.

Values come from uploaders and vendors and are hostile: line breaks, control characters and invisible ones (such as the
right-to-left override that makes `gpj.exe` look like `exe.jpg`) are taken out, and long ones are cut.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from mediagate.media.values import Value

MAX_VALUE = 200
"""Characters of one value that are shown."""


class MailKind(StrEnum):
    """What a mail is about; the values that its text can show are in `_TEXTS`."""

    UPLOAD_SUCCESS = "upload_success"
    UPLOAD_FAILED = "upload_failed"
    MODERATION_RESULT = "moderation_result"
    REVIEW_DUE = "review_due"
    TAKEDOWN = "takedown"
    BATCH_SUMMARY = "batch_summary"
    SYSTEM_ALERT = "system_alert"
    ALERT_OVER = "alert_over"


class Rendered(NamedTuple):
    """A subject of one line and a body of plain text."""

    subject: str
    body: str


class _Text(Value):
    subject: str
    lead: str
    lines: tuple[tuple[str, str], ...]


_ITEM = (("File", "filename"), ("Library", "library"))
_LINKS = (("Link", "url"), ("Run", "workflow_url"), ("Tracking id", "tracking_id"))

_TEXTS: dict[MailKind, _Text] = {
    MailKind.UPLOAD_SUCCESS: _Text(
        subject="Uploaded: {filename}",
        lead="A file was uploaded, checked and filed.",
        lines=(*_ITEM, ("Status", "status"), *_LINKS),
    ),
    MailKind.UPLOAD_FAILED: _Text(
        subject="Upload failed: {filename}",
        lead="A file could not be taken in.",
        lines=(*_ITEM, ("Reason", "reason"), ("Detail", "detail"), *_LINKS),
    ),
    MailKind.MODERATION_RESULT: _Text(
        subject="Moderation: {filename} is {status}",
        lead="A file was decided.",
        lines=(*_ITEM, ("Status", "status"), ("Reasons", "reasons"), ("Detail", "detail"), *_LINKS),
    ),
    MailKind.REVIEW_DUE: _Text(
        subject="Review needed: {filename}",
        lead="A file waits for a person's decision.",
        lines=(*_ITEM, ("Why", "reason"), ("Detail", "detail"), ("Due", "due_at"), *_LINKS),
    ),
    MailKind.TAKEDOWN: _Text(
        subject="Taken down: {filename} is {status}",
        lead="A file that was public is so no more.",
        lines=(*_ITEM, ("Status", "status"), ("Why", "reason"), ("Detail", "detail"), *_LINKS),
    ),
    MailKind.BATCH_SUMMARY: _Text(
        subject="Batch finished in {library}",
        lead="Every file of a batch has its outcome.",
        lines=(
            ("Library", "library"),
            ("Batch", "batch_id"),
            ("Files", "total"),
            ("Approved", "approved"),
            ("Rejected", "rejected"),
            ("Quarantined", "quarantined"),
            ("In review", "in_review"),
            ("Failed", "failed"),
            ("Expired", "expired"),
            ("Cancelled", "cancelled"),
            *_LINKS,
        ),
    ),
    MailKind.SYSTEM_ALERT: _Text(
        subject="Alert: {title}",
        lead="Something needs an operator.",
        lines=(("What", "title"), ("Detail", "detail"), ("Since", "since"), *_ITEM, *_LINKS),
    ),
    MailKind.ALERT_OVER: _Text(
        subject="Over: {title}",
        lead="What an alert told of is over.",
        lines=(("What", "title"), ("Since", "since"), ("Until", "until")),
    ),
}


def render(kind: MailKind | str, values: Mapping[str, object]) -> Rendered:
    """Subject and body for a kind of mail.

    Lines whose value is missing, None or empty are left out; in the subject a missing value reads "unknown". Values
    that the kind does not know are ignored. Lists are joined with commas.

    Raises:
        ValueError: there is no such kind.
    """
    text = _TEXTS[MailKind(kind)]
    shown = {name: clean(value) for name, value in values.items()}
    names = {name: shown.get(name) or "unknown" for name in ("filename", "status", "library", "title")}
    lines = [f"{label}: {shown[name]}" for label, name in text.lines if shown.get(name)]
    return Rendered(subject=text.subject.format_map(names), body="\n".join([text.lead, "", *lines, ""]))


def clean(value: object) -> str:
    """A value as one visible line of at most `MAX_VALUE` characters."""
    if value is None:
        return ""
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        value = ", ".join(clean(part) for part in value)
    visible = "".join(_visible(char) for char in str(value))
    line = " ".join(visible.split())
    return line if len(line) <= MAX_VALUE else line[: MAX_VALUE - 1].rstrip() + "…"


def _visible(char: str) -> str:
    category = unicodedata.category(char)
    if category in ("Cc", "Zl", "Zp"):
        return " "
    # Cf: format characters (bidi overrides, zero width); Cs: lone surrogates, which no mail can carry.
    return "" if category in ("Cf", "Cs", "Co", "Cn") else char
