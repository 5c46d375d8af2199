"""What is refused, what is accepted, and which facts are found."""

import struct
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from PIL import Image

from mediagate.imaging import Refused
from mediagate.media.values import ImageFacts, Limits, Refusal
from tests.unit.imaging.hostile import hostile
from tests.unit.imaging.pictures import (
    box,
    chunk,
    corners,
    exif,
    facts_of,
    save,
    scene,
    stored,
    with_samsung_trailer,
    with_secondary,
    with_segment,
)

HOSTILE = list(hostile())
XMP = (
    b'<x:xmpmeta><rdf:Description exif:GPSLatitude="46,1N"><dc:creator><rdf:Seq><rdf:li>Jos\xc3\xa9 &amp; Co</rdf:li>'
    b"</rdf:Seq></dc:creator><dc:rights><rdf:Alt><rdf:li xml:lang='x-default'>CC BY</rdf:li></rdf:Alt></dc:rights>"
    b"</rdf:Description></x:xmpmeta>"
)


class TestRefused:
    @pytest.mark.parametrize(("declared", "data", "reason"), [h[1:] for h in HOSTILE], ids=[h[0] for h in HOSTILE])
    def test_bad_file_is_refused_with_its_reason(
        self, tmp_path: Path, declared: str, data: bytes, reason: Refusal
    ) -> None:
        with pytest.raises(Refused) as refused:
            facts_of(stored(tmp_path, data), declared)
        assert (refused.value.reason, refused.value.detail[-1]) == (reason, ".")

    def test_file_over_the_byte_limit(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(scene(64, 64), "JPEG"))
        with pytest.raises(Refused) as refused:
            facts_of(path, limits=Limits(max_bytes=100))
        assert refused.value.reason is Refusal.TOO_LARGE

    def test_detail_names_what_was_appended(self, tmp_path: Path) -> None:
        path = stored(tmp_path, save(scene(64, 64), "PNG") + b"PK\3\4" + bytes(20))
        with pytest.raises(Refused, match="24 more bytes follow: a ZIP archive"):
            facts_of(path, "image/png")

    def test_missing_file_is_not_the_uploaders_fault(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            facts_of(tmp_path / "missing")


class TestAccepted:
    @pytest.mark.parametrize("declared", ["image/jpeg", "IMAGE/JPEG", "image/jpg", "image/jpeg; charset=binary"])
    def test_declared_type_in_its_spellings(self, tmp_path: Path, declared: str) -> None:
        assert facts_of(stored(tmp_path, save(corners(), "JPEG")), declared).content_type == "image/jpeg"

    @pytest.mark.parametrize(
        "options",
        [{}, {"progressive": True}, {"restart_marker_blocks": 2}, {"progressive": True, "restart_marker_rows": 1}],
        ids=["baseline", "progressive", "restarts", "progressive-restarts"],
    )
    def test_jpeg_of_every_structure(self, tmp_path: Path, options: dict[str, object]) -> None:
        facts = facts_of(stored(tmp_path, save(scene(), "JPEG", **options)))
        assert (facts.format, facts.width, facts.height) == ("jpeg", 640, 480)

    def test_flat_picture_in_few_bits_is_not_taken_for_truncated(self, tmp_path: Path) -> None:
        data = save(Image.new("RGB", (4000, 3000)), "JPEG", optimize=True)
        assert facts_of(stored(tmp_path, data)).width == 4000

    def test_flat_png_in_few_bytes_is_not_taken_for_truncated(self, tmp_path: Path) -> None:
        data = save(Image.new("L", (6000, 6000)), "PNG", compress_level=9)
        assert facts_of(stored(tmp_path, data), "image/png").width == 6000

    def test_secondary_picture_that_a_camera_declares(self, tmp_path: Path) -> None:
        jpeg = save(scene(160, 120), "JPEG")
        data = with_secondary(jpeg, save(scene(40, 30), "JPEG"))
        assert facts_of(stored(tmp_path, data)).frames == 1

    def test_samsung_trailer(self, tmp_path: Path) -> None:
        assert facts_of(stored(tmp_path, with_samsung_trailer(save(corners(), "JPEG")))).format == "jpeg"

    def test_samsung_trailer_behind_a_secondary_picture(self, tmp_path: Path) -> None:
        jpeg = save(corners(), "JPEG")
        assert facts_of(stored(tmp_path, with_samsung_trailer(with_secondary(jpeg, jpeg)))).format == "jpeg"

    def test_zero_padding(self, tmp_path: Path) -> None:
        assert facts_of(stored(tmp_path, save(corners(), "JPEG") + bytes(5000))).format == "jpeg"

    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "AVIF"])
    def test_animation_counts_its_frames(self, tmp_path: Path, kind: str) -> None:
        frames = [corners().rotate(90 * i) for i in range(3)]
        data = save(frames[0], kind, save_all=True, append_images=frames[1:])
        facts = facts_of(stored(tmp_path, data), f"image/{kind.lower()}")
        assert (facts.frames, facts.width, facts.height) == (3, 96, 64)

    @pytest.mark.parametrize("lossless", [True, False])
    @pytest.mark.parametrize("mode", ["RGB", "RGBA"])
    def test_webp_of_every_structure(self, tmp_path: Path, lossless: bool, mode: str) -> None:
        picture = corners().convert(mode)
        if mode == "RGBA":
            picture.putalpha(Image.linear_gradient("L").resize(picture.size))
        facts = facts_of(stored(tmp_path, save(picture, "WEBP", lossless=lossless)), "image/webp")
        assert (facts.width, facts.height, facts.has_alpha) == (96, 64, mode == "RGBA")

    @pytest.mark.parametrize("size", [(96, 64), (97, 65), (640, 480), (1, 1), (3, 700)])
    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
    @pytest.mark.parametrize("kind", ["HEIF", "AVIF", "TIFF"])
    def test_size_and_alpha(self, tmp_path: Path, kind: str, mode: str, size: tuple[int, int]) -> None:
        picture = corners().resize(size).convert(mode)
        if mode == "RGBA":
            picture.putalpha(77)  # what is opaque throughout is not stored
        facts = facts_of(stored(tmp_path, save(picture, kind)), f"image/{kind.lower()}")
        assert ((facts.width, facts.height), facts.has_alpha, facts.frames) == (size, mode == "RGBA", 1)

    def test_grid_of_tiles(self, tmp_path: Path) -> None:
        facts = facts_of(stored(tmp_path, save(scene(700, 300), "HEIF", tile_size=128)), "image/heic")
        assert (facts.format, facts.width, facts.height) == ("heic", 700, 300)

    def test_boxes_that_phones_append(self, tmp_path: Path) -> None:
        data = save(corners(), "HEIF") + box(b"free", bytes(40)) + box(b"mpvd", b"a video") + bytes(100)
        assert facts_of(stored(tmp_path, data), "image/heic").format == "heic"

    def test_other_pictures_of_a_collection_are_ignored(self, tmp_path: Path) -> None:
        data = save(corners(), "HEIF", save_all=True, append_images=[scene(640, 480)])
        facts = facts_of(stored(tmp_path, data), "image/heif")
        assert (facts.frames, facts.width, facts.height) == (1, 96, 64)

    def test_pages_behind_the_first_are_ignored(self, tmp_path: Path) -> None:
        data = save(corners(), "TIFF", save_all=True, append_images=[scene(640, 480)] * 3)
        facts = facts_of(stored(tmp_path, data), "image/tiff")
        assert (facts.frames, facts.width, facts.height) == (1, 96, 64)


class TestFacts:
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_size_is_upright(self, tmp_path: Path, orientation: int) -> None:
        facts = facts_of(stored(tmp_path, save(corners(), "JPEG", exif=exif(orientation))))
        expected = (64, 96) if orientation >= 5 else (96, 64)
        assert (facts.orientation, facts.width, facts.height) == (orientation, *expected)

    @pytest.mark.parametrize("orientation", [0, 9, 60000])
    def test_orientation_that_does_not_exist_is_ignored(self, tmp_path: Path, orientation: int) -> None:
        assert facts_of(stored(tmp_path, save(corners(), "JPEG", exif=exif(orientation)))).orientation == 1

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"])
    def test_photo_facts(self, tmp_path: Path, kind: str) -> None:
        names = ("Z. Miller", "(c) 2024 Z.") if kind == "TIFF" else ("Zoë Müller", "© 2024 Zoë")
        texts: dict[int, bytes | str] = {
            0x010F: "Leica",
            0x0110: "Leica Q3",
            0x013B: names[0] if kind == "TIFF" else names[0].encode(),  # Pillow writes ASCII into TIFF
            0x8298: names[1] if kind == "TIFF" else names[1].encode(),
            0x0132: "2024:05:06 07:08:09",
            0xA431: "SN-42",
        }
        data = save(corners(), kind, exif=exif(gps=True, texts=texts))
        photo = facts_of(stored(tmp_path, data), f"image/{kind.lower()}").photo
        assert "SN-42" not in photo.model_dump_json()
        assert (photo.camera, photo.credit, photo.copyright) == ("Leica Q3", *names)
        assert (photo.has_gps, photo.taken_at) == (True, datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))

    def test_time_zone_that_the_camera_wrote(self, tmp_path: Path) -> None:
        block = Image.Exif()
        block.get_ifd(0x8769).update({0x9003: "2024:05:06 07:08:09", 0x9011: "-03:30"})
        photo = facts_of(stored(tmp_path, save(corners(), "JPEG", exif=block.tobytes()))).photo
        zone = timezone(-timedelta(hours=3, minutes=30))
        assert photo.taken_at == datetime(2024, 5, 6, 7, 8, 9, tzinfo=zone)

    def test_empty_gps_directory_is_no_position(self, tmp_path: Path) -> None:
        block = Image.Exif()
        block.get_ifd(0x8825).update({29: "2024:01:01"})
        assert not facts_of(stored(tmp_path, save(corners(), "JPEG", exif=block.tobytes()))).photo.has_gps

    def test_credit_and_position_from_xmp(self, tmp_path: Path) -> None:
        photo = facts_of(stored(tmp_path, save(corners(), "JPEG", xmp=XMP))).photo
        assert (photo.credit, photo.copyright, photo.has_gps) == ("José & Co", "CC BY", True)

    @pytest.mark.parametrize(
        "written",
        [
            'xmpRights:WebStatement="https://cc.org/by/4.0/"',
            "xmpRights:WebStatement='https://cc.org/by/4.0/'",
            '><cc:license rdf:resource="https://cc.org/by/4.0/"/><b ',
            "><plus:LicensorURL>https://cc.org/by/4.0/</plus:LicensorURL><b ",
        ],
    )
    def test_licence_from_xmp(self, tmp_path: Path, written: str) -> None:
        packet = f"<x:xmpmeta><rdf:Description {written}></rdf:Description></x:xmpmeta>".encode()
        photo = facts_of(stored(tmp_path, save(corners(), "JPEG", xmp=packet))).photo
        assert photo.licence == "https://cc.org/by/4.0/"

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
    def test_xmp_of_every_format(self, tmp_path: Path, kind: str) -> None:
        data = save(corners(), kind, xmp=XMP)
        if kind == "PNG":
            data = data[:33] + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP) + data[33:]
        assert facts_of(stored(tmp_path, data), f"image/{kind.lower()}").photo.copyright == "CC BY"

    @pytest.mark.parametrize("text", ["© Zoë".encode(), "© Zoë".encode("latin-1")], ids=["utf-8", "latin-1"])
    def test_credit_from_iptc(self, tmp_path: Path, text: bytes) -> None:
        records = b"".join(
            struct.pack(">BBBH", 0x1C, 2, number, len(raw)) + raw
            for number, raw in ((5, b"Title"), (116, text), (110, b"Agency"))
        )
        resource = b"8BIM\4\x04\0\0" + struct.pack(">I", len(records)) + records
        other = b"8BIM\4\x09\3abc" + struct.pack(">I", 3) + b"xyz\0"
        data = with_segment(save(corners(), "JPEG"), 0xED, b"Photoshop 3.0\0" + other + resource)
        photo = facts_of(stored(tmp_path, data)).photo
        assert (photo.credit, photo.copyright) == ("Agency", "© Zoë")

    @pytest.mark.parametrize("block", [b"8BIM", b"8BIM\4\4\0\0\xff\xff\xff\xff\x1c\2", b"\x1c\2\x74\xff\xff"])
    def test_broken_iptc_is_no_reason_to_refuse(self, tmp_path: Path, block: bytes) -> None:
        data = with_segment(save(corners(), "JPEG"), 0xED, b"Photoshop 3.0\0" + block)
        assert facts_of(stored(tmp_path, data)).photo.credit == ""

    def test_credit_from_compressed_png_xmp(self, tmp_path: Path) -> None:
        plain = save(corners(), "PNG")
        text = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
        assert facts_of(stored(tmp_path, plain[:33] + text + plain[33:]), "image/png").photo.copyright == "CC BY"

    @pytest.mark.parametrize(
        "block", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 50]
    )
    def test_broken_exif_is_no_reason_to_refuse(self, tmp_path: Path, block: bytes) -> None:
        facts = facts_of(stored(tmp_path, with_segment(save(corners(), "JPEG"), 0xE1, block)))
        assert (facts.orientation, facts.photo.camera) == (1, "")

    def test_exif_that_points_to_itself(self, tmp_path: Path) -> None:
        entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
        block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 8)
        assert isinstance(facts_of(stored(tmp_path, with_segment(save(corners(), "JPEG"), 0xE1, block))), ImageFacts)

    def test_larger_pictures_are_predicted_to_take_more_memory(self, tmp_path: Path) -> None:
        small = facts_of(stored(tmp_path, save(Image.new("RGB", (1000, 1000)), "JPEG")))
        large = facts_of(stored(tmp_path, save(Image.new("RGB", (4000, 3000)), "JPEG")))
        deep = facts_of(stored(tmp_path, save(Image.new("RGB", (4000, 3000)), "JPEG", progressive=True)))
        assert 8_000_000 < small.decode_bytes < large.decode_bytes < deep.decode_bytes < 500_000_000
