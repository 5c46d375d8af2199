"""The audit trail: is it intact, giving it away, and what was given away read again.

An export is lines of canonical JSON (`mediagate.evidence.canonical`): first a head, `{"format", "chain", "after",
"prev_hash", "last", "hash"}`, then the records after number `after`, up to `last`, each with the fields that its hash
is made of, `prev_hash` and `hash`. `prev_hash` of the head is the hash of record `after`, its `hash` that of `last`.
So an export shows by itself that nothing in it was changed, left out or put in; that its head, and with it the whole,
is genuine shows against the database, a checkpoint, or a hash that was noted elsewhere.
"""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from activities.audit_chain import MOST_BREAKS, PAGE, Break, follow
from db.session import Database
from db.tables import AuditRecord, now
from mediagate.errors import InvalidRequest
from mediagate.evidence.canonical import Field, canonical
from mediagate.evidence.chain import FIELDS, GENESIS, START, Chain, Link, break_at
from mediagate.vault import Vault

FORMAT = "mediagate-audit/1"
_RECORD = (*FIELDS[Chain.AUDIT], "prev_hash", "hash")


@dataclass
class Trail:
    """What was looked at: how many records, the last of them, and what is broken."""

    records: int = 0
    head: Link = START
    breaks: list[Break] = field(default_factory=list)


async def verify_trail(db: Database, vault: Vault | None) -> Trail:
    """Follow the chain from its first record to its last; if it is intact and there is a vault, its end is noted there.

    Raises:
        StorageUnavailable, DatabaseUnavailable: it cannot be told.
    """
    trail = Trail()

    async def count(rows: Sequence[AuditRecord]) -> list[None]:
        trail.records += len(rows)
        return [None] * len(rows)

    trail.head = await follow(db, vault, AuditRecord, count, trail.breaks)
    if vault and not trail.breaks and trail.head != START:
        await vault.put_checkpoint(Chain.AUDIT, trail.head, now=now())
    return trail


async def note_end(db: Database, vault: Vault, noted: Link) -> Link:
    """Note the end of the chain in the vault, unless it is `noted` already; what is noted then.

    Raises:
        StorageUnavailable, DatabaseUnavailable: try again.
    """
    async with db.transaction() as tx:
        head = await tx.chains.head(AuditRecord)
    if head not in (noted, START):
        await vault.put_checkpoint(Chain.AUDIT, head, now=now())
    return head


async def export_trail(db: Database, *, after: int = 0) -> AsyncIterator[bytes]:
    """The lines of an export: the records behind number `after` that there are now.

    Raises:
        InvalidRequest: there is no record of that number.
    """
    async with db.transaction() as tx:
        last = await tx.chains.head(AuditRecord)
        known = await tx.chains.after(AuditRecord, after - 1, limit=1) if after else ()
    if after and not (known and known[0].seq == after):
        raise InvalidRequest(f"There is no record {after}; the last one is {last.seq}.")
    begin = known[0].link if known else START
    ends: dict[str, Field] = {"after": after, "prev_hash": begin.hash, "last": last.seq, "hash": last.hash}
    yield canonical({"format": FORMAT, "chain": Chain.AUDIT.value, **ends}) + b"\n"
    while after < last.seq:
        async with db.transaction() as tx:
            rows = await tx.chains.after(AuditRecord, after, limit=min(PAGE, last.seq - after))
        if not rows:
            return  # cut off meanwhile: the head tells
        for row in rows:
            yield canonical({**row.fields, "prev_hash": row.prev_hash, "hash": row.hash}) + b"\n"
        after = rows[-1].seq


def verify_export(lines: Iterable[bytes]) -> Trail:
    """Follow an export from its head to its end; needs nothing else.

    Raises:
        InvalidRequest: it is no export.
    """
    reading = iter(lines)
    begin, last = _head(next(reading, b""))
    trail = Trail(head=begin)
    for line in reading:
        trail.records += 1
        number = trail.head.seq + 1
        record = _read(line)
        if record is None:
            trail.breaks.append(Break(Chain.AUDIT, number, "it is not a record"))
            trail.head = Link(number, GENESIS)
            continue
        found = Link(record["seq"], record["hash"])
        if problem := break_at(Chain.AUDIT, trail.head, found, record["prev_hash"], record):
            trail.breaks.append(Break(Chain.AUDIT, number, problem))
        trail.head = found
        if len(trail.breaks) >= MOST_BREAKS:
            return trail
    if trail.head.seq != last.seq:
        trail.breaks.append(Break(Chain.AUDIT, trail.head.seq + 1, f"the head announces records up to {last.seq}"))
    elif trail.head.hash != last.hash and not trail.breaks:
        trail.breaks.append(Break(Chain.AUDIT, last.seq, "the head announces another hash"))
    return trail


def _head(line: bytes) -> tuple[Link, Link]:
    """What comes before the first record, and the last one."""
    head = _object(line)
    numbers, texts = [head.get(name) for name in ("after", "last")], [head.get(name) for name in ("prev_hash", "hash")]
    if (
        head.get("format") != FORMAT
        or not all(type(number) is int for number in numbers)
        or not all(isinstance(text, str) for text in texts)
    ):
        raise InvalidRequest("This is no export of the audit trail: make one with `mediagate audit export`.")
    return Link(head["after"], head["prev_hash"]), Link(head["last"], head["hash"])


def _read(line: bytes) -> dict[str, Any] | None:
    record = _object(line)
    whole = record.keys() == set(_RECORD) and type(record["seq"]) is int
    return record if whole and all(isinstance(record[name], str) for name in _RECORD if name != "seq") else None


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
        json.dumps(found, ensure_ascii=False).encode()  # what cannot be written was never hashed
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
