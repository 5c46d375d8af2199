"""What must be true after the long work, whatever was done to it meanwhile."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from uuid import UUID

import httpx
from temporalio.client import WorkflowExecutionStatus

from mediagate.media.imports import item_id
from mediagate.media.values import Status
from mediagate.storage.placement import DEFAULT
from tests.chaos import ledger
from tests.chaos.care import IMPORTING, OTHER, Care
from workflows.names import import_id, scrub_id
from workflows.storage_messages import ScrubResult

Objects = Mapping[str, str]
"""SHA-256 by key."""


async def assert_imported(care: Care, rows: ledger.Ledger) -> None:
    """Each line ended as it deserves, as one item or none; one run and one summary count them all, and nothing began
    while it was paused."""
    one = UUID(care.import_id)
    (row,) = care.rows("SELECT * FROM import WHERE id = %s", one)
    found = {item["key"]: item for item in care.rows("SELECT * FROM import_item WHERE import_id = %s", one)}
    assert (row["state"], row["round"], set(found)) == ("done", 1, {line.key for line in care.lines})
    media = {key: item for key, item in rows.media.items() if item["batch_id"] == one}
    wrong = {}
    for line in care.lines:
        item, became = found[line.key], media.get(item_id(one, line.key))
        ended = (item["state"], became and became["status"], became["reason"] if became else item["reason"])
        reason = line.reason or (became["reason"] if became else "")
        right = ("imported", line.status.value, reason) if line.status else ("failed", None, reason)
        if ended != right:
            wrong[line.key] = ended, right
    assert wrong == {}
    assert set(media) == {item_id(one, line.key) for line in care.lines if line.status}
    states = Counter(item["state"] for item in found.values())
    assert states == {name: row[name] for name in ("imported", "failed")}
    assert (row["waiting"], row["under_way"], row["cancelled"]) == (0, 0, 0)
    assert care.waiting > 0, "it was paused when there was nothing left to begin"
    paused, resumed = care.paused
    assert [key for key, item in media.items() if paused < item["accepted_at"] < resumed] == []
    await _assert_summed_up(care, rows, row)
    client = await care.stack.temporal()
    run = await client.get_workflow_handle(import_id(care.import_id, 1)).describe()
    assert run.status is WorkflowExecutionStatus.COMPLETED


async def _assert_summed_up(care: Care, rows: ledger.Ledger, row: ledger.Row) -> None:
    (note,) = [one for one in rows.notifications if one["key"].startswith(care.import_id)]
    assert (note["kind"], note["mail_error"], note["mailed_at"] is not None) == ("batch_summary", "", True)
    assert ledger.files_counted(note["body"]) == row["imported"] + row["failed"]
    async with httpx.AsyncClient(base_url=care.stack.addresses["mail_url"], trust_env=False) as mails:
        listed = (await mails.get("/messages")).json()
        sent = [one["id"] for one in listed if one["subject"] == note["subject"]]
        bodies = [(await mails.get(f"/messages/{one}/raw")).text for one in sent]
    # A worker that dies between the server's answer and its own note of it sends the same message again.
    assert {f"<{note['id']}@" in body for body in bodies} == {True}


async def assert_placed(care: Care, rows: ledger.Ledger) -> int:
    """Every object is in its library's store, byte for byte, and nothing else is in any store. How many there are."""
    slug = care.stack.addresses["library"]
    (placed,) = care.rows("SELECT p.home, p.beside FROM library_placement p JOIN library l ON l.id = p.library_id")
    assert placed == {"home": OTHER, "beside": None}
    named = ledger.keys_of(rows)
    wanted = {
        OTHER: {key: digest for key, digest in named.items() if key.startswith(f"{slug}/")},
        DEFAULT: {key: digest for key, digest in named.items() if key.startswith(f"{IMPORTING}/")},
    }
    assert sum(map(len, wanted.values())) == len(named)
    beyond_repair = unrepairable(care, rows)
    for key, stands in beyond_repair.items():
        del wanted[OTHER][key]
        if stands:
            wanted[OTHER][key] = stands
    for name, store in care.stores.items():
        found = [stat.key async for stat in store.list("")]
        assert sorted(set(found) - set(wanted[name])) == [], f"orphans in {name}"
        assert sorted(set(wanted[name]) - set(found)) == [], f"missing in {name}"
        digests = dict(zip(found, await asyncio.gather(*(store.sha256(key) for key in found)), strict=True))
        assert digests == wanted[name]
    return len(named) - len(beyond_repair)


def unrepairable(care: Care, rows: ledger.Ledger) -> dict[str, str | None]:
    """Objects that stay as they were broken: masters without a backup, and what a legal hold protects."""
    masters = {row["master_key"] for row in rows.media.values() if not row["backup_key"]}
    held = {row["key"] for row in rows.variants if row["media_id"] in care.held}
    lost = {key: now for key, now in care.broken.items() if key in masters}
    return lost | {key: now for key, now in care.broken.items() if key in held and now}


async def assert_scrubbed(care: Care, rows: ledger.Ledger) -> None:
    """What was broken was found once and repaired, or says why not; nothing else was found, or touched."""
    beyond_repair = unrepairable(care, rows)
    found = care.rows("SELECT * FROM scrub_finding")
    assert [one for one in found if one["key"] not in care.broken] == []
    assert Counter(one["key"] for one in found) == Counter(list(care.broken))
    states = {one["key"]: (one["kind"], one["state"]) for one in found}
    kinds = {key: "altered" if now else "missing" for key, now in care.broken.items()}
    ends = {key: "open" if key in beyond_repair else "repaired" for key in care.broken}
    assert states == {key: (kinds[key], ends[key]) for key in care.broken}
    assert [one["key"] for one in found if one["state"] == "open" and not one["detail"]] == []
    notes = care.rows("SELECT data FROM audit WHERE action = 'storage.repaired'")
    assert {json.loads(note["data"])["key"] for note in notes} <= set(care.broken) - set(beyond_repair)
    client = await care.stack.temporal()
    last: ScrubResult = await client.get_workflow_handle(scrub_id("media", None), result_type=ScrubResult).result()
    kind_counts = Counter(kinds[key] for key in beyond_repair)
    assert (last.missing, last.altered, last.untracked) == (kind_counts["missing"], kind_counts["altered"], 0)


def assert_erased(care: Care, rows: ledger.Ledger) -> None:
    """What its time is up for is gone, what a hold or sealed evidence keeps is there, nothing is owed."""
    sealed = {row["media_id"] for row in care.rows("SELECT media_id FROM evidence WHERE retain_until > now()")}
    stays = care.held | sealed
    ends = {key: rows.media[key]["status"] == Status.ERASED for key in care.aged}
    assert ends == {key: key not in stays for key in care.aged}
    assert {key for key, row in rows.media.items() if row["status"] in {Status.ERASED, Status.TRASHED}} <= care.aged
    assert care.rows("SELECT * FROM object_removal") == []
    assert care.rows("SELECT * FROM trash") == []
    gone = Counter(row["subject"] for row in care.rows("SELECT subject FROM audit WHERE action = 'media.erased'"))
    assert gone == Counter(f"media:{key}" for key in care.aged - stays)
