"""What is sent while things are killed, and what must become of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from random import Random

from mediagate.media.values import Refusal, Status
from tests.world import picture

DECIDED = {"reject": Status.REJECTED, "quarantine": Status.QUARANTINED}
BEHAVIOURS = ("approve", "reject", "duplicate", "lost", "quarantine", "reordered", "early", "late")


@dataclass(frozen=True)
class Shipment:
    """A file, and its right end."""

    filename: str
    data: bytes
    caption: str
    status: Status
    reason: str = ""
    """only for those that are refused"""


def shipments(random: Random, count: int) -> list[Shipment]:
    """Small pictures for every behaviour of the vendor in turn; each ninth file is one that is refused."""
    kinds = cycle([*BEHAVIOURS, "refused"])
    refused = _refused(random)
    return [
        next(refused) if kind == "refused" else shipment(f"{number:03}-{kind}.jpg", kind, random)
        for number, kind in enumerate(islice(kinds, count))
    ]


def shipment(filename: str, behaviour: str, random: Random) -> Shipment:
    """A good picture for which the vendor behaves like that."""
    data = picture(random.randint(200, 800), random.randint(200, 800), seed=random.getrandbits(16))
    return Shipment(filename, data, f"sim:{behaviour}", DECIDED.get(behaviour, Status.APPROVED))


def _refused(random: Random) -> Iterator[Shipment]:
    for number in cycle(range(3)):
        whole = picture(random.randint(200, 800), random.randint(200, 800), seed=random.getrandbits(16))
        data, reason = (
            (whole[: len(whole) // 2], Refusal.TRUNCATED),
            (random.randbytes(4000), Refusal.UNKNOWN_TYPE),
            (picture(300, 300, kind="PNG", seed=random.getrandbits(16)), Refusal.TYPE_MISMATCH),
        )[number]
        name = f"refused-{random.getrandbits(32):08x}.jpg"
        yield Shipment(name, data, "sim:approve", Status.REJECTED, reason.value)
