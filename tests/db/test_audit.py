"""The audit trail: whatever is done to it behind the gate's back is seen, in the database and in an export."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner, Result

from activities.audit_trail import export_trail, note_end, verify_export, verify_trail
from cli.audit import app
from db.repositories.audit import Act, Actor
from db.session import Database
from db.tables import AuditRecord
from devstack.environment import applied
from mediagate.errors import InvalidRequest
from mediagate.evidence.chain import START, Chain, hash_of
from mediagate.evidence.keys import LocalKeys
from mediagate.storage.memory_locked import MemoryLockedStore
from mediagate.vault import Vault
from tests.evidence import copy_of, sealing_keys

ADA = Actor("ada", "cli:ada")
COUNT = 5


@dataclass(frozen=True)
class Case:
    """A trail of five records, of a deployment of its own."""

    db: Database
    vault: Vault
    url: str

    async def sql(self, *statements: str) -> None:
        """As a superuser of the database, who is above triggers."""
        async with self.db.transaction() as tx:
            for statement in ("SET LOCAL session_replication_role = replica", *statements):
                await tx.session.execute(text(statement))

    async def rehash(self, seq: int) -> None:
        """Give a record that was changed the hash of what it is now."""
        async with self.db.transaction() as tx:
            (row,) = await tx.chains.after(AuditRecord, seq - 1, limit=1)
        await self.sql(f"UPDATE audit SET hash = '{hash_of(Chain.AUDIT, row.fields, row.prev_hash)}' WHERE seq = {seq}")

    async def broken(self, *, vault: bool = True) -> list[str]:
        """What is broken."""
        trail = await verify_trail(self.db, self.vault if vault else None)
        return [f"{found.seq}: {found.what}" for found in trail.breaks]

    async def exported(self, *, after: int = 0) -> list[bytes]:
        return [line async for line in export_trail(self.db, after=after)]

    async def command(self, *arguments: str, folder: Path) -> Result:
        environment = {"MEDIAGATE_DATABASE_URL": self.url, "MEDIAGATE_STATE_DIR": str(folder)}
        with applied(environment):
            return await asyncio.to_thread(CliRunner().invoke, app, [*arguments])


@pytest.fixture
async def case(migrated: str) -> AsyncIterator[Case]:
    with copy_of(migrated) as url:
        db = Database(url)
        vault = Vault(LocalKeys(sealing_keys()), MemoryLockedStore(), timedelta(days=1))
        acts = [Act("run.retry", f"run:media-{n}", "lib", {"n": n, "wörd": "é"}) for n in range(1, COUNT)]
        async with db.transaction() as tx:
            await tx.audit.note("flag.changed", "flag:x", Actor("bob", "api:1"), reason="it was wrong")
        async with db.transaction() as tx:
            await tx.audit.note_all(acts, ADA, reason="bucket restored")
        yield Case(db, vault, url)
        await db.close()


class TestNoting:
    async def test_several_acts_follow_one_another_in_their_order(self, case: Case) -> None:
        async with case.db.transaction() as tx:
            rows = await tx.audit.page(limit=10)
        assert [(row.seq, row.document.get("n")) for row in rows] == [(5, 4), (4, 3), (3, 2), (2, 1), (1, None)]
        assert await case.broken() == []

    async def test_those_who_note_at_the_same_time_make_one_chain(self, case: Case) -> None:
        async def note(number: int) -> None:
            async with case.db.transaction() as tx:
                await tx.audit.note_all([Act("a", f"b:{number}"), Act("c", f"d:{number}")], ADA)

        await asyncio.gather(*(note(number) for number in range(8)))
        trail = await verify_trail(case.db, None)
        assert (trail.records, trail.breaks) == (COUNT + 16, [])

    async def test_nothing_is_noted_of_a_transaction_that_fails(self, case: Case) -> None:
        async def fail() -> None:
            async with case.db.transaction() as tx:
                await tx.audit.note_all([Act("a", "b:1")], ADA)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await fail()
        assert (await verify_trail(case.db, None)).records == COUNT

    async def test_nothing_to_note_is_nothing(self, case: Case) -> None:
        async with case.db.transaction() as tx:
            assert await tx.audit.note_all([], ADA) == []


class TestVerify:
    @pytest.mark.parametrize(
        ("statement", "found"),
        [
            ("UPDATE audit SET actor = 'eve' WHERE seq = 3", "3: it was changed: its fields do not have its hash"),
            ("UPDATE audit SET data = '{}' WHERE seq = 2", "2: it was changed: its fields do not have its hash"),
            ("DELETE FROM audit WHERE seq = 4", "4: record 4 is missing"),
        ],
    )
    async def test_a_change_behind_the_triggers_is_seen(self, case: Case, statement: str, found: str) -> None:
        await case.sql(statement)
        assert found in await case.broken(vault=False)

    async def test_the_database_itself_refuses_changes(self, case: Case) -> None:
        async def change(statement: str) -> None:
            async with case.db.transaction() as tx:
                await tx.session.execute(text(statement))

        for statement in ("UPDATE audit SET actor = 'eve'", "DELETE FROM audit", "TRUNCATE audit"):
            with pytest.raises(DBAPIError, match="never changed or deleted"):
                await change(statement)

    async def test_an_end_that_is_cut_off_shows_against_its_checkpoint(self, case: Case) -> None:
        assert await case.broken() == []  # which notes the end
        await case.sql("DELETE FROM audit WHERE seq > 3")
        assert await case.broken(vault=False) == []
        assert await case.broken() == ["5: record 5 is missing: a checkpoint notes it"]

    async def test_a_last_record_that_was_made_anew_shows_against_its_checkpoint(self, case: Case) -> None:
        await case.broken()
        await case.sql("UPDATE audit SET actor = 'eve' WHERE seq = 5")
        await case.rehash(5)
        assert await case.broken(vault=False) == []
        assert await case.broken() == ["5: a checkpoint notes another hash: it was made anew"]

    async def test_what_is_broken_is_not_noted_as_the_end(self, case: Case) -> None:
        await case.sql("DELETE FROM audit WHERE seq = 4")
        await case.broken()
        assert await case.vault.checkpoints(Chain.AUDIT) == {}

    async def test_the_end_is_noted_once(self, case: Case) -> None:
        noted = await note_end(case.db, case.vault, START)
        assert await case.vault.checkpoints(Chain.AUDIT) == {5: {noted.hash}}
        assert await note_end(case.db, case.vault, noted) == noted


def change(number: int, **fields: Any) -> Callable[[list[bytes]], list[bytes]]:
    """Changes fields of a line; 0 is the head."""

    def tamper(lines: list[bytes]) -> list[bytes]:
        lines[number] = json.dumps({**json.loads(lines[number]), **fields}).encode() + b"\n"
        return lines

    return tamper


class TestExport:
    async def test_it_is_verified_without_the_database(self, case: Case) -> None:
        trail = verify_export(await case.exported())
        async with case.db.transaction() as tx:
            assert trail.head == await tx.chains.head(AuditRecord)
        assert (trail.records, trail.breaks) == (COUNT, [])

    async def test_a_part_begins_where_another_ends(self, case: Case) -> None:
        part = await case.exported(after=3)
        assert json.loads(part[0])["prev_hash"] == json.loads((await case.exported())[3])["hash"]
        assert (verify_export(part).records, verify_export(part).breaks) == (2, [])
        assert verify_export(await case.exported(after=5)).breaks == []
        with pytest.raises(InvalidRequest, match="no record 6; the last one is 5"):
            await case.exported(after=6)

    @pytest.mark.parametrize(
        ("tamper", "found"),
        [
            pytest.param(change(2, actor="eve"), (2, "it was changed: its fields do not have its hash"), id="a field"),
            pytest.param(change(2, seq=7), (2, "record 2 is missing"), id="a number"),
            pytest.param(change(2, more="x"), (2, "it is not a record"), id="a field more"),
            pytest.param(change(2, at=7), (2, "it is not a record"), id="a time that is a number"),
            pytest.param(change(2, actor="\ud800"), (2, "it is not a record"), id="what is no text"),
            pytest.param(lambda lines: lines[:2] + lines[3:], (2, "record 2 is missing"), id="a record less"),
            pytest.param(lambda lines: lines[:2] + lines[1:], (2, "record 2 is missing"), id="a record twice"),
            pytest.param(lambda lines: [*lines[:3], b"{\n"], (3, "it is not a record"), id="a line that broke off"),
            pytest.param(lambda lines: lines[:4], (4, "the head announces records up to 5"), id="the end less"),
            pytest.param(change(0, hash="0" * 64), (5, "the head announces another hash"), id="another head"),
            pytest.param(
                change(0, prev_hash="1" * 64),
                (1, "it does not follow record 0: one of the two was changed"),
                id="another beginning",
            ),
        ],
    )
    async def test_what_was_done_to_it_is_seen(
        self, case: Case, tamper: Callable[[list[bytes]], list[bytes]], found: tuple[int, str]
    ) -> None:
        trail = verify_export(tamper(await case.exported()))
        assert (trail.breaks[0].seq, trail.breaks[0].what) == found

    @pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"x", b'{"format": "mediagate-audit/1", "after": true}'])
    def test_what_is_no_export_is_refused(self, line: bytes) -> None:
        with pytest.raises(InvalidRequest, match="no export of the audit trail"):
            verify_export([line])


class TestCommands:
    async def test_the_trail_is_listed_by_pages(self, case: Case, tmp_path: Path) -> None:
        first = await case.command("list", "--limit", "3", "--json", folder=tmp_path)
        page = json.loads(first.stdout)
        assert ([item["seq"] for item in page["items"]], page["next_cursor"]) == ([5, 4, 3], 3)
        second = await case.command("list", "--before", "3", "--json", folder=tmp_path)
        page = json.loads(second.stdout)
        assert ([item["actor"] for item in page["items"]], page["next_cursor"]) == (["ada", "bob"], None)
        one = await case.command("list", "--subject", "flag:x", folder=tmp_path)
        assert "it was wrong" in one.stdout
        assert "run.retry" not in one.stdout

    async def test_an_export_is_on_record_and_verified_from_its_file(self, case: Case, tmp_path: Path) -> None:
        file = tmp_path / "audit.jsonl"
        done = await case.command("export", "--out", str(file), "--by", "ada", folder=tmp_path)
        assert (done.exit_code, file.stat().st_mode & 0o777) == (0, 0o600)
        assert json.loads(file.read_bytes().splitlines()[-1])["action"] == "audit.exported"
        said = await case.command("verify", "--file", str(file), "--json", folder=tmp_path)
        assert (said.exit_code, json.loads(said.stdout)["records"]) == (0, COUNT + 1)
        again = await case.command("export", "--out", str(file), folder=tmp_path)
        assert again.exit_code == 2

    async def test_verify_says_what_is_broken_and_fails(self, case: Case, tmp_path: Path) -> None:
        assert (await case.command("verify", folder=tmp_path)).exit_code == 0
        await case.sql("DELETE FROM audit WHERE seq = 2")
        said = await case.command("verify", "--json", folder=tmp_path)
        assert said.exit_code == 1
        assert json.loads(said.stdout)["breaks"][0] == {"seq": 2, "what": "record 2 is missing"}

    async def test_a_database_that_is_away_is_told_from_a_broken_trail(self, tmp_path: Path, case: Case) -> None:
        away = Case(case.db, case.vault, "postgresql://postgres@127.0.0.1:9/none")
        assert (await away.command("verify", folder=tmp_path)).exit_code == 3
