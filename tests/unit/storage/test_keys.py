"""No input can leave its folder, and no two things share a key."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.media.values import Status, VariantName
from mediagate.storage import keys

MEDIA_ID = "0b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a69"
SHA256 = "ab" * 32

media_ids = st.uuids().map(str)
libraries = st.from_regex(r"[a-z0-9-]{1,63}", fullmatch=True).filter(lambda name: name not in {"staging", "work"})
variants = st.sampled_from(VariantName)
filed_statuses = st.sampled_from([Status.APPROVED, Status.REJECTED, Status.QUARANTINED])


class TestSpelling:
    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            (keys.staging(MEDIA_ID), f"staging/{MEDIA_ID}"),
            (keys.master("demo", MEDIA_ID), f"demo/media/originals/{MEDIA_ID}/source"),
            (keys.work(MEDIA_ID, VariantName.MEDIUM), f"work/{MEDIA_ID}/medium.jpg"),
            (keys.work(MEDIA_ID, "thumb"), f"work/{MEDIA_ID}/thumb.jpg"),
            (keys.filed("demo", Status.APPROVED, MEDIA_ID, "medium"), f"demo/media/approved/{MEDIA_ID}/medium.jpg"),
            (keys.filed("demo", Status.APPROVED, MEDIA_ID, "thumb"), f"demo/media/thumbs/{MEDIA_ID}.jpg"),
            (keys.filed("demo", Status.REJECTED, MEDIA_ID, "thumb"), f"demo/media/rejected/{MEDIA_ID}/thumb.jpg"),
            (keys.filed("demo", Status.REJECTED, MEDIA_ID, "source"), f"demo/media/rejected/{MEDIA_ID}/source"),
            (keys.filed("demo", Status.QUARANTINED, MEDIA_ID, "source"), f"demo/media/quarantine/{MEDIA_ID}/source"),
            (keys.backup("demo", MEDIA_ID, SHA256), f"demo/backups/{MEDIA_ID}/{SHA256}"),
            (keys.watermark_image("demo", SHA256), f"demo/watermarks/{SHA256}"),
            (keys.evidence("demo", MEDIA_ID, 1), f"records/demo/{MEDIA_ID}/1"),
            (keys.checkpoint("evidence", 7, SHA256), f"checkpoints/evidence/{7:020}-{SHA256}"),
        ],
    )
    def test_is_fixed(self, key: str, expected: str) -> None:
        assert key == expected


class TestMediaIdOf:
    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            (keys.staging(MEDIA_ID), MEDIA_ID),
            (keys.work(MEDIA_ID, "thumb"), MEDIA_ID),
            (keys.master("demo", MEDIA_ID), None),
            ("staging/readme.txt", None),
            ("work/", None),
            ("", None),
        ],
    )
    def test_knows_scratch_objects_only(self, key: str, expected: str | None) -> None:
        assert keys.media_id_of(key) == expected


class TestRefusal:
    @pytest.mark.parametrize(
        "media_id",
        [
            "",
            "..",
            "../../etc/passwd",
            MEDIA_ID.upper(),
            MEDIA_ID.replace("-", ""),
            f"{{{MEDIA_ID}}}",
            f"{MEDIA_ID}\n",
            f"{MEDIA_ID}/..",
            "٠b7e2a52-7d0e-4f0c-9a8e-1f2d3c4b5a69",
        ],
    )
    def test_of_what_is_no_media_id(self, media_id: str) -> None:
        with pytest.raises(ValueError, match="media id"):
            keys.staging(media_id)

    @pytest.mark.parametrize(
        "library", ["", ".", "..", "a/b", "Demo", "demo\n", "ä", "a" * 64, "a_b", "staging", "work"]
    )
    def test_of_what_is_no_library(self, library: str) -> None:
        with pytest.raises(ValueError, match="library"):
            keys.master(library, MEDIA_ID)

    @pytest.mark.parametrize("name", ["", "..", "source/../x", "medium.jpg", "MEDIUM"])
    def test_of_a_name_that_is_not_known(self, name: str) -> None:
        with pytest.raises(ValueError, match="not a valid VariantName"):
            keys.filed("demo", Status.REJECTED, MEDIA_ID, name)

    def test_of_a_master_among_the_approved(self) -> None:
        with pytest.raises(ValueError, match="clean master"):
            keys.filed("demo", Status.APPROVED, MEDIA_ID, "source")

    @pytest.mark.parametrize("status", sorted(set(Status) - {Status.APPROVED, Status.REJECTED, Status.QUARANTINED}))
    def test_of_a_status_in_which_nothing_is_filed(self, status: Status) -> None:
        with pytest.raises(ValueError, match="not filed"):
            keys.filed("demo", status, MEDIA_ID, "medium")

    @pytest.mark.parametrize("sha256", ["", "AB" * 32, "ab" * 31, "ab" * 32 + "\n", "../" * 21 + "x"])
    def test_of_what_is_no_digest(self, sha256: str) -> None:
        with pytest.raises(ValueError, match="SHA-256"):
            keys.backup("demo", MEDIA_ID, sha256)
        with pytest.raises(ValueError, match="SHA-256"):
            keys.watermark_image("demo", sha256)


class TestAnything:
    @given(st.text())
    def test_text_is_a_media_id_only_if_it_is_a_canonical_uuid(self, text: str) -> None:
        try:
            key = keys.staging(text)
        except ValueError:
            return
        assert str(UUID(text)) == text
        assert key == f"staging/{text}"

    @given(libraries, media_ids, filed_statuses, variants)
    def test_keys_stay_below_their_library(
        self, library: str, media_id: str, status: Status, variant: VariantName
    ) -> None:
        key = keys.filed(library, status, media_id, variant)
        assert key.startswith(f"{library}/media/")
        assert not {"", ".", ".."} & set(key.split("/"))

    @given(libraries, media_ids)
    def test_no_two_things_share_a_key(self, library: str, media_id: str) -> None:
        statuses = [Status.APPROVED, Status.REJECTED, Status.QUARANTINED]
        made = [keys.filed(library, status, media_id, variant) for status in statuses for variant in VariantName]
        made += [keys.filed(library, status, media_id, keys.SOURCE) for status in statuses[1:]]
        made += [keys.work(media_id, variant) for variant in VariantName]
        made += [keys.staging(media_id), keys.master(library, media_id), keys.backup(library, media_id, SHA256)]
        made.append(keys.watermark_image(library, SHA256))
        assert len(set(made)) == len(made)


class TestOwners:
    @given(libraries, media_ids, filed_statuses, variants)
    def test_everything_of_an_item_is_found_by_its_key_and_its_prefixes(
        self, library: str, media_id: str, status: Status, variant: VariantName
    ) -> None:
        of_item = [
            keys.staging(media_id),
            keys.work(media_id, variant),
            keys.master(library, media_id),
            keys.filed(library, status, media_id, variant),
            keys.filed(library, status, media_id, variant, revision=SHA256),
            keys.backup(library, media_id, SHA256),
        ]
        assert {keys.item_of(key) for key in of_item} == {media_id}
        prefixes = keys.item_prefixes(library, media_id)
        assert all(key.startswith(prefixes) for key in of_item)

    @pytest.mark.parametrize("key", ["demo/watermarks/" + SHA256, f"x{MEDIA_ID}", f"demo/{MEDIA_ID}x", "", "demo/a/b"])
    def test_other_keys_belong_to_no_item(self, key: str) -> None:
        assert keys.item_of(key) is None

    @pytest.mark.parametrize(
        ("key", "alone"),
        [
            (f"demo/watermarks/{SHA256}", True),
            (f"demo/imports/{'0' * 32}.jsonl", True),
            (f"staging/{MEDIA_ID}", True),
            (f"work/{MEDIA_ID}/thumb.jpg", True),
            ("imports/shop/a.jpg", True),
            (f"demo/watermarks/{SHA256}/more", False),
            ("demo/imports/list.jsonl", False),
            (keys.master("demo", MEDIA_ID), False),
        ],
    )
    def test_what_needs_no_row(self, key: str, alone: bool) -> None:
        assert keys.stands_alone(key) is alone


class TestCheckpoints:
    @given(
        st.sampled_from(["evidence", "evidence-access"]), st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32)
    )
    def test_the_name_says_all(self, chain: str, seq: int, digest: bytes) -> None:
        key = keys.checkpoint(chain, seq, digest.hex())
        assert key.startswith(keys.checkpoints(chain))
        assert keys.parse_checkpoint(key) == (seq, digest.hex())

    @pytest.mark.parametrize("key", ["", "checkpoints/evidence/7-ab", f"records/demo/{MEDIA_ID}/1"])
    def test_anything_else_is_none(self, key: str) -> None:
        assert keys.parse_checkpoint(key) is None

    def test_no_other_chain_and_no_other_hash(self) -> None:
        with pytest.raises(ValueError, match="chain of records"):
            keys.checkpoints("../evidence")
        with pytest.raises(ValueError, match="SHA-256"):
            keys.checkpoint("evidence", 1, "x")
