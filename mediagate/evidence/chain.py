"""Records that are chained by their hashes, so that none can be altered, taken out or put in unnoticed.

    hash = SHA-256("mediagate/<chain>/1" | line feed | canonical JSON of the record's fields and `prev_hash`)

in lower-case hex; `prev_hash` is the hash of the record with the next lower `seq`, 64 zeros for the first, whose `seq`
is 1. Which fields those are stands in `FIELDS`; how they are written in `mediagate.evidence.canonical`. What a chain
cannot show by itself, that its end was cut off or that all of it was made anew, shows against its checkpoints.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mediagate.evidence.canonical import Field, canonical

GENESIS = "0" * 64
"""What the first record follows."""


class Chain(StrEnum):
    """The chains of a deployment."""

    RECORDS = "evidence"
    ACCESSES = "evidence-access"
    AUDIT = "audit"


FIELDS = {
    Chain.RECORDS: (
        *("seq", "id", "media_id", "library_id", "round", "verdict", "reason", "object_key", "object_version"),
        *("size", "sha256", "sealed_sha256", "sealed_at", "retain_until"),
    ),
    Chain.ACCESSES: ("seq", "id", "evidence_id", "library_id", "what", "actor", "via", "reason", "tracking_id", "at"),
    Chain.AUDIT: ("seq", "id", "at", "action", "subject", "library", "actor", "via", "reason", "data", "tracking_id"),
}
"""Everything in a row but the wrapped data key and its key id, which change when keys are rotated."""


@dataclass(frozen=True)
class Link:
    """A place in a chain."""

    seq: int
    hash: str


START = Link(0, GENESIS)


def hash_of(chain: Chain, fields: Mapping[str, Field], prev_hash: str) -> str:
    """The hash of a record with these fields behind the one with `prev_hash`. Raises KeyError if a field is missing."""
    document = {name: fields[name] for name in FIELDS[chain]} | {"prev_hash": prev_hash}
    return hashlib.sha256(f"mediagate/{chain.value}/1\n".encode() + canonical(document)).hexdigest()


def break_at(chain: Chain, before: Link, found: Link, prev_hash: str, fields: Mapping[str, Field]) -> str | None:
    """What is wrong where `found`, with these fields, follows `before`; None if it does."""
    if found.seq != before.seq + 1:
        return f"record {before.seq + 1} is missing"
    if prev_hash != before.hash:
        return f"it does not follow record {before.seq}: one of the two was changed"
    if hash_of(chain, fields, prev_hash) != found.hash:
        return "it was changed: its fields do not have its hash"
    return None
