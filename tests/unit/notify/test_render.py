"""Texts of mails."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.notify.render import MAX_VALUE, MailKind, clean, render

VALUES = {
    "filename": "cat.jpg",
    "library": "demo",
    "status": "rejected",
    "reason": "truncated_file",
    "reasons": ["nudity 0.97", "vendor says reject"],
    "due_at": "2026-11-22T10:00:00Z",
    "total": 3,
    "approved": 2,
    "failed": 0,
    "title": "Vendor does not answer",
    "tracking_id": "tr-1",
    "url": "http://127.0.0.1:8000/media/1",
}


class TestRender:
    @pytest.mark.parametrize(
        ("kind", "subject", "line"),
        [
            (MailKind.UPLOAD_SUCCESS, "Uploaded: cat.jpg", "File: cat.jpg"),
            (MailKind.UPLOAD_FAILED, "Upload failed: cat.jpg", "Reason: truncated_file"),
            (MailKind.MODERATION_RESULT, "Moderation: cat.jpg is rejected", "Reasons: nudity 0.97, vendor says reject"),
            (MailKind.REVIEW_DUE, "Review needed: cat.jpg", "Due: 2026-11-22T10:00:00Z"),
            (MailKind.BATCH_SUMMARY, "Batch finished in demo", "Failed: 0"),
            (MailKind.SYSTEM_ALERT, "Alert: Vendor does not answer", "What: Vendor does not answer"),
        ],
    )
    def test_says_what_happened(self, kind: MailKind, subject: str, line: str) -> None:
        rendered = render(kind, VALUES)
        assert rendered.subject == subject
        assert line in rendered.body.splitlines()
        assert "Tracking id: tr-1" in rendered.body.splitlines()

    @pytest.mark.parametrize("kind", MailKind)
    def test_missing_values_leave_their_lines_out(self, kind: MailKind) -> None:
        rendered = render(kind, {"reason": None, "url": ""})
        assert rendered.body.strip().count("\n") == 0
        assert "unknown" in rendered.subject

    def test_values_are_no_templates(self) -> None:
        assert render(MailKind.UPLOAD_FAILED, {"filename": "{library.__class__}%s"}).subject == (
            "Upload failed: {library.__class__}%s"
        )


class TestHostileNames:
    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("cat.jpg\r\nBcc: all@example.org", "cat.jpg Bcc: all@example.org"),
            ("photo\u202egpj.exe", "photogpj.exe"),
            ("zero\u200bwidth\ufeff", "zerowidth"),
            ("a\u2028b\u0085c\x00d\x1be", "a b c d e"),
            ("lone \ud800 surrogate", "lone surrogate"),
            ("Grüße aus 東京.jpg", "Grüße aus 東京.jpg"),
        ],
    )
    def test_become_one_visible_line(self, name: str, shown: str) -> None:
        assert clean(name) == shown

    def test_long_ones_are_cut(self) -> None:
        assert clean("x" * 1000) == "x" * (MAX_VALUE - 1) + "…"

    @given(st.text())
    def test_no_text_gets_a_line_break_or_a_control_into_the_mail(self, name: str) -> None:
        rendered = render(MailKind.UPLOAD_FAILED, {"filename": name})
        assert not any(unicodedata.category(char)[0] == "C" for char in rendered.subject)
        assert len(rendered.subject.splitlines()) == 1
        assert len(rendered.body.splitlines()) <= 3
        rendered.body.encode()
