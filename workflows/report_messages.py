"""Payloads of digests and of checks of vendors; rules as in `workflows/messages.py`."""

from datetime import datetime

from pydantic import Field

from mediagate.media.values import Value


class DigestInput(Value):
    """Start of a `DigestWorkflow`, and of its step."""

    weekly: bool = Field(False, description="of the last whole week (Monday to Sunday, UTC); else of the day before")
    at: datetime | None = Field(None, description="of which the day or week before is told; None: of the planned time")


class DigestResult(Value):
    """What a digest told."""

    period: str = ""
    told: int = Field(0, description="notifications that were written; 0: told before, or there was nothing to tell")


class CheckInput(Value):
    """Start of a `VendorHealthWorkflow`, and of its step."""

    at: datetime | None = Field(None, description="time of the check; None: the planned one")


class CheckResult(Value):
    """What a check brought, by vendor: values of `mediagate.vendors.checks.CheckOutcome`."""

    vendors: dict[str, str] = Field({})
