"""The demo's pictures are what they claim to be."""

from pathlib import Path

import pytest

from devstack.samples import VENDOR_BEHAVIOURS, Sample, demo_set, write_set
from mediagate.imaging import Refused, inspect
from mediagate.media.values import Limits, Status


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return demo_set()


def test_every_end_and_every_behaviour_is_there(samples: list[Sample]) -> None:
    assert {s.vendor for s in samples} == set(VENDOR_BEHAVIOURS)
    ends = {Status.APPROVED, Status.REJECTED, Status.QUARANTINED, Status.IN_REVIEW}
    assert {s.expect for s in samples} == ends
    assert len({s.caption for s in samples}) == len(samples)


def test_refused_samples_are_refused_for_their_reason_and_no_others(samples: list[Sample], tmp_path: Path) -> None:
    found: dict[str, str | None] = {}
    for number, sample in enumerate(samples):
        path = tmp_path / str(number)
        path.write_bytes(sample.data)
        try:
            inspect(path, declared_type=sample.content_type, limits=Limits())
            found[sample.title] = None
        except Refused as refused:
            found[sample.title] = refused.reason
    assert found == {s.title: s.reason for s in samples}


def test_written_names_stay_in_the_folder(tmp_path: Path) -> None:
    paths = write_set(tmp_path / "set")
    assert {p.parent for p in paths} == {tmp_path / "set"}
    assert all(p.name.isascii() and p.is_file() for p in paths)
