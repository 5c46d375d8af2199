from pathlib import Path

import pytest

from cli.demo.files import (
    PARCEL_BYTES,
    PARCEL_FILES,
    REFUSED,
    DemoFile,
    Expected,
    Route,
    content_type_of,
    of_paths,
    of_samples,
    parcels,
)
from devstack.samples import Sample
from mediagate.errors import InvalidRequest


def sample(name: str, *, expect: str = "approved", reason: str | None = None, vendor: str = "approve") -> Sample:
    data = b"" if name == "empty.jpg" else b"bytes"
    return Sample(name, "image/jpeg", data, expect, reason, vendor, "a title")


def demo_file(name: str, *, route: Route = Route.MULTIPART, size: int = 1, behaviour: str = "") -> DemoFile:
    return DemoFile(name, name, "image/jpeg", size, route, behaviour=behaviour, data=b"x")


class TestExpected:
    @pytest.mark.parametrize(
        ("expected", "outcome", "reason", "decided_by"),
        [
            (Expected(), "approved", "clean", "policy"),
            (Expected(), REFUSED, "unsupported_type", ""),
            (Expected(frozenset({"rejected"}), "truncated"), "rejected", "truncated_file", "gate"),
            (Expected(frozenset({"approved"}), by_person=True), "approved", "demo-review", "person:somebody"),
        ],
    )
    def test_the_right_end_is_no_mismatch(self, expected: Expected, outcome: str, reason: str, decided_by: str) -> None:
        assert expected.mismatch(outcome, reason, decided_by) == ""

    @pytest.mark.parametrize(
        ("expected", "outcome", "reason", "decided_by", "says"),
        [
            (Expected(), "failed", "", "", "expected approved or quarantined or refused or rejected, got failed"),
            (Expected(frozenset({"approved"})), "rejected", "x", "gate", "expected approved, got rejected (x)"),
            (
                Expected(frozenset({"rejected"}), "empty_file"),
                "rejected",
                "corrupt_file",
                "gate",
                "expected rejected (empty_file), got rejected (corrupt_file)",
            ),
            (
                Expected(frozenset({"approved"}), by_person=True),
                "approved",
                "clean",
                "policy",
                "expected approved by a person, got approved (clean) by policy",
            ),
        ],
    )
    def test_another_end_is_told_with_both_sides(
        self, expected: Expected, outcome: str, reason: str, decided_by: str, says: str
    ) -> None:
        assert expected.mismatch(outcome, reason, decided_by) == says


class TestOfSamples:
    def test_routes_alternate_and_the_empty_file_goes_by_the_form(self) -> None:
        files = of_samples([sample("a.jpg"), sample("b.jpg"), sample("empty.jpg", expect="rejected")])
        assert [file.route for file in files] == [Route.PRESIGNED, Route.MULTIPART, Route.MULTIPART]
        assert files[2].expected == Expected(frozenset({REFUSED}))

    def test_the_caption_carries_the_vendors_behaviour_on_both_routes(self) -> None:
        files = of_samples([sample("a.jpg", vendor="late"), sample("b.jpg", vendor="lost")])
        assert ["sim:late" in files[0].caption, "sim:lost" in files[1].caption] == [True, True]

    def test_a_sample_for_review_must_be_approved_by_a_person(self) -> None:
        (file,) = of_samples([sample("a.jpg", expect="in_review", vendor="review")])
        assert file.expected == Expected(frozenset({"approved"}), by_person=True)

    def test_a_reason_of_the_sample_is_expected(self) -> None:
        (file,) = of_samples([sample("a.jpg", expect="rejected", reason="truncated_file")])
        assert file.expected == Expected(frozenset({"rejected"}), "truncated_file")


class TestOfPaths:
    def test_folders_give_their_pictures_and_named_files_are_taken_as_they_are(self, tmp_path: Path) -> None:
        (tmp_path / "in" / "deep").mkdir(parents=True)
        (tmp_path / "in" / ".hidden").mkdir()
        for name in ("in/b.PNG", "in/deep/c.webp", "in/notes.txt", "in/.d.jpg", "in/.hidden/e.jpg", "named.txt"):
            (tmp_path / name).write_bytes(b"bytes")

        files = of_paths([tmp_path / "in", tmp_path / "named.txt"])

        assert [(file.label, file.content_type) for file in files] == [
            ("b.PNG", "image/png"),
            ("deep/c.webp", "image/webp"),
            ("named.txt", "text/plain"),
        ]

    def test_a_file_named_twice_is_sent_once(self, tmp_path: Path) -> None:
        picture = tmp_path / "a.jpg"
        picture.write_bytes(b"bytes")
        assert len(of_paths([picture, picture, tmp_path])) == 1

    def test_bytes_are_read_when_they_are_sent(self, tmp_path: Path) -> None:
        picture = tmp_path / "a.jpg"
        picture.write_bytes(b"before")
        (file,) = of_paths([picture])
        picture.write_bytes(b"after")
        assert (file.size, file.read()) == (6, b"after")

    def test_an_empty_file_goes_by_the_form(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").touch()
        assert [file.route for file in of_paths([tmp_path])] == [Route.MULTIPART]

    def test_a_missing_path_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match=r"no file or folder .*nowhere"):
            of_paths([tmp_path / "nowhere"])

    def test_folders_without_pictures_are_named(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        with pytest.raises(InvalidRequest, match="No pictures in"):
            of_paths([tmp_path])

    def test_a_name_that_is_not_utf_8_is_sent_with_replacement_characters(self, tmp_path: Path) -> None:
        odd = tmp_path / b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
        odd.touch()
        (file,) = of_paths([odd])
        assert file.filename == "caf\N{REPLACEMENT CHARACTER}.jpg"


class TestParcels:
    def test_presigned_files_travel_alone_and_forms_share_a_behaviour(self) -> None:
        alone = [demo_file("p", route=Route.PRESIGNED), demo_file("q", route=Route.PRESIGNED)]
        together = [demo_file("a", behaviour="approve"), demo_file("b", behaviour="approve")]
        other = demo_file("c", behaviour="reject")
        assert parcels([*alone, *together, other]) == [[alone[0]], [alone[1]], together, [other]]

    def test_a_form_holds_a_bounded_number_of_files(self) -> None:
        assert [len(p) for p in parcels([demo_file(str(n)) for n in range(PARCEL_FILES + 1)])] == [PARCEL_FILES, 1]

    def test_a_form_holds_a_bounded_number_of_bytes(self) -> None:
        half = [demo_file(str(n), size=PARCEL_BYTES // 2 + 1) for n in range(2)]
        assert [len(p) for p in parcels(half)] == [1, 1]

    def test_files_for_which_the_vendor_waits_go_first(self) -> None:
        files = [demo_file("a", behaviour="approve"), demo_file("b", behaviour="late")]
        assert [parcel[0].label for parcel in parcels(files)] == ["b", "a"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.JPG", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.heic", "image/heic"),
        ("a.avif", "image/avif"),
        ("noextension", "application/octet-stream"),
        ("data:image.png", "image/png"),
    ],
)
def test_content_type_by_extension(name: str, expected: str) -> None:
    assert content_type_of(name) == expected
