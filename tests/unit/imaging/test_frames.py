"""Which frames of an animation moderation sees, and that it sees them as a viewer does."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mediagate.imaging import Refused, render_frames, sample_indices
from mediagate.media.values import MODERATION, Refusal
from tests.unit.imaging.pictures import (
    chunk,
    distance,
    exif,
    facts_of,
    opened,
    pixel,
    png,
    save,
    spec,
    stored,
    with_good_checksums,
)

COLOURS = [(200, 40, 40), (40, 180, 40), (40, 40, 200), (200, 180, 40), (160, 40, 180)]


class TestSampleIndices:
    @pytest.mark.parametrize(
        ("durations", "at_most", "expected"),
        [
            ([], 12, []),
            ([100], 12, [0]),
            ([100] * 12, 12, list(range(12))),
            ([100] * 13, 12, [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]),
            ([100] * 100, 5, [0, 25, 50, 74, 99]),
            ([100] * 60 + [10] + [100] * 39, 5, [0, 25, 60, 74, 99]),
            ([100] * 99 + [10], 4, [0, 33, 66, 99]),
            ([10] + [100] * 8, 3, [0, 4, 8]),
            ([100] * 9, 2, [0, 8]),
            ([100] * 9, 1, [0]),
        ],
    )
    def test_samples(self, durations: list[int], at_most: int, expected: list[int]) -> None:
        assert sample_indices(durations, at_most) == expected

    @pytest.mark.parametrize("count", [13, 14, 25, 100, 1001])
    @pytest.mark.parametrize("shortest", [1, 2, 7, 12])
    def test_first_last_and_shortest_are_always_there(self, count: int, shortest: int) -> None:
        durations = [100] * count
        durations[shortest] = 20
        chosen = sample_indices(durations)
        assert {0, shortest, count - 1} <= set(chosen)
        assert (len(chosen), chosen) == (12, sorted(set(chosen)))
        assert max(b - a for a, b in pairwise(chosen)) <= 2 * count / 10


def animation(kind: str, frames: list[Image.Image], **options: Any) -> bytes:
    lossless: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "AVIF": {"quality": 95, "speed": 10}}
    return save(frames[0], kind, save_all=True, append_images=frames[1:], **lossless.get(kind, {}), **options)


def seen(tmp_path: Path, data: bytes, content_type: str) -> list[Image.Image]:
    path = stored(tmp_path, data)
    made = render_frames(path, facts_of(path, content_type), spec(quality=95))
    assert [m.variant.frame for m in made] == list(range(1, len(made) + 1))
    assert all(not opened(m.data).getexif() for m in made)
    return [opened(m.data) for m in made]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
class TestRenderFrames:
    def test_every_frame_behind_the_poster(self, tmp_path: Path, kind: str) -> None:
        frames = [Image.new("RGB", (48, 32), colour) for colour in COLOURS]
        pictures = seen(tmp_path, animation(kind, frames, duration=100), f"image/{kind.lower()}")
        assert [p.size for p in pictures] == [(48, 32)] * 4
        assert all(distance(pixel(p, 20, 20), c) < 14 for p, c in zip(pictures, COLOURS[1:], strict=True))

    def test_parts_are_composed_with_what_was_there_before(self, tmp_path: Path, kind: str) -> None:
        frames = [Image.new("RGB", (48, 32), COLOURS[0])]
        for i, colour in enumerate(COLOURS[1:]):
            frames.append(frames[-1].copy())
            frames[-1].paste(colour, (8 * i, 0, 8 * i + 8, 8))
        pictures = seen(tmp_path, animation(kind, frames, duration=100), f"image/{kind.lower()}")
        assert [distance(pixel(p, 4, 4), COLOURS[1]) < 30 for p in pictures] == [True] * 4
        assert [distance(pixel(p, 28, 4), COLOURS[4]) < 30 for p in pictures] == [False, False, False, True]
        assert all(distance(pixel(p, 40, 28), COLOURS[0]) < 14 for p in pictures)

    def test_at_most_eleven_and_the_frame_that_flashes_is_among_them(self, tmp_path: Path, kind: str) -> None:
        frames = [Image.new("RGB", (32, 32), (i * 5, i * 5, i * 5)) for i in range(40)]
        frames[17] = Image.new("RGB", (32, 32), (250, 20, 20))
        durations = [100] * 17 + [20] + [100] * 22
        pictures = seen(tmp_path, animation(kind, frames, duration=durations), f"image/{kind.lower()}")
        assert len(pictures) == 11
        assert sum(distance(pixel(p, 16, 16), (250, 20, 20)) < 14 for p in pictures) == 1
        assert distance(pixel(pictures[-1], 16, 16), (195, 195, 195)) < 14


class TestStillAndBroken:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF", "TIFF"])
    def test_still_picture_has_no_more_frames(self, tmp_path: Path, kind: str) -> None:
        path = stored(tmp_path, save(Image.new("RGB", (16, 16)), kind))
        assert render_frames(path, facts_of(path, f"image/{kind.lower()}"), MODERATION) == []

    @pytest.mark.parametrize(
        ("kind", "options"), [("PNG", {"disposal": [0, 2, 0], "blend": [0, 1, 1]}), ("GIF", {"disposal": [1, 3, 1]})]
    )
    def test_disposal_brings_back_what_was_there(
        self, tmp_path: Path, kind: str, options: dict[str, list[int]]
    ) -> None:
        ground = Image.new("RGBA", (32, 32), (40, 40, 200, 255))
        spot = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
        spot.paste((200, 40, 40, 255), (0, 0, 16, 16))
        other = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
        other.paste((40, 180, 40, 255), (16, 16, 32, 32))
        data = save(ground, kind, save_all=True, append_images=[spot, other], duration=100, **options)
        first, second = seen(tmp_path, data, f"image/{kind.lower()}")
        assert distance(pixel(first, 8, 8), (200, 40, 40)) < 14
        assert distance(pixel(second, 8, 8), (40, 40, 200)) < 14
        assert distance(pixel(second, 24, 24), (40, 180, 40)) < 14

    def test_still_picture_in_front_of_the_animation_is_the_poster(self, tmp_path: Path) -> None:
        frames = [Image.new("RGB", (16, 16), colour) for colour in COLOURS[:3]]
        data = save(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=100, default_image=True)
        path = stored(tmp_path, data)
        assert facts_of(path, "image/png").frames == 3
        assert len(render_frames(path, facts_of(path, "image/png"), MODERATION)) == 2

    def test_transparency_is_laid_on_the_background(self, tmp_path: Path) -> None:
        frames = [Image.new("RGBA", (16, 16), (255, 0, 0, 255)), Image.new("RGBA", (16, 16), (0, 0, 0, 0))]
        path = stored(tmp_path, animation("WEBP", frames, duration=100))
        (made,) = render_frames(path, facts_of(path, "image/webp"), spec(background="#00ff00"))
        assert distance(pixel(opened(made.data), 8, 8), (0, 255, 0)) < 6

    def test_orientation_holds_for_every_frame(self, tmp_path: Path) -> None:
        frames = [Image.new("RGB", (48, 32), colour) for colour in COLOURS[:3]]
        frames[2].paste((250, 250, 250), (0, 0, 24, 16))
        pictures = seen(tmp_path, animation("PNG", frames, duration=100, exif=exif(6)), "image/png")
        assert [p.size for p in pictures] == [(32, 48)] * 2
        assert distance(pixel(pictures[1], 28, 4), (250, 250, 250)) < 20

    def test_broken_frame_is_refused(self, tmp_path: Path) -> None:
        frames = [Image.radial_gradient("L").resize((64, 64)).rotate(30 * i) for i in range(3)]
        data = animation("PNG", frames, duration=100)
        at = data.rindex(b"fdAT") + 40
        path = stored(tmp_path, with_good_checksums(data[:at] + b"\xff" * 40 + data[at + 40 :]))
        with pytest.raises(Refused) as refused:
            render_frames(path, facts_of(path, "image/png"), MODERATION)
        assert refused.value.reason is Refusal.CORRUPT

    def test_gif_frame_beyond_the_picture(self, tmp_path: Path) -> None:
        frames = [Image.new("RGB", (16, 16), colour) for colour in COLOURS[:2]]
        data = animation("GIF", frames, duration=100)
        at = data.index(b"!\xf9", data.index(b"!\xf9") + 1) + 8
        data = data[: at + 5] + b"\xff\xff\xff\xff" + data[at + 9 :]
        with pytest.raises(Refused, match="beyond"):
            facts_of(stored(tmp_path, data), "image/gif")

    @pytest.mark.parametrize("chunks", [1, 3])
    def test_animation_that_announces_what_it_has_not(self, tmp_path: Path, chunks: int) -> None:
        announced = chunk(b"acTL", (5).to_bytes(4, "big") + bytes(4))
        control = chunk(b"fcTL", bytes(4) + (2).to_bytes(4, "big") * 2 + bytes(14))
        data = png(2, 2, 8, 0, announced, *[control] * (chunks - 1), pixels=bytes(6))
        with pytest.raises(Refused):
            facts_of(stored(tmp_path, data), "image/png")
