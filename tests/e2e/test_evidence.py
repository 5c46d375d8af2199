"""`mediagate evidence`, as a person uses it, on a database and a locked bucket of its own."""

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from typer.testing import CliRunner, Result

from activities.evidence_access import open_evidence
from cli.evidence import app
from db.repositories.audit import Actor
from db.session import Database
from db.tables import EvidenceRecord
from mediagate import wiring
from mediagate.evidence.bundle import Opening
from mediagate.settings import Settings
from tests.conftest import FOLDER
from tests.evidence import copy_of, restricted, seal, sealing_keys
from tests.world import GateWith

SECRETS = {name: sealing_keys(name)[0].get_secret_value() for name in ("k1", "k2")}


@dataclass(frozen=True)
class Deployment:
    """Two records, one access, and the environment under which the commands reach them."""

    environment: dict[str, str]
    records: tuple[EvidenceRecord, ...]
    original: bytes

    def __call__(self, *arguments: str, **environment: str) -> Result:
        """Run a command."""
        return CliRunner(env=self.environment | environment).invoke(app, arguments)

    def json(self, *arguments: str) -> Any:
        """Run a command that must succeed; what it says."""
        result = self(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    @property
    def first(self) -> str:
        return str(self.records[0].id)

    @property
    def media_id(self) -> str:
        return str(self.records[0].media_id)


@pytest.fixture
def database(migrated: str) -> Iterator[str]:
    with copy_of(migrated) as url:
        yield url


@pytest.fixture
async def deployment(stack_settings: Settings, database: str, gate_with: GateWith, tmp_path: Path) -> Deployment:
    bucket = f"evidence-{uuid4().hex[:8]}"
    keys = {"evidence_keys": sealing_keys("k1"), "evidence_bucket": bucket}
    db = Database(database, pool_size=2)
    async with gate_with(roles=(), **keys) as world:
        assert world.deps.vault
        async with db.transaction() as tx:
            library = await tx.access.ensure_library("photos", name="Photos", settings={})
        world = replace(world, db=db, library=library, deps=replace(world.deps, db=db))
        items = [await restricted(world) for _ in range(2)]
        records = [await seal(world, item.media_id) for item in items]
        assert world.deps.vault
        await open_evidence(db, world.deps.vault, records[1], Opening.RECORD, Actor("ada", "cli:ada"), reason="before")
    await db.close()
    environment = {
        "MEDIAGATE_STATE_DIR": str(tmp_path / "state"),
        "MEDIAGATE_DATABASE_URL": database,
        "MEDIAGATE_S3_URL": stack_settings.s3_url,
        "MEDIAGATE_S3_ACCESS_KEY": stack_settings.s3_access_key.get_secret_value(),
        "MEDIAGATE_S3_SECRET_KEY": stack_settings.s3_secret_key.get_secret_value(),
        "MEDIAGATE_EVIDENCE_BUCKET": bucket,
        "MEDIAGATE_EVIDENCE_KEYS": SECRETS["k1"],
    }
    return Deployment(environment, tuple(records), items[0].data)


class TestLooking:
    def test_list_and_show(self, deployment: Deployment) -> None:
        listed = deployment.json("list", "photos")
        assert [row["id"] for row in listed] == [str(record.id) for record in reversed(deployment.records)]
        shown = deployment.json("show", deployment.first)
        assert (shown["seq"], shown["verdict"], shown["legal_hold"]) == (1, "reject", None)
        assert "wrapped_key" not in shown
        assert deployment.first in deployment("list", "photos").stdout
        assert shown["sha256"] in deployment("show", deployment.first).stdout

    def test_what_is_not_there(self, deployment: Deployment) -> None:
        for arguments in (("list", "nobody"), ("show", str(uuid4())), ("accesses", str(uuid4()))):
            assert type(deployment(*arguments).exception).__name__ == "NotFound"


class TestOpening:
    def test_writes_the_archive_and_leaves_a_record(self, deployment: Deployment, tmp_path: Path) -> None:
        out = tmp_path / "case.tar"
        said = deployment.json("open", deployment.first, "--reason", "case 4711", "--by", "ada", "--out", str(out))
        assert hashlib.sha256(out.read_bytes()).hexdigest() == said["sha256"] == deployment.records[0].sha256
        assert out.stat().st_mode & 0o777 == 0o600
        with tarfile.open(out) as archive:
            original = archive.extractfile("original")
            assert original
            assert original.read() == deployment.original
        (access,) = deployment.json("accesses", deployment.first)
        assert (access["actor"], access["reason"], access["what"]) == ("ada", "case 4711", "bundle")
        assert access["via"].startswith("cli:")
        assert "case 4711" in deployment("accesses", deployment.first).stdout
        again = deployment("open", deployment.first, "--reason", "case 4711", "--out", str(out))
        assert again.exit_code == 2

    @pytest.mark.parametrize("reason", [(), ("--reason", ""), ("--reason", "  ")])
    def test_needs_a_reason(self, deployment: Deployment, tmp_path: Path, reason: tuple[str, ...]) -> None:
        out = tmp_path / "case.tar"
        assert deployment("open", deployment.first, *reason, "--out", str(out)).exit_code == 2
        assert deployment.json("accesses", deployment.first) == []
        assert not out.exists()

    def test_what_does_not_open_leaves_no_file(self, deployment: Deployment, tmp_path: Path) -> None:
        out = tmp_path / "case.tar"
        arguments = ("open", deployment.first, "--reason", "case 4711", "--out", str(out))
        result = deployment(*arguments, MEDIAGATE_EVIDENCE_KEYS=SECRETS["k2"])
        assert type(result.exception).__name__ == "EvidenceKeyMissing"
        assert not out.exists()


class TestVerify:
    def test_intact(self, deployment: Deployment) -> None:
        for options in ((), ("--deep",)):
            found = deployment.json("verify", *options)
            assert found == {"intact": True, "records": 2, "accesses": 1, "lapsed": 0, "breaks": []}
        assert "2 records and 1 accesses: intact." in deployment("verify").stdout

    def test_a_row_that_was_changed(self, deployment: Deployment) -> None:
        with psycopg.connect(deployment.environment["MEDIAGATE_DATABASE_URL"], autocommit=True) as superuser:
            superuser.execute("SET session_replication_role = replica")
            superuser.execute("UPDATE evidence SET verdict = 'approve' WHERE seq = 2")
        result = deployment("verify")
        assert result.exit_code == 1
        assert "it was changed" in result.stdout

    def test_bytes_that_were_changed_on_the_stores_disk(self, deployment: Deployment) -> None:
        bucket = deployment.environment["MEDIAGATE_EVIDENCE_BUCKET"]
        file = Path(os.environ[FOLDER]) / "objects" / bucket / deployment.records[0].object_key
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        with file.open("r+b") as stored:  # in place: its attributes, and so its version and lock, stay
            stored.write(data)
        result = deployment("verify", "--json")
        assert result.exit_code == 1
        (broken,) = json.loads(result.stdout)["breaks"]
        assert (broken["seq"], broken["what"][:23]) == (1, "its object was replaced")

    def test_a_store_that_is_away_is_no_tampering(self, deployment: Deployment) -> None:
        assert deployment("verify", MEDIAGATE_S3_URL="http://127.0.0.1:9").exit_code == 3

    def test_without_keys_it_cannot_be_told(self, deployment: Deployment) -> None:
        assert deployment("verify", MEDIAGATE_EVIDENCE_KEYS="").exit_code == 3

    def test_wrong_usage(self, deployment: Deployment) -> None:
        assert deployment("verify", "--deeper").exit_code == 2


class TestHolds:
    def test_hold_and_release(self, deployment: Deployment) -> None:
        placed = deployment.json("hold", deployment.media_id, "--reason", "court order", "--by", "ada")
        assert placed["placed_by"].startswith("ada (cli:")
        assert "court order" in deployment.json("show", deployment.first)["legal_hold"]
        assert "intact" in deployment("verify").stdout
        released = deployment.json("release", deployment.media_id, "--reason", "closed")
        assert released["released_at"]
        assert deployment.json("show", deployment.first)["legal_hold"] is None
        result = deployment("release", deployment.media_id, "--reason", "closed")
        assert type(result.exception).__name__ == "Conflict"


class TestRewrap:
    def test_a_new_key_takes_over(self, deployment: Deployment) -> None:
        both = f"{SECRETS['k2']},{SECRETS['k1']}"
        shown = deployment("rewrap", MEDIAGATE_EVIDENCE_KEYS=both)
        assert "2 of 2 data keys would be wrapped anew" in shown.stdout
        done = deployment("rewrap", "--yes", MEDIAGATE_EVIDENCE_KEYS=both)
        assert "2 of 2 data keys were wrapped anew, 0 failed." in done.stdout
        assert deployment("verify", "--deep", MEDIAGATE_EVIDENCE_KEYS=SECRETS["k2"]).exit_code == 0
        assert deployment("verify", "--deep").exit_code == 1

    def test_a_key_that_is_missing_is_named(self, deployment: Deployment) -> None:
        result = deployment("rewrap", "--yes", MEDIAGATE_EVIDENCE_KEYS=SECRETS["k2"])
        assert result.exit_code == 1
        assert "'k1' is not in MEDIAGATE_EVIDENCE_KEYS" in result.stdout


def test_the_vault_of_a_deployment_without_keys_is_none(stack_settings: Settings) -> None:
    assert wiring.open_vault(stack_settings) is None
