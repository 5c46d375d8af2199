"""What makes content the same, what is kept of a word, and how it is said anew."""

from typing import Any

import pytest

from mediagate.moderation.findings import VendorEvent
from mediagate.vendors import reuse

A, B = "a" * 64, "b" * 64
EVENT = VendorEvent(
    event_id="e-1", vendor="hive", media_id="m-1", workflow_id="media-m-1", verdict="reject", reference="task-1"
)


class TestContent:
    def test_every_difference_is_one(self) -> None:
        seen = [([A], None), ([B], None), ([A, B], None), ([B, A], None), ([A], ""), ([A], "text"), ([A, B], "text")]
        digests = {reuse.content_digest(pictures, caption) for pictures, caption in seen}
        assert len(digests) == len(seen)
        assert all(len(digest) == 64 for digest in digests)

    def test_it_is_the_same_each_time(self) -> None:
        assert reuse.content_digest([A, B], "text") == reuse.content_digest((A, B), "text")

    @pytest.mark.parametrize("pictures", [[], [""], [A, ""]])
    def test_what_is_not_known_is_no_content(self, pictures: list[str]) -> None:
        assert reuse.content_digest(pictures, None) == ""


class TestModelVersion:
    @pytest.mark.parametrize(
        ("configured", "heard", "version"),
        [("", "", ""), ("latest", "", "latest"), ("", "2026-01", "2026-01"), ("latest", "2026-01", "latest@2026-01")],
    )
    def test_what_is_known_counts(self, configured: str, heard: str, version: str) -> None:
        assert reuse.model_version(configured, heard) == version


class TestWords:
    @pytest.mark.parametrize(
        ("change", "kept"),
        [
            pytest.param({}, True, id="final"),
            pytest.param({"verdict": "review"}, True, id="unsure"),
            pytest.param({"labels": ("gore",)}, True, id="labelled"),
            pytest.param({"final": False}, False, id="not final"),
            pytest.param({"verdict": "pending"}, False, id="pending"),
            pytest.param({"labels": ("gore", "unreadable")}, False, id="unreadable"),
            pytest.param({"labels": ("error",)}, False, id="error"),
            pytest.param({"raw": {"cached_from": "m-0"}}, False, id="said of another item"),
        ],
    )
    def test_which_are_kept(self, change: dict[str, Any], kept: bool) -> None:
        assert reuse.may_be_kept(VendorEvent.model_validate(EVENT.model_dump() | change)) is kept

    def test_said_of_another_item_it_names_where_it_is_from(self) -> None:
        said = reuse.said_of("m-2", EVENT)
        assert said == reuse.said_of("m-2", EVENT)
        assert (said.media_id, said.workflow_id, said.reference, said.raw) == ("m-2", "", "", {"cached_from": "m-1"})
        assert (said.vendor, said.verdict) == ("hive", "reject")
        assert len({said.event_id, EVENT.event_id, reuse.said_of("m-3", EVENT).event_id}) == 3
        assert "m-1" in said.event_id
