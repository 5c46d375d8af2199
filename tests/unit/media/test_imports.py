"""Which keys of a source a manifest or a prefix may name."""

from uuid import UUID

import pytest

from mediagate.media.content_types import type_by_name
from mediagate.media.imports import ImportCounts, checked_prefix, item_id, key_of
from mediagate.storage import keys

URL, BUCKET, PREFIX = "http://127.0.0.1:9000", "archive", "photos/"


def key(written: str) -> str:
    return key_of(written, url=URL, bucket=BUCKET, prefix=PREFIX)


class TestKeys:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("photos/a.jpg", "photos/a.jpg"),
            ("photos/2019/ä b#1?.jpg", "photos/2019/ä b#1?.jpg"),
            ("photos/..a/b...jpg", "photos/..a/b...jpg"),
            ("s3://archive/photos/a%20b.jpg", "photos/a%20b.jpg"),
            ("http://127.0.0.1:9000/archive/photos/a%20b.jpg", "photos/a b.jpg"),
            ("photos/" + "x" * 1017, "photos/" + "x" * 1017),
        ],
    )
    def test_below_the_source(self, written: str, meant: str) -> None:
        assert key(written) == meant

    @pytest.mark.parametrize(
        ("written", "told"),
        [
            ("", "1 to 1024 bytes"),
            ("photos/" + "ä" * 509, "1 to 1024 bytes"),
            ("other/a.jpg", "not below 'photos/'"),
            ("photos", "not below 'photos/'"),
            ("/photos/a.jpg", "empty part"),
            ("photos/../other/a.jpg", "'..'"),
            ("photos/./a.jpg", "'.'"),
            ("photos//a.jpg", "empty part"),
            ("photos/", "empty part"),
            ("photos/a\nb.jpg", "control characters"),
            ("photos/a\ud800.jpg", "control characters"),
            ("s3://other/photos/a.jpg", "not in the bucket"),
            ("s3://archive@other/photos/a.jpg", "not in the bucket"),
            ("s3://archive/other/a.jpg", "not below"),
            ("http://127.0.0.1:9001/archive/photos/a.jpg", "not in the bucket"),
            ("https://127.0.0.1:9000/archive/photos/a.jpg", "not in the bucket"),
            ("http://127.0.0.1:9000@evil.test/archive/photos/a.jpg", "not in the bucket"),
            ("http://127.0.0.1:9000/archive/photos/%2e%2e/other/a.jpg", "'..'"),
            ("http://127.0.0.1:9000/archive/photos/a.jpg?versionId=1", "query"),
            ("file:///etc/passwd", "not in the bucket"),
        ],
    )
    def test_nowhere_else(self, written: str, told: str) -> None:
        with pytest.raises(ValueError, match=told):
            key(written)


class TestPrefixes:
    @pytest.mark.parametrize("prefix", ["photos/", "photos/2019", "photos/2019/", "photos/2019/a"])
    def test_below_the_source(self, prefix: str) -> None:
        assert checked_prefix(prefix, PREFIX) == prefix
        assert checked_prefix(prefix, "") == prefix

    def test_none_is_all_of_it(self) -> None:
        assert checked_prefix("", PREFIX) == PREFIX

    @pytest.mark.parametrize("prefix", ["photos", "photos-old/", "photo", "/", "photos/../", "photos//", "x\x00"])
    def test_nowhere_else(self, prefix: str) -> None:
        with pytest.raises(ValueError, match=r"prefix|key"):
            checked_prefix(prefix, PREFIX)


class TestNames:
    @pytest.mark.parametrize(
        ("filename", "kind"),
        [("a.JPG", "image/jpeg"), ("a.b.tif", "image/tiff"), ("a.heic", "image/heic"), ("a.webp", "image/webp")],
    )
    def test_of_types(self, filename: str, kind: str) -> None:
        assert type_by_name(filename) == kind

    @pytest.mark.parametrize("filename", ["a.txt", "jpg", "a.", ""])
    def test_of_no_type(self, filename: str) -> None:
        assert type_by_name(filename) is None

    def test_an_object_has_one_id(self) -> None:
        one, other = UUID(int=1), UUID(int=2)
        assert item_id(one, "a") == item_id(one, "a")
        assert len({item_id(one, "a"), item_id(one, "b"), item_id(other, "a")}) == 3

    def test_a_manifest_is_no_items(self) -> None:
        key = keys.manifest("photos", str(UUID(int=7)))
        assert key == f"photos/imports/{UUID(int=7).hex}.jsonl"
        assert keys.item_of(key) is None
        with pytest.raises(ValueError, match="Not a library"):
            keys.manifest("imports", str(UUID(int=7)))


def test_counts() -> None:
    counts = ImportCounts(waiting=1, under_way=2, imported=3, failed=4, cancelled=5)
    assert (counts.total, counts.ended) == (15, 12)
