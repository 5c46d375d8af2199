"""What is imported while things are killed, and what must become of each line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from random import Random

from mediagate.media.values import Refusal, Status
from tests.chaos.load import BEHAVIOURS, DECIDED
from tests.world import picture

JPEG = "image/jpeg"
MOST_BYTES = 300_000
"""Of a file of the library that imports."""


@dataclass(frozen=True)
class Line:
    """A line of a manifest, and its right end: the item's status and reason, or the reason why there is no item."""

    key: str
    data: bytes | None
    fields: Mapping[str, str]
    status: Status | None
    reason: str = ""
    content_type: str = JPEG


def manifest(random: Random, count: int) -> list[Line]:
    """So many lines: good pictures for every behaviour of the vendor, one in four that is no picture, and at regular
    places one that cannot be imported at all."""
    pictures = [picture(random.randint(90, 200), random.randint(90, 200), seed=n) for n in range(12)]
    return [_line(random, number, pictures) for number in range(count)]


def _line(random: Random, number: int, pictures: Sequence[bytes]) -> Line:
    key = f"{number:04}.jpg"
    if number % 19 == 7:
        return _broken(random, number, key)
    if number % 4 == 3:
        return Line(key, b"no picture %d" % number, {}, Status.REJECTED, Refusal.UNKNOWN_TYPE.value)
    behaviour = BEHAVIOURS[number % len(BEHAVIOURS)] if number % 3 == 0 else "approve"
    caption = {"caption": f"sim:{behaviour}"}
    return Line(key, random.choice(pictures), caption, DECIDED.get(behaviour, Status.APPROVED))


def _broken(random: Random, number: int, key: str) -> Line:
    good = picture(100, 80, seed=number)
    kinds = (
        Line(key, None, {}, None, "object_missing"),
        Line(key, good, {"sha256": sha256(b"another file").hexdigest()}, None, "hash_mismatch"),
        Line(key, random.randbytes(MOST_BYTES + 1), {}, None, "too_large"),
        Line(f"{key}.pdf", good, {}, None, "unsupported_type", content_type="application/pdf"),
        Line(key, b"", {}, None, "empty_file"),
    )
    return kinds[number // 19 % len(kinds)]
