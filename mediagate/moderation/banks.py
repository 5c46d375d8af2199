"""Hash banks as rules: what a bank is, what a hit of one demands, when an entry hits too often. Pure.

A bank lists files and pictures that are known: bad ones, which must not pass, or good ones, which need no second look.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from mediagate.media.fingerprints import BITS, FARTHEST
from mediagate.media.values import Value, Verdict
from mediagate.moderation.categories import Category
from mediagate.moderation.findings import HASH_BANKS, VendorEvent, VendorVerdict

FLOOD_WINDOW = timedelta(hours=1)
"""In which an entry may hit as often as its bank's flood limit says."""

BAD_DISTANCE, GOOD_DISTANCE = 4, 0
"""Default distances: copies of a bad picture are wanted too; what passes unseen had better be the picture itself."""

SEVERITY = (Verdict.APPROVE, Verdict.REVIEW, Verdict.REJECT, Verdict.QUARANTINE)
"""The mildest first."""

_SAYS = {
    Verdict.APPROVE: VendorVerdict.APPROVE,
    Verdict.REVIEW: VendorVerdict.REVIEW,
    Verdict.REJECT: VendorVerdict.REJECT,
    Verdict.QUARANTINE: VendorVerdict.REJECT,
}


class Polarity(StrEnum):
    """What it says of a file to be in a bank."""

    BAD = "bad"
    GOOD = "good"


class EntryKind(StrEnum):
    """How an entry is compared."""

    SHA256 = "sha256"
    """With the digest of the file: the same bytes."""
    PHASH = "phash"
    """With the fingerprint of the picture (`mediagate.media.fingerprints`): the same picture, in any of eight forms."""


class EntryState(StrEnum):
    """What an entry may still do."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"
    """It hit too often: until a person releases or removes it, it asks for a review and no more."""
    REMOVED = "removed"
    """It hits nothing; kept, so that importing the same list again does not bring it back."""


class KnownHash(NamedTuple):
    """What is put into a bank."""

    kind: EntryKind
    value: str
    """Lower-case hex: 64 digits of a SHA-256, 16 of a fingerprint."""
    note: str = ""
    source: str = ""
    """Where it comes from, such as the list that was imported."""


DIGITS = {EntryKind.SHA256: 64, EntryKind.PHASH: BITS // 4}
MOST_NOTE, MOST_SOURCE = 500, 200
"""Characters of a text that goes with an entry: one line, nothing invisible."""


def known_hash(kind: EntryKind, value: str, note: str = "", source: str = "") -> KnownHash:
    """An entry as banks keep it.

    Raises:
        ValueError: what is wrong with it, in words for whoever wrote it.
    """
    if not re.fullmatch(f"[0-9a-fA-F]{{{DIGITS[kind]}}}", value):
        raise ValueError(f"a {kind.value} has {DIGITS[kind]} hexadecimal digits")
    for name, text, most in (("note", note, MOST_NOTE), ("source", source, MOST_SOURCE)):
        if len(text) > most:
            raise ValueError(f"a {name} has at most {most} characters")
        if not text.isprintable():
            raise ValueError(f"a {name} is one line of visible characters")
    return KnownHash(kind, value.lower(), note, source)


class BankRules(Value):
    """What a bank does with what it knows."""

    polarity: Polarity = Polarity.BAD
    action: Verdict = Field(Verdict.REVIEW, description="for a hit; approve is for good banks, and all they do")
    category: Category | Literal[""] = Field("", description="what a bad bank's hits are findings of")
    distance: int | None = Field(
        None, ge=0, le=FARTHEST, description="bits in which pictures may differ; default: bad banks 4, good banks 0"
    )
    flood_limit: int = Field(100, ge=1, le=1_000_000, description="hits of one entry per hour, beyond which it is held")
    enabled: bool = True

    @model_validator(mode="after")
    def _agree(self) -> "BankRules":
        if (self.polarity is Polarity.GOOD) != (self.action is Verdict.APPROVE):
            raise ValueError("a good bank approves, and no other one does: set polarity and action together")
        if (self.polarity is Polarity.GOOD) == bool(self.category):
            raise ValueError("category is needed for a bad bank, and a good one has none")
        return self

    @property
    def reach(self) -> int:
        """The distance that holds."""
        if self.distance is not None:
            return self.distance
        return GOOD_DISTANCE if self.polarity is Polarity.GOOD else BAD_DISTANCE


class Hit(Value):
    """An item agrees with an entry."""

    entry_id: str
    bank: str
    category: str = ""
    kind: EntryKind
    distance: int = 0
    action: Verdict
    """What this hit demands, which is not the bank's action where the entry is held back."""
    held: bool = False
    """The entry hit too often."""
    at: datetime


def flooded(hits: int, limit: int) -> bool:
    """True if an entry hit too often: `hits` in the window, the present one included."""
    return hits > limit


def demanded(action: Verdict, *, held: bool) -> Verdict:
    """What a hit demands in a bank with this action; one of an entry that is held back asks for a person only."""
    return Verdict.REVIEW if held else action


def event_of(media_id: str, hits: Sequence[Hit]) -> VendorEvent | None:
    """What the banks say of an item: the most severe of what its hits demand. None without a hit.

    The same hits give the same event. Only hits that end an upload by themselves carry a score: one that asks for a
    person must not make the policy's thresholds reject.
    """
    if not hits:
        return None
    told = sorted(hits, key=lambda hit: (-SEVERITY.index(hit.action), hit.bank, hit.entry_id))
    action = told[0].action
    digest = sha256("\n".join(f"{hit.entry_id} {hit.action.value}" for hit in told).encode()).hexdigest()
    ending = [hit for hit in told if hit.action in {Verdict.REJECT, Verdict.QUARANTINE}]
    return VendorEvent(
        event_id=f"{media_id}:{digest[:16]}",
        vendor=HASH_BANKS,
        media_id=media_id,
        occurred_at=max(hit.at for hit in told),
        verdict=_SAYS[action],
        scores={hit.category: 1.0 for hit in ending if hit.category},
        labels=tuple(dict.fromkeys(f"bank:{hit.bank}" for hit in told)),
        action=action,
        raw=_raw(told),
    )


def _raw(hits: Sequence[Hit]) -> dict[str, Any]:
    shown = [hit.model_dump(mode="json", exclude={"at"}) for hit in hits]
    return {"detail": "; ".join(dict.fromkeys(_sentence(hit) for hit in hits)), "hits": shown}


def _sentence(hit: Hit) -> str:
    what = (
        "the same file" if hit.kind is EntryKind.SHA256 else f"the same picture, {hit.distance} of {BITS} bits differ"
    )
    return f"{hit.bank}: {what}{', but this entry hit too often to be trusted' if hit.held else ''}"
