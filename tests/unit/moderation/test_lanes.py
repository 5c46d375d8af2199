"""Which lane an upload takes."""

import pytest

from mediagate.media.values import MIB
from mediagate.moderation.lanes import Lane, LanePolicy, lane_of


@pytest.mark.parametrize(
    ("policy", "size", "trusted", "under_way", "lane"),
    [
        ({}, 4 * MIB, True, 0, Lane.FAST),
        ({}, 4 * MIB + 1, True, 0, Lane.SLOW),
        ({}, 1, False, 0, Lane.SLOW),
        ({"fast_trusted_only": False}, 1, False, 0, Lane.FAST),
        ({"fast_max_bytes": 0}, 1, True, 0, Lane.SLOW),
        ({}, 1, True, 49, Lane.FAST),
        ({}, 1, True, 50, Lane.BULK),
        ({"bulk_from": 1}, 1, True, 1, Lane.BULK),
    ],
)
def test_lane_of(policy: dict[str, object], size: int, trusted: bool, under_way: int, lane: Lane) -> None:
    chosen = lane_of(LanePolicy.model_validate(policy), size=size, trusted=trusted, open_uploads=under_way)
    assert chosen is lane


def test_priorities_are_temporals_and_the_fast_lane_goes_first() -> None:
    assert [lane.priority for lane in Lane] == [2, 3, 4]
