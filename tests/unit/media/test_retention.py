from datetime import timedelta

import pytest
from pydantic import ValidationError

from mediagate.media.retention import Retention
from mediagate.media.values import Status


class TestRetention:
    def test_by_itself_everything_is_kept(self) -> None:
        assert (Retention().statuses, Retention().backups) == ({}, None)

    def test_days_by_status(self) -> None:
        retention = Retention(rejected=90, failed=7, backups=3)
        assert retention.statuses == {Status.REJECTED: timedelta(days=90), Status.FAILED: timedelta(days=7)}

    @pytest.mark.parametrize("wrong", [{"approved": 0}, {"rejected": -1}, {"failed": 36_501}, {"in_review": 5}])
    def test_what_makes_no_sense_is_refused(self, wrong: dict[str, int]) -> None:
        with pytest.raises(ValidationError):
            Retention.model_validate(wrong)
