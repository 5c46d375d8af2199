"""How long a library keeps what is decided, `settings["retention"]`. Pure.

Nothing is thrown away unless a library says so. What its time is up for goes to the trash, where it can be restored for
as long as the deployment says (`MEDIAGATE_TRASH_DAYS`), and is erased after that.
"""

from collections.abc import Mapping
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from mediagate.media.values import Status

MOST_DAYS = 36_500


class Retention(BaseModel):
    """Days after which an item goes to the trash, counted from when it got its status; None: it is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    approved: int | None = Field(None, ge=1, le=MOST_DAYS)
    rejected: int | None = Field(None, ge=1, le=MOST_DAYS)
    quarantined: int | None = Field(None, ge=1, le=MOST_DAYS)
    failed: int | None = Field(None, ge=1, le=MOST_DAYS)
    backups: int | None = Field(
        None, ge=1, le=MOST_DAYS, description="days after filing for which a withheld item has a second copy"
    )

    @property
    def statuses(self) -> Mapping[Status, timedelta]:
        """How long each status that is not kept for ever is kept."""
        days = {
            Status.APPROVED: self.approved,
            Status.REJECTED: self.rejected,
            Status.QUARANTINED: self.quarantined,
            Status.FAILED: self.failed,
        }
        return {status: timedelta(days=number) for status, number in days.items() if number is not None}
