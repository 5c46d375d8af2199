"""Which work goes first: a lane for what is quick and unlikely to be bad, another for the rest, a third for imports.

A lane is a Temporal priority; inside one, libraries take turns by fairness keys, so nobody's import delays another's
upload. Which vendors are asked may depend on the lane as well.
"""

from enum import StrEnum

from pydantic import Field

from mediagate.media.values import MIB, Value


class Lane(StrEnum):
    """The lanes, the most urgent first."""

    FAST = "fast"
    SLOW = "slow"
    BULK = "bulk"

    @property
    def priority(self) -> int:
        """Temporal's priority key: 1 (first) to 5; 3 is what work without one has, renditions have 5."""
        return {Lane.FAST: 2, Lane.SLOW: 3, Lane.BULK: 4}[self]


class LanePolicy(Value):
    """What is let into the fast lane, and who is asked there."""

    fast_max_bytes: int = Field(4 * MIB, ge=0, description="files up to this many bytes; 0: the fast lane is closed")
    fast_trusted_only: bool = Field(True, description="only uploads with a trusted key")
    fast_ask: tuple[str, ...] = Field((), description="vendors asked in the fast lane; none named: as elsewhere")
    bulk_from: int = Field(50, ge=1, description="open uploads of a library from which further ones are bulk")


def lane_of(policy: LanePolicy, *, size: int, trusted: bool, open_uploads: int) -> Lane:
    """The lane of an upload of `size` bytes, by a library that has `open_uploads` under way already."""
    if open_uploads >= policy.bulk_from:
        return Lane.BULK
    if size <= policy.fast_max_bytes and (trusted or not policy.fast_trusted_only):
        return Lane.FAST
    return Lane.SLOW
