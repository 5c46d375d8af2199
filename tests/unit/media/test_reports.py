from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from mediagate.media.reports import (
    Pace,
    Period,
    Report,
    ScrubNumbers,
    Times,
    VendorUse,
    Waiting,
    day_before,
    week_before,
)
from mediagate.media.values import Status

SUNDAY = datetime(2026, 11, 22, tzinfo=UTC)
DAY = timedelta(days=1)


class TestPeriods:
    @pytest.mark.parametrize("late", [timedelta(0), timedelta(hours=6), DAY - timedelta.resolution])
    def test_the_day_before_is_the_same_all_day(self, late: timedelta) -> None:
        assert day_before(SUNDAY + late) == Period(since=SUNDAY - DAY, until=SUNDAY)

    @pytest.mark.parametrize("late", [timedelta(0), timedelta(hours=6), 7 * DAY - timedelta.resolution])
    def test_the_week_before_is_the_same_all_week(self, late: timedelta) -> None:
        monday = SUNDAY + DAY
        assert week_before(monday + late) == Period(since=monday - 7 * DAY, until=monday)

    def test_days_are_those_of_utc(self) -> None:
        in_auckland = datetime(2026, 11, 23, 6, tzinfo=timezone(timedelta(hours=13)))  # still the 22nd
        assert day_before(in_auckland).days == ((SUNDAY - DAY).date(), (SUNDAY - DAY).date())

    @pytest.mark.parametrize(
        ("since", "until", "said"),
        [
            (SUNDAY, SUNDAY + DAY, "2026-11-22"),
            (SUNDAY, SUNDAY + 3 * DAY, "2026-11-22 to 2026-11-24"),
            (SUNDAY, SUNDAY + timedelta(hours=2), "2026-11-22 00:00 to 2026-11-22 02:00 UTC"),
        ],
        ids=["a day", "days", "hours"],
    )
    def test_in_words(self, since: datetime, until: datetime, said: str) -> None:
        assert str(Period(since=since, until=until)) == said


def report(**fields: Any) -> Report:
    return Report(period=day_before(SUNDAY), objective=300, **fields)


class TestQuiet:
    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"bytes": 10**9},
            {"vendors": (VendorUse(vendor="hive"),)},
            {"scrub": ScrubNumbers(ended_at=SUNDAY, missing=2, untracked=3, repaired=2)},
            {"filed": {Status.APPROVED: 0}},
        ],
        ids=["nothing", "only kept", "no vendor was asked", "all was put back", "none was filed"],
    )
    def test_where_there_is_nothing_to_tell(self, fields: dict[str, Any]) -> None:
        assert report(**fields).quiet

    @pytest.mark.parametrize(
        "fields",
        [
            {"accepted": 1},
            {"failed": 1},
            {"expired": 1},
            {"restrictions": 1},
            {"filed": {Status.APPROVED: 1}},
            {"decision": Pace(person=Times(count=1))},
            {"waiting": Waiting(count=1, since=SUNDAY)},
            {"vendors": (VendorUse(vendor="hive", cached=1),)},
            {"findings": {"untracked": 1}},
            {"vendor_trouble": {"hive": "switched off by ada"}},
            {"scrub": ScrubNumbers(ended_at=SUNDAY, altered=1)},
            {"owed": {"starts": 1}},
        ],
        ids=lambda fields: next(iter(fields)),
    )
    def test_not_where_anything_happened_or_waits(self, fields: dict[str, Any]) -> None:
        assert not report(**fields).quiet


def test_a_share_of_none_is_none() -> None:
    assert (Times().share, Times(count=4, within=3).share) == (None, 0.75)
    assert Times(count=4, within=3).model_dump()["share"] == 0.75
