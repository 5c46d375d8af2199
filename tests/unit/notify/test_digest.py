"""The text of a digest."""

from datetime import UTC, datetime

import pytest

from mediagate.media.reports import Pace, Report, ScrubNumbers, Times, VendorUse, Waiting, day_before
from mediagate.media.values import Status
from mediagate.notify.digest import duration, render_digest

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LOUD = Report(
    period=day_before(NOON),
    objective=300,
    library="photos",
    accepted=12,
    filed={Status.APPROVED: 9, Status.REJECTED: 1, Status.QUARANTINED: 0},
    failed=2,
    decision=Pace(alone=Times(count=8, p50=4.25, p95=70, within=8), person=Times(count=2, p50=7200, p95=200_000)),
    restrictions=1,
    waiting=Waiting(count=3, since=NOON),
    vendors=(VendorUse(vendor="hive", calls=10, failures=1, cached=2, cost_micros=2_340_000),),
    findings={"missing": 1},
    bytes=1_500_000,
)


class TestText:
    def test_of_a_library(self) -> None:
        subject, body = render_digest(LOUD)
        assert subject == "Digest of photos: 2026-11-22"
        assert body.splitlines() == [
            "What happened in photos: 2026-11-22 (UTC).",
            "",
            "Uploads",
            "  Accepted: 12",
            "  Failed: 2",
            "  Filed: 9 approved, 1 rejected",
            "  Withheld for what it is, later rounds included: 1",
            "",
            "From acceptance (objective: decided in 5 min)",
            "  Decided without a person: 8: half in 4.2 s, 95 % in 1.2 min, 100.0 % within the objective",
            "  Decided with a person: 2: half in 2 h, 95 % in 2.3 d, 0.0 % within the objective",
            "",
            "Now",
            "  Waiting for a person: 3, the first since 2026-11-23 12:00 UTC",
            "  Kept: 1.5 MB",
            "",
            "Vendors",
            "  hive: 10 calls, 1 failed, 2 answered from earlier results, 2.34 USD",
            "",
            "Object store",
            "  Open findings: 1 missing (mediagate storage findings)",
        ]

    def test_of_the_deployment(self) -> None:
        whole = Report(
            period=day_before(NOON),
            objective=60,
            vendor_trouble={"acme": "failed 3 checks in a row: 503"},
            scrub=ScrubNumbers(ended_at=NOON, missing=1),
            owed={"mails": 4},
        )
        subject, body = render_digest(whole)
        assert subject == "Digest of the whole deployment: 2026-11-22"
        assert "  acme: failed 3 checks in a row: 503" in body.splitlines()
        assert "  Owed: 4 mails" in body.splitlines()
        scrub = "  Last scrub, 2026-11-23 12:00 UTC: 1 missing, 0 altered, 0 untracked, 0 repaired"
        assert scrub in body.splitlines()

    def test_hostile_words_stay_in_their_line(self) -> None:
        hostile = {"hive": "switched off by ada\r\nBcc: all@example.org\u202e"}
        _, body = render_digest(LOUD.model_copy(update={"vendor_trouble": hostile}))
        assert "  hive: switched off by ada Bcc: all@example.org" in body.splitlines()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (0.04, "0 s"),
        (4.25, "4.2 s"),
        (59, "59 s"),
        (90, "1.5 min"),
        (5400, "1.5 h"),
        (86_400, "24 h"),
        (259_200, "3 d"),
    ],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said
