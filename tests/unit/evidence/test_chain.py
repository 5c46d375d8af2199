"""The arithmetic of the records, also as a third party computes it."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from mediagate.evidence.canonical import canonical
from mediagate.evidence.chain import FIELDS, GENESIS, START, Chain, Link, break_at, hash_of

AT = datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC)
ID = UUID("60eb2214-5c82-41b9-9094-6a12a18383b1")


def access(seq: int, **changes: Any) -> dict[str, Any]:
    """The fields of an access."""
    fields = {
        "seq": seq,
        "id": ID,
        "evidence_id": ID,
        "library_id": ID,
        "what": "bundle",
        "actor": "ada",
        "via": "cli:ada",
    }
    return {**fields, "reason": "Fall „7“\n", "tracking_id": "", "at": AT, **changes}


def chained(count: int) -> list[tuple[Link, str, dict[str, Any]]]:
    """So many accesses: place, `prev_hash`, fields."""
    rows, before = [], START
    for seq in range(1, count + 1):
        fields = access(seq)
        link = Link(seq, hash_of(Chain.ACCESSES, fields, before.hash))
        rows.append((link, before.hash, fields))
        before = link
    return rows


def first_break(rows: list[tuple[Link, str, dict[str, Any]]]) -> str | None:
    before = START
    for link, prev_hash, fields in rows:
        if problem := break_at(Chain.ACCESSES, before, link, prev_hash, fields):
            return f"{before.seq + 1}: {problem}"
        before = link
    return None


class TestHash:
    def test_anybody_can_compute_it(self) -> None:
        """As docs/runbooks/evidence.md tells: JSON, SHA-256, and nothing of this package."""
        document = {
            "actor": "ada",
            "at": "2026-01-31T12:00:00.000005Z",
            "evidence_id": str(ID),
            "id": str(ID),
            "library_id": str(ID),
            "prev_hash": "0" * 64,
            "reason": "Fall „7“\n",
            "seq": 1,
            "tracking_id": "",
            "via": "cli:ada",
            "what": "bundle",
        }
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        expected = hashlib.sha256(b"mediagate/evidence-access/1\n" + text.encode()).hexdigest()
        assert hash_of(Chain.ACCESSES, access(1), GENESIS) == expected
        assert expected == "6419e598a614756293b56769b816c9899cf40445a6a3c4c006a29fa7323ae8c4"

    @pytest.mark.parametrize("field", FIELDS[Chain.ACCESSES])
    def test_every_field_counts(self, field: str) -> None:
        changed = {"seq": 2, "at": AT + timedelta(microseconds=1)}.get(field, UUID(int=1) if "id" in field else "other")
        other = {**access(1), field: changed}
        assert hash_of(Chain.ACCESSES, other, GENESIS) != hash_of(Chain.ACCESSES, access(1), GENESIS)

    def test_a_field_that_is_missing_is_no_hash(self) -> None:
        with pytest.raises(KeyError):
            hash_of(Chain.RECORDS, access(1), GENESIS)

    def test_a_time_is_the_same_in_every_zone(self) -> None:
        there = AT.astimezone(timezone(timedelta(hours=5)))
        assert canonical({"at": there}) == canonical({"at": AT}) == b'{"at":"2026-01-31T12:00:00.000005Z"}'


class TestFollowing:
    def test_an_intact_chain(self) -> None:
        assert first_break(chained(4)) is None

    def test_a_record_that_was_changed(self) -> None:
        rows = chained(4)
        rows[1] = (*rows[1][:2], access(2, reason="another"))
        assert first_break(rows) == "2: it was changed: its fields do not have its hash"

    def test_a_record_that_was_changed_with_its_hash(self) -> None:
        rows = chained(4)
        _, prev_hash, _ = rows[1]
        fields = access(2, reason="another")
        rows[1] = Link(2, hash_of(Chain.ACCESSES, fields, prev_hash)), prev_hash, fields
        assert first_break(rows) == "3: it does not follow record 2: one of the two was changed"

    @pytest.mark.parametrize("gone", [0, 1, 2])
    def test_a_record_that_was_taken_out(self, gone: int) -> None:
        rows = chained(4)
        del rows[gone]
        assert first_break(rows) == f"{gone + 1}: record {gone + 1} is missing"

    def test_what_was_taken_out_and_numbered_anew(self) -> None:
        rows = chained(3)
        link, prev_hash, _ = rows[2]
        rows[1:] = [(Link(2, link.hash), prev_hash, access(2))]
        assert first_break(rows) == "2: it does not follow record 1: one of the two was changed"
